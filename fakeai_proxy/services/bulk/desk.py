"""Where lines become results: so many asked at a time, kept in their order, a chunk with each commit.

What is committed is never asked again, what was under way when the process died is; the place of the
next line stands in the commit that keeps the results before it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from fakeai_proxy.clock import turn
from fakeai_proxy.services.bulk.chunks import AGE_S, Chunk, Result
from fakeai_proxy.services.bulk.lines import Line, Lines, Place
from fakeai_proxy.services.job import Work
from fakeai_proxy.store import Missing, Row

#: Lines of one batch that are asked at a time.
AT_ONCE = 32


class Trade(Protocol):
    """What a kind of batch knows: how a line is asked, and how its result is told and counted."""

    async def answer(self, line: Line) -> Result: ...

    def undone(self, line: Line, why: str) -> Result:
        """Of a line that is not asked any more."""

    def why(self, row: Row) -> str:
        """Why no further line is asked, "" while they are: cancelled, expired."""

    def counted(self, row: Row, results: Sequence[Result]) -> Row:
        """With these counted in. Pure."""


class _Asked(NamedTuple):
    line: Line
    answer: asyncio.Task[Result] | Result


def begun() -> dict[str, Any]:
    """How far a batch has come that nobody has worked on; `progress` in the document of its row. `why`
    lines were not asked, if any were not."""
    return {"offset": 0, "number": 0, "chunks": 0, "why": ""}


async def settle(work: Work, row: Row, trade: Trade) -> Row:
    """Every line has its result in a chunk. Raises LeaseLost and 503."""
    assert row.blob is not None, "a batch has its lines"
    progress = row.document["progress"]
    start = Place(progress["offset"], progress["number"])
    desk = _Desk(work, row, trade, Lines(work.store.blobs, row.blob, work.clock, start), start)
    try:
        await desk.run()
    finally:
        desk.close()
    return desk.row


class _Desk:
    def __init__(self, work: Work, row: Row, trade: Trade, lines: Lines, start: Place) -> None:
        self.row = row
        self._work = work
        self._trade = trade
        self._lines = lines
        self._asked: deque[_Asked] = deque()
        self._chunk = Chunk()
        #: Behind the last line in the chunk.
        self._place = start
        self._is_over = False
        self._why: str = row.document["progress"]["why"]
        self._wake = asyncio.Event()
        self._timer = work.clock.timer(self._wake.set)
        self._keep_at = work.clock.now() + AGE_S

    async def run(self) -> None:
        while not self._is_over or self._asked:
            self._wake.clear()
            why = self._trade.why(self.row)
            if why:
                self._give_up(why)
            await self._fill(why)
            self._take()
            now = self._work.clock.now()
            if self._chunk.is_full or now >= self._keep_at:
                await self._keep()
                self._keep_at = self._work.clock.now() + AGE_S
            elif self._asked and not why:
                self._timer.at(self._keep_at)
                await self._wake.wait()
            else:
                await turn()
        await self._keep()

    def close(self) -> None:
        self._timer.close()
        self._lines.close()
        for asked in self._asked:
            if isinstance(asked.answer, asyncio.Task):
                asked.answer.cancel()

    async def _fill(self, why: str) -> None:
        while len(self._asked) < AT_ONCE and not self._is_over:
            line = await self._lines.next()
            if line is None:
                self._is_over = True
            elif why:
                self._asked.append(self._undone(line, why))
            else:
                task = asyncio.ensure_future(self._trade.answer(line))
                task.add_done_callback(self._answered)
                self._asked.append(_Asked(line, task))

    def _answered(self, task: asyncio.Task[Result]) -> None:
        self._wake.set()

    def _take(self) -> None:
        """What is answered and next in order. Raises what a line raised."""
        while self._asked and not self._chunk.is_full:
            line, answer = self._asked[0]
            if isinstance(answer, asyncio.Task):
                if not answer.done():
                    return
                answer = answer.result()
            self._chunk.add(answer)
            self._place = line.after
            self._asked.popleft()

    def _give_up(self, why: str) -> None:
        """What is answered stays so."""
        for place, (line, answer) in enumerate(self._asked):
            if isinstance(answer, asyncio.Task) and not answer.done():
                answer.cancel()
                self._asked[place] = self._undone(line, why)

    def _undone(self, line: Line, why: str) -> _Asked:
        self._why = why
        return _Asked(line, self._trade.undone(line, why))

    async def _keep(self) -> None:
        """One commit. Whatever has become of the row meanwhile is known afterwards."""
        if not self._chunk.results:
            found = await self._work.store.get(self.row.key)
            if found is None:
                raise Missing(self.row.key)
            self.row = found
            return
        chunk, self._chunk = self._chunk, Chunk()
        number = self.row.document["progress"]["chunks"]
        progress = {
            "offset": self._place.offset,
            "number": self._place.number,
            "chunks": number + 1,
            "why": self._why,
        }

        def counted(row: Row) -> Row:
            return self._trade.counted(row, chunk.results).merged(progress=progress)

        insert = await chunk.insert(self._work, number)
        rows = await self._work.store.commit(self._work.change(counted), insert, *chunk.tallies)
        assert rows[0] is not None, "a change answers with its row"
        self.row = rows[0]
