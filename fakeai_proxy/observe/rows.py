"""A ring of rows: the newest as they are, older ones packed to a third of the memory.

A row is a tuple of numbers, texts and the like. Packing costs a third of a microsecond a row,
reading as much; whoever reads many does it in a thread.
"""

from __future__ import annotations

import marshal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar

Row = TypeVar("Row", bound="tuple[Any, ...]")

#: Rows that are packed at a time.
_BLOCK = 64
#: Bytes, or the rows themselves where one holds what cannot be packed.
_Block = bytes | tuple[Any, ...]


class Snapshot(Generic[Row]):
    """The rows of an instant, newest first; for any thread."""

    def __init__(self, blocks: Sequence[_Block], fresh: Sequence[Row], count: int) -> None:
        self._blocks = blocks
        self._fresh = fresh
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Row]:
        return islice(self._all(), self._count)

    def _all(self) -> Iterator[Row]:
        yield from reversed(self._fresh)
        for block in reversed(self._blocks):
            yield from reversed(_unpacked(block))


class Rows(Generic[Row]):
    def __init__(self, size: int) -> None:
        self.size = size
        self._blocks: deque[_Block] = deque()
        self._fresh: list[Row] = []

    def __len__(self) -> int:
        return min(len(self._blocks) * _BLOCK + len(self._fresh), self.size)

    def append(self, row: Row) -> None:
        fresh = self._fresh
        fresh.append(row)
        if len(fresh) < 2 * _BLOCK:
            return
        self._blocks.append(_packed(fresh[:_BLOCK]))
        del fresh[:_BLOCK]
        while (len(self._blocks) - 1) * _BLOCK + len(fresh) >= self.size and self._blocks:
            self._blocks.popleft()

    def snapshot(self) -> Snapshot[Row]:
        return Snapshot(tuple(self._blocks), tuple(self._fresh), len(self))

    def change(self, age: int, changed: Callable[[Row], Row]) -> None:
        """The row before which `age` newer ones came is another one, if it is still there."""
        if age >= len(self):
            return
        if age < len(self._fresh):
            self._fresh[-1 - age] = changed(self._fresh[-1 - age])
            return
        block, place = divmod(age - len(self._fresh), _BLOCK)
        rows = list(_unpacked(self._blocks[-1 - block]))
        rows[-1 - place] = changed(rows[-1 - place])
        self._blocks[-1 - block] = _packed(rows)

    def clear(self) -> None:
        self._blocks.clear()
        self._fresh.clear()


def _packed(rows: Sequence[tuple[Any, ...]]) -> _Block:
    whole: Any = tuple(rows)
    try:
        return marshal.dumps(whole)
    except ValueError:  # an enumeration, say
        return tuple(rows)


def _unpacked(block: _Block) -> tuple[Any, ...]:
    if isinstance(block, tuple):
        return block
    rows: tuple[Any, ...] = marshal.loads(block)  # noqa: S302 - what `_packed` has made
    return rows
