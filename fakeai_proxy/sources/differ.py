"""Replay and live side by side: the client gets the recording, and what the upstream would have said is
held against it.

The live call goes out when the recording is found; neither waits for the other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from fakeai_proxy.cassette.against import Compared, against
from fakeai_proxy.cassette.draft import Draft
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.clock import Clock
from fakeai_proxy.errors import ApiError, FakeAIError
from fakeai_proxy.exchange import HIT, Exchange, Reply, Request
from fakeai_proxy.roles import Source
from fakeai_proxy.sources.again import asked_again

log = logging.getLogger("fakeai_proxy")

#: Live calls at once; what is asked beyond is replayed only.
AT_ONCE_MAX = 64
#: Requests above this are replayed only.
_ASKED_BYTES_MAX = 1 << 20
#: Details of a change in a line of the log.
_SAID = 3


class Notices(Protocol):
    """Who is told what came of each, and may wait until all is compared."""

    settled: Callable[[], Awaitable[None]] | None

    def compared(self, found: Compared) -> None: ...

    def failed(self, why: str) -> None:
        """There was no live answer to compare, for that reason."""


class Differ:
    """`player` answers, `live` is compared; `base` is the upstream of requests without a host."""

    def __init__(
        self,
        player: Source,
        live: Source,
        library: Library,
        clock: Clock,
        base: str | None,
        notices: Notices,
    ) -> None:
        self._player = player
        self._live = live
        self._library = library
        self._clock = clock
        self._base = base
        self._notices = notices
        self._asking: set[asyncio.Task[None]] = set()

    async def reply(self, exchange: Exchange) -> Reply:
        reply = await self._player.reply(exchange)
        if exchange.verdict == HIT and reply.dialogue is None:
            body = exchange.request.body.in_memory
            if body is None or len(body) > _ASKED_BYTES_MAX:
                self._notices.failed("the request is long")
            elif len(self._asking) >= AT_ONCE_MAX:
                self._notices.failed("there are many live calls already")
            else:
                work = self._compare(exchange.request, body, exchange.recording)
                task = asyncio.ensure_future(work)
                self._asking.add(task)
                task.add_done_callback(self._asking.discard)
        return reply

    async def settled(self) -> None:
        """What has been asked is compared."""
        await asyncio.gather(*self._asking)

    async def close(self) -> None:
        await self.settled()
        await self._player.close()
        await self._live.close()

    async def _compare(self, request: Request, body: bytes, recording: int) -> None:
        try:
            draft = await asked_again(self._live, request, body, self._clock, self._base)
            with self._clock.hold():
                found = await asyncio.to_thread(self._against, recording, draft)
        except ApiError as error:
            self._notices.failed(error.message)
            return
        except FakeAIError as error:
            self._notices.failed(str(error))
            return
        for change in found.drifts:
            log.warning("drift: %s (%s): %s", found.request, found.recording,
                        "; ".join(change.details[:_SAID]))  # fmt: skip
        self._notices.compared(found)

    def _against(self, recording: int, draft: Draft) -> Compared:
        entry = self._library.index.by_id(recording)
        assert entry is not None, "it was found a moment ago"
        return against(self._library, self._library.load(entry), draft)
