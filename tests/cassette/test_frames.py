"""Containers lose at most the record whose writing was interrupted."""

import io

import zstandard
from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.cassette import frames
from fakeai_proxy.cassette.frames import CLOSE, LABEL_BYTES, Label, pack, scan, unpack

_lines = st.lists(st.binary(max_size=80), min_size=1, max_size=4)


def _file(lines: list[bytes]) -> tuple[bytes, list[int]]:
    """The file and where each of its records ends."""
    data, ends = b"", []
    for number, line in enumerate(lines):
        data += pack(Label(CLOSE, number, key=bytes([number] * 16)), line)
        ends.append(len(data))
    return data, ends


def _read(data: bytes) -> tuple[list[bytes], int | None]:
    broken: list[int] = []
    lines = [
        unpack(data[place.offset : place.offset + place.length])
        for _, place in scan(memoryview(data), broken.append)
    ]
    return lines, broken[0] if broken else None


@given(_lines)
def test_truncation_anywhere_loses_only_the_torn_record(lines: list[bytes]) -> None:
    data, ends = _file(lines)
    for size in range(len(data) + 1):
        whole = sum(end <= size for end in ends)
        start = ends[whole - 1] if whole else 0
        assert _read(data[:size]) == (lines[:whole], None if size == start else start)


@given(_lines, st.data())
def test_a_flipped_bit_is_noticed(lines: list[bytes], drawn: st.DataObject) -> None:
    data, ends = _file(lines)
    place = drawn.draw(st.integers(0, len(data) - 1))
    flipped = bytearray(data)
    flipped[place] ^= 1 << drawn.draw(st.integers(0, 7))
    hit = next(number for number, end in enumerate(ends) if place < end)
    start = ends[hit - 1] if hit else 0
    assert _read(bytes(flipped)) == (lines[:hit], start)


@given(_lines, st.integers(1, 4096))
def test_zeros_after_a_power_cut_are_a_torn_tail(lines: list[bytes], count: int) -> None:
    data, _ = _file(lines)
    assert _read(data + bytes(count)) == (lines, len(data))


def test_other_tools_read_the_records_as_one_stream() -> None:
    data, _ = _file([b'{"a":1}\n', b'{"b":2}\n'])
    reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True)
    assert reader.read() == b'{"a":1}\n{"b":2}\n'


def test_a_label_comes_back() -> None:
    label = Label(CLOSE, 2**64 - 1, 3, b"r" * 16, b"k" * 16, 5, 6, 7)
    data = pack(label, b"{}\n")
    [(found, place)] = list(scan(memoryview(data), lambda position: None))
    assert (found, place.offset) == (label, LABEL_BYTES)


def test_the_middle_of_a_large_file_is_not_checksummed_at_opening() -> None:
    data, ends = _file([b"x" * 50, b"y" * 50])
    damaged = bytearray(data)
    damaged[ends[0] - 2] ^= 1
    scanned = list(scan(memoryview(damaged), lambda position: None, check_from=ends[0]))
    assert len(scanned) == 2
    assert frames.CHECKED_TAIL_BYTES > 0
