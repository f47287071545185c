"""Containers: where one record ends and the next begins.

In `*.jsonl.zst` every record is a zstd frame of its own behind a skippable frame, the `Label`, that
holds what the index needs, so that opening a cassette decompresses nothing and `zstdcat | jq` still
reads it. In `*.jsonl` a record is a line. Both are append-only; what is left of a record whose
writing was interrupted is found here and set aside by the library.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from zlib import crc32

import zstandard

from fakeai_proxy.errors import CassetteError

HEAD, OPEN, CLOSE, DROP, OTHER = range(5)
KINDS = {"head": HEAD, "open": OPEN, "close": CLOSE, "drop": DROP}
#: Flags of a label: the reply stops short of its end; nothing may be matched with this record; it
#: was asked again, and takes the place of the record with its id and key.
INTERRUPTED, UNMATCHABLE, AGAIN = 1, 2, 4

#: Above this a record is refused: bodies of that size are blobs.
RECORD_BYTES_MAX = 256 << 20
#: Checksums are verified at opening for records that begin in the last bytes of a file, where an
#: interrupted write can be; `verify` checks them all.
CHECKED_TAIL_BYTES = 4 << 20

_SKIPPABLE = 0x184D2A50
_MAGIC = b"FCZ1"
_LAYOUT = struct.Struct("<II4sBBHQ16s16sQQQI")
_CRC = struct.Struct("<I")
LABEL_BYTES = _LAYOUT.size + _CRC.size
_LEVEL = 3
_OF_THREAD = threading.local()


@dataclass(frozen=True, slots=True)
class Label:
    """`authority`, `route` (method and path) and `id` are 64-bit hashes."""

    kind: int
    id: int
    flags: int = 0
    raw_key: bytes = bytes(16)
    key: bytes = bytes(16)
    authority: int = 0
    route: int = 0
    simhash: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record lies in its file, label excluded; in a group, which part of its frame's lines it
    is (`size` is -1 for a frame of its own)."""

    offset: int
    length: int
    at: int = 0
    size: int = -1

    @property
    def is_grouped(self) -> bool:
        return self.size >= 0


def pack(label: Label, line: bytes) -> bytes:
    """Label and frame, ready to append."""
    frame = _compressor().compress(line)
    front = _LAYOUT.pack(
        _SKIPPABLE, LABEL_BYTES - 8, _MAGIC, label.kind, label.flags, 0, label.id, label.raw_key,
        label.key, label.authority, label.route, label.simhash, len(frame),
    )  # fmt: skip
    return front + _CRC.pack(crc32(frame, crc32(front))) + frame


def _compressor() -> zstandard.ZstdCompressor:
    found: zstandard.ZstdCompressor | None = getattr(_OF_THREAD, "compressor", None)
    if found is None:
        found = _OF_THREAD.compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    return found


def unpack(frame: bytes) -> bytes:
    """The line of a frame. Raises CassetteError."""
    try:
        size = zstandard.frame_content_size(frame)
        if not 0 <= size <= RECORD_BYTES_MAX:
            raise CassetteError(f"a recording of {size} bytes")
        return _decompressor().decompress(frame)
    except zstandard.ZstdError as error:
        raise CassetteError(f"a damaged frame: {error}") from None


def _decompressor() -> zstandard.ZstdDecompressor:
    """This thread's own: making one costs more than most records do."""
    found: zstandard.ZstdDecompressor | None = getattr(_OF_THREAD, "decompressor", None)
    if found is None:
        found = _OF_THREAD.decompressor = zstandard.ZstdDecompressor()
    return found


def labelled(data: bytes | memoryview) -> bool:
    """Whether a zstd file was written record by record, as ours are."""
    return len(data) == 0 or bytes(data[:4]) == _CRC.pack(_SKIPPABLE)


def scan(
    data: memoryview, broken: Callable[[int], None], check_from: int = 0
) -> Iterator[tuple[Label, Place]]:
    """The whole records of a labelled file in order. Where one is short or its checksum is wrong
    (looked at from `check_from` on), `broken` gets its position and the scan is over."""
    position, end = 0, len(data)
    while position < end:
        start = position + LABEL_BYTES
        if start > end:
            return broken(position)
        magic, size, ours, kind, flags, _, number, raw_key, key, authority, route, simhash, length = (
            _LAYOUT.unpack_from(data, position)
        )  # fmt: skip
        if magic != _SKIPPABLE or size != LABEL_BYTES - 8 or ours != _MAGIC or start + length > end:
            return broken(position)
        if position >= check_from:
            (crc,) = _CRC.unpack_from(data, position + _LAYOUT.size)
            front = crc32(data[position : position + _LAYOUT.size])
            if crc32(data[start : start + length], front) != crc:
                return broken(position)
        yield (
            Label(kind, number, flags, raw_key, key, authority, route, simhash),
            Place(start, length),
        )
        position = start + length
    return None


def lines(data: bytes | memoryview) -> Iterator[Place]:
    """The lines of a plain file; the last may lack its newline."""
    whole = bytes(data)
    position = 0
    while position < len(whole):
        newline = whole.find(b"\n", position)
        end = len(whole) if newline < 0 else newline
        if whole[position:end].strip():
            yield Place(position, end - position)
        position = end + 1
