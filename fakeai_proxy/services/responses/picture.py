"""A picture as base64 of a PNG: bands of colour, by a seed."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from functools import lru_cache

#: Sixteen shades between two colours; a pixel is half a byte.
_SHADES = 16


@lru_cache(maxsize=16)
def picture(width: int, height: int, seed: int) -> str:
    """`width` and `height` in pixels."""
    first = [seed >> shift & 0xFF for shift in (0, 8, 16)]
    last = [255 - value // 2 for value in first]
    palette = bytes(
        first[c] + (last[c] - first[c]) * k // (_SHADES - 1)
        for k in range(_SHADES)
        for c in range(3)
    )
    # A row holds one shade in both halves of each byte; rows grow lighter downwards.
    rows = b"".join(
        b"\0" + bytes([(height - 1 - y) * _SHADES // height * 0x11]) * ((width + 1) // 2)
        for y in range(height)
    )
    header = struct.pack(">IIBBBBB", width, height, 4, 3, 0, 0, 0)
    return b64encode(
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"PLTE", palette)
        + _chunk(b"IDAT", zlib.compress(rows, 1))
        + _chunk(b"IEND", b"")
    ).decode()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
