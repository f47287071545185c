"""A set of ids is a set, and takes little memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.cassette import frames
from fakeai_proxy.cassette.blobs import BlobStore
from fakeai_proxy.cassette.frames import UNMATCHABLE, Label, Place
from fakeai_proxy.cassette.ids import Ids
from fakeai_proxy.cassette.index import Index
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.redaction import Redactor
from fakeai_proxy.cassette.segments import Segment
from fakeai_proxy.cassette.unasked import unused

numbers = st.lists(st.one_of(st.integers(0, 3000), st.integers(0, 2**64 - 1)))


def ids(numbers: list[int]) -> Ids:
    found = Ids()
    for number in numbers:
        found.add(number)
    return found


@given(numbers, numbers)
def test_it_has_what_was_added_once(some: list[int], more: list[int]) -> None:
    found, others = ids(some), ids(more)
    assert sorted(found) == sorted(set(some))
    assert [number in found for number in more] == [number in set(some) for number in more]
    found.update(others)
    assert sorted(found) == sorted({*some, *more})
    assert len(found) == len({*some, *more})
    found.add(2**63)
    assert sorted(others) == sorted(set(more))


def test_an_id_takes_little_more_than_its_own_bytes() -> None:
    tracemalloc.start()
    try:
        found = ids([number * 0x9E3779B97F4A7C15 % 2**64 for number in range(50_000)])
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < len(found) * 16


def test_of_very_many_recordings_it_is_told_which_nobody_asked_for(tmp_path: Path) -> None:
    index, count = Index(), 100_500
    segment = Segment(tmp_path / "gone.jsonl", BlobStore(tmp_path))
    for number in range(1, count + 1):
        flags = UNMATCHABLE if number == 9 else 0
        index.add(segment, Label(frames.CLOSE, number, flags), Place(number, 1))
    library = Library(Redactor(b"salt"), index, [])
    left, named = unused(library, ids([*range(100, count + 1), 3]))
    assert left == 99 - 2
    assert list(named)[:8] == [f"{number:016x}" for number in (1, 2, 4, 5, 6, 7, 8, 10)]
