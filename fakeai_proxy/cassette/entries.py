"""One recording as the index has it, and sequences of many that are made when they are looked at."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, overload

from fakeai_proxy.cassette.frames import Label, Place

if TYPE_CHECKING:
    from fakeai_proxy.cassette.sealed import SealedIndex
    from fakeai_proxy.cassette.segments import Segment


@dataclass(slots=True, eq=False)
class Entry:
    segment: Segment
    label: Label
    place: Place


def entry_of(sealed: SealedIndex, row: int) -> Entry:
    if sealed.instead and (again := sealed.instead.get(row)) is not None:
        return again
    return Entry(sealed.segment(row), sealed.label(row), sealed.place(row))


class Rows(Sequence[Entry]):
    """Entries of a sealed index, made when they are looked at."""

    def __init__(self, sealed: SealedIndex, rows: Sequence[int]) -> None:
        self._sealed, self._rows = sealed, rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | Sequence[Entry]:
        if isinstance(index, slice):
            return Rows(self._sealed, self._rows[index])
        return entry_of(self._sealed, self._rows[index])


class Chain(Sequence[Entry]):
    """Several sequences, one after the other."""

    def __init__(self, parts: Sequence[Sequence[Entry]]) -> None:
        self._parts = parts
        self._ends = list(accumulate(len(part) for part in parts))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | Sequence[Entry]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(index)
        part = bisect_right(self._ends, place)
        return self._parts[part][place - (self._ends[part - 1] if part else 0)]
