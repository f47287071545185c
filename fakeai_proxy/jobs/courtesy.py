"""When a line of a batch may begin: one in a turn of the event loop, and seldom while people wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fakeai_proxy.clock import Clock, turn

#: While live requests come, lines begin so far apart at least: a hundredth of a core at half a
#: millisecond a line, which leaves the slowest of a hundred live answers as slow as they were.
GAP_S = 0.05
#: They come if the last one came so lately.
LIVE_S = 0.1


class Courtesy:
    def __init__(self, clock: Clock, live_at: Callable[[], float]) -> None:
        """`live_at` is when a model was last given work that somebody waits for."""
        self._clock = clock
        self._live_at = live_at
        self._next = asyncio.Lock()
        self._begun_at = -GAP_S

    async def begin(self) -> None:
        """In the order of those who ask."""
        async with self._next:
            await turn()
            if self._clock.now() - self._live_at() < LIVE_S:
                await self._clock.sleep_until(self._begun_at + GAP_S)
            self._begun_at = self._clock.now()
