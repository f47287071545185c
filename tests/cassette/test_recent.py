"""What is not sealed is found the same whether it is held as objects or in columns, and in columns takes
little memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.cassette import frames
from fakeai_proxy.cassette.blobs import BlobStore
from fakeai_proxy.cassette.columns import in_columns
from fakeai_proxy.cassette.entries import Entry
from fakeai_proxy.cassette.frames import AGAIN, INTERRUPTED, UNMATCHABLE, Label, Place
from fakeai_proxy.cassette.index import Index
from fakeai_proxy.cassette.recent import RECENT_MAX
from fakeai_proxy.cassette.segments import Segment

SEGMENTS = [Segment(Path(f"{name}.jsonl.zst"), BlobStore(Path("blobs"))) for name in "abc"]
IDS, KEYS, ROUTES = 12, 4, 3
ALL = 1 << 40
#: The id of one that stops short.
STOPPED = 5
#: And of one whose reply is withheld, unless it is asked again.
WITHHELD = 7

#: An id and what happens to it.
Step = tuple[int, int, int]
steps = st.lists(
    st.tuples(
        st.integers(1, IDS),
        st.sampled_from([frames.OPEN, frames.CLOSE, frames.CLOSE, frames.CLOSE, frames.DROP]),
        st.sampled_from([0, 0, AGAIN]),
    ),
    max_size=40,
)


def key(number: int) -> bytes:
    return bytes([number + 1]) * 16


def label(number: int, kind: int = frames.CLOSE, flags: int = 0) -> Label:
    return Label(kind, number, flags, key(100 + number), key(number % KEYS), 1 + number % 2,
                 number % ROUTES, number * 0x9E3779B97F4A7C15 % 2**64)  # fmt: skip


def filled(steps: list[Step], interrupted: bool, recent_max: int) -> Index:
    index = Index(interrupted, recent_max=recent_max)
    for at, (number, kind, flags) in enumerate(steps):
        segment = SEGMENTS[2 if flags & AGAIN else number % 2]
        usual = {STOPPED: INTERRUPTED, WITHHELD: UNMATCHABLE}.get(number, 0)
        size = at if at % 3 == 0 else -1
        index.add(segment, label(number, kind, flags or usual), Place(at, at + 1, 2 * at, size))
    return index


def told(entry: Entry | None) -> object:
    """All but the keys of what is not matched, which columns do not keep."""
    if entry is None:
        return None
    said = entry.label
    if said.flags & UNMATCHABLE:
        said = replace(said, key=b"", raw_key=b"")
    return entry.segment, said, entry.place


def listed(entries: Sequence[Entry]) -> object:
    """In their order; what had not been matched before it was asked again may be anywhere."""
    late = [entry for entry in entries if entry.label.id in (STOPPED, WITHHELD)]
    others = [told(entry) for entry in entries if entry.label.id not in (STOPPED, WITHHELD)]
    return others, sorted((entry.label.id, entry.place.offset) for entry in late)


def everything(index: Index) -> Iterator[object]:
    yield [told(entry) for entry in index.entries]
    yield sorted((number, told(entry)[2]) for number, entry in index.as_stored())  # type: ignore[index]  # of an entry
    yield index.counts(), index.dropped, index.again, sorted(index.opened)
    for number in range(KEYS + 1):
        for authority in (0, 1, 2):
            yield number, authority, listed(index.matching(key(number), authority))
        yield index.was_interrupted(key(number))
    for number in range(IDS + 2):
        yield number, told(index.by_id(number))
        if number != STOPPED:  # whose key columns know, though it is not matched
            found = index.canonical(key(100 + number))
            yield [] if found is None else listed(index.matching(found, 0))
    for route in range(ROUTES + 1):
        yield route, listed(index.of_route(route))
        yield sorted(entry.label.id for entry in index.nearest(route, 0, IDS))
    yield {entry.label.id for entry in index.nearest(None, 0, IDS)} - {WITHHELD}


@given(steps, st.booleans(), st.integers(1, 7))
def test_columns_tell_what_objects_tell(steps: list[Step], interrupted: bool, many: int) -> None:
    objects, columns = (filled(steps, interrupted, count) for count in (ALL, many))
    for one, other in zip(everything(objects), everything(columns), strict=True):
        assert one == other


@given(steps, st.integers(1, 7))
def test_what_was_in_a_file_that_is_gone_is_not_found(steps: list[Step], many: int) -> None:
    sealed = in_columns((), [])
    objects, columns = (
        filled(steps, False, count).renewed(None, sealed, SEGMENTS[:1]) for count in (ALL, many)
    )
    assert [told(entry) for entry in columns.entries] == [told(entry) for entry in objects.entries]


def test_a_recording_that_was_asked_again_is_found_by_its_own_key() -> None:
    index = filled([(number, frames.CLOSE, 0) for number in range(1, 9)], False, 4)
    again = replace(label(2, flags=AGAIN), key=key(50))
    index.add(SEGMENTS[0], again, Place(99, 9))
    for _ in range(2):
        assert [entry.place.offset for entry in index.matching(key(50), 0)] == [99]
        for number in range(20, 40):  # more to be packed
            index.add(SEGMENTS[0], label(number), Place(number, 9))


def test_another_cassettes_recording_has_been_asked_again_in_this_one() -> None:
    index = filled([(1, frames.CLOSE, AGAIN), (2, frames.CLOSE, 0)], False, 1)
    entries = [Entry(SEGMENTS[1], label(number), Place(90 + number, 9)) for number in (1, 3)]
    index.add_sealed(in_columns((), entries))
    assert [entry.place.offset for entry in index.entries] == [0, 93, 1]


@pytest.mark.parametrize("count", [20_000])
def test_a_recording_takes_some_hundred_bytes(count: int) -> None:
    import numpy as np  # not what is measured

    assert np.__version__
    index = Index()
    tracemalloc.start()
    try:
        for number in range(count):
            raw, found = (number.to_bytes(16, "big"), (number << 64 | number).to_bytes(16, "big"))
            told = Label(
                frames.CLOSE, number + 10**6, 0, found, raw, 10**6 + 1, 10**6, number << 30
            )
            index.add(SEGMENTS[0], told, Place(10**6 * number, 1_000))
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    objects = len(index.entries) % RECENT_MAX
    assert held < objects * 1_500 + (count - objects) * 150
    assert len(index.matching((77 << 64 | 77).to_bytes(16, "big"), 0)) == 0
    assert len(index.matching((77).to_bytes(16, "big"), 0)) == 1
