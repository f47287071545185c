"""Has what the journal gains handled in a thread, a moment's entries at a time and each of them once.

A handler that is too slow makes entries wait in the journal; those that leave it meanwhile are counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import islice

from fakeai_proxy.observe.entry import Entry, Row, entry_of
from fakeai_proxy.observe.journal import Journal

#: How long entries are gathered before they are handled together.
GATHER_REAL_S = 0.2


class Following:
    """`handle` is called in a thread, oldest first, with the entries and how many before them were lost.
    It is false when it wants no more."""

    def __init__(self, journal: Journal, handle: Callable[[Sequence[Entry], int], bool]) -> None:
        self._journal = journal
        self._handle = handle
        self._era, self._done = journal.era, journal.finished_total
        self._handling: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._over = False
        journal.noticed.append(self._notice)

    def _notice(self) -> None:
        if self._timer is None and (self._handling is None or self._handling.done()):
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(GATHER_REAL_S, self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._handling = asyncio.ensure_future(self._catch_up())

    async def _catch_up(self) -> None:
        journal = self._journal
        while not self._over:
            await journal.settle()
            if journal.era != self._era:
                self._era, self._done = journal.era, 0
            new = journal.finished_total - self._done
            if not new:
                return
            rows = list(islice(journal.newest_first(), min(new, len(journal))))
            rows.reverse()
            self._done = journal.finished_total
            with journal.clock.hold():
                self._over = not await asyncio.to_thread(self._told, rows, new - len(rows))

    def _told(self, rows: Sequence[Row], lost: int) -> bool:
        return self._handle([entry_of(row) for row in rows], lost)

    async def close(self) -> None:
        """All that has finished by now is handled."""
        if self._notice in self._journal.noticed:
            self._journal.noticed.remove(self._notice)
        if self._timer is not None:
            self._timer.cancel()
        if self._handling is not None:
            await self._handling
        await self._catch_up()
