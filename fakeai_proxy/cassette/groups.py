"""Sealed containers: many records in one zstd frame, behind a table that says where each of them is.

Agents send their whole history with every turn, so what a record has in common with those next to it
is most of it: a window over 64 of them makes recorded traffic several times smaller than frames of
one record each (`frames.py`), and still reads a record without what lies before its group. A file of
groups is written once and never appended to; `zstdcat | jq` reads it like any other.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from zlib import crc32

import zstandard

from fakeai_proxy.cassette.frames import RECORD_BYTES_MAX, Label, Place
from fakeai_proxy.errors import CassetteError

#: A group is full with so many records, or with so many bytes of lines: reading one reads them all.
GROUP_RECORDS = 64
GROUP_BYTES = 8 << 20

_SKIPPABLE = 0x184D2A50
_MAGIC = b"FCZ2"
_FRONT = struct.Struct(
    "<II4sII"
)  # skippable frame, its size, magic, records, bytes of the zstd frame
#: kind, flags, order, id, raw key, key, authority, route, simhash, place in the lines, length.
ROW = struct.Struct("<BB2xIQ16s16sQQQII")
_CRC = struct.Struct("<I")
_LEVEL = 3
_WINDOW_LOG = 24
_OF_THREAD = threading.local()


def is_grouped(data: bytes) -> bool:
    """Whether a file that begins with these bytes is one of groups."""
    return data[8:12] == _MAGIC


def pack(records: Iterable[tuple[Label, int, bytes]]) -> bytes:
    """One group. Each record with its order in the recording and its line, newline included."""
    table, lines, at = [], [], 0
    for label, order, line in records:
        table.append(
            ROW.pack(
                label.kind, label.flags, order, label.id, label.raw_key, label.key, label.authority,
                label.route, label.simhash, at, len(line),
            )
        )  # fmt: skip
        lines.append(line)
        at += len(line)
    frame = _compressor().compress(b"".join(lines))
    size = _FRONT.size - 8 + ROW.size * len(table) + _CRC.size
    front = _FRONT.pack(_SKIPPABLE, size, _MAGIC, len(table), len(frame)) + b"".join(table)
    return front + _CRC.pack(crc32(frame, crc32(front))) + frame


def _compressor() -> zstandard.ZstdCompressor:
    found: zstandard.ZstdCompressor | None = getattr(_OF_THREAD, "compressor", None)
    if found is None:
        parameters = zstandard.ZstdCompressionParameters.from_level(
            _LEVEL, window_log=_WINDOW_LOG, enable_ldm=True, write_checksum=True
        )
        found = _OF_THREAD.compressor = zstandard.ZstdCompressor(compression_params=parameters)
    return found


def let_go() -> None:
    """Give back what packing in this thread has taken: tens of megabytes."""
    _OF_THREAD.compressor = None


def unpack(frame: bytes) -> bytes:
    """The lines of a group. Raises CassetteError."""
    try:
        size = zstandard.frame_content_size(frame)
        if not 0 <= size <= RECORD_BYTES_MAX + GROUP_BYTES:
            raise CassetteError(f"a group of {size} bytes")
        return zstandard.ZstdDecompressor(max_window_size=1 << 27).decompress(frame)
    except zstandard.ZstdError as error:
        raise CassetteError(f"a damaged group: {error}") from None


def tables(
    data: memoryview, broken: Callable[[int], None], check: bool = False
) -> Iterator[tuple[int, int, memoryview]]:
    """Of each group: where its zstd frame is, its length, and the table. A group that is short or,
    if they are looked at, whose checksum is wrong ends the scan, and `broken` gets its position."""
    position, end = 0, len(data)
    while position < end:
        if position + _FRONT.size > end:
            return broken(position)
        magic, size, ours, count, length = _FRONT.unpack_from(data, position)
        rows = position + _FRONT.size
        crc_at = rows + ROW.size * count
        start = crc_at + _CRC.size
        whole = (magic, ours, size) == (_SKIPPABLE, _MAGIC, start - position - 8)
        if not whole or start + length > end:
            return broken(position)
        if check:
            front = crc32(data[position:crc_at])
            if (crc32(data[start : start + length], front),) != _CRC.unpack_from(data, crc_at):
                return broken(position)
        yield start, length, data[rows:crc_at]
        position = start + length
    return None


def scan(
    data: memoryview, broken: Callable[[int], None], check: bool = False
) -> Iterator[tuple[Label, Place]]:
    """The records of a file of groups in its order."""
    for start, length, table in tables(data, broken, check):
        for row in ROW.iter_unpack(table):
            kind, flags, _, number, raw_key, key, authority, route, simhash, at, size = row
            yield (
                Label(kind, number, flags, raw_key, key, authority, route, simhash),
                Place(start, length, at, size),
            )
