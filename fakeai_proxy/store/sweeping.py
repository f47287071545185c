"""When a store removes what has expired: after writes, because an idle one gathers no dust."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from fakeai_proxy.clock import Clock
from fakeai_proxy.errors import ApiError

log = logging.getLogger("fakeai_proxy")

#: How often, at most.
SWEEP_S = 60.0


class Sweeping:
    """`sweep` is what is done; it raises ApiError."""

    def __init__(self, sweep: Callable[[], Awaitable[int]], clock: Clock) -> None:
        self._sweep = sweep
        self._clock = clock
        self._due_at = 0.0
        #: The last time that anything was.
        self.doing: asyncio.Future[None] | None = None

    def sometimes(self) -> None:
        """Something was written."""
        now = self._clock.wall()
        if now < self._due_at or (self.doing is not None and not self.doing.done()):
            return
        self._due_at = now + SWEEP_S
        self.doing = asyncio.ensure_future(self._quietly())

    async def close(self) -> None:
        """After what is under way."""
        if self.doing is not None:
            await self.doing

    async def _quietly(self) -> None:
        try:
            await self._sweep()
        except ApiError as error:
            log.warning("What has expired is still in the store: %s", error.message)
