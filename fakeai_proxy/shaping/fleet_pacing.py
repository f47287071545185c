"""The timing of a reply by a fleet: each chunk waits until an engine has made its tokens."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence

from fakeai_proxy.errors import ApiError, StreamCut
from fakeai_proxy.exchange import Chunk, Exchange, Reply, Workload
from fakeai_proxy.fleet.driver import FleetDriver
from fakeai_proxy.fleet.refusals import Refusal
from fakeai_proxy.profiles.serving import Server
from fakeai_proxy.roles import Client
from fakeai_proxy.shaping.fleet_jobs import FleetJobs, Progress
from fakeai_proxy.shaping.fleet_stream import FleetStream, note_admission
from fakeai_proxy.shaping.frames import tokens_of
from fakeai_proxy.shaping.scheduler import Scheduler


class FleetPacing:
    """Holds a place in an engine while it is open."""

    def __init__(
        self,
        exchange: Exchange,
        reply: Reply,
        workload: Workload,
        driver: FleetDriver,
        scheduler: Scheduler,
    ) -> None:
        self._exchange = exchange
        self._reply = reply
        self._workload = workload
        self._driver = driver
        self._scheduler = scheduler
        self._jobs: FleetJobs | None = None
        self._tokens = 0
        self._waiter: _TokenWaiter | None = None

    async def __aenter__(self) -> FleetPacing:
        try:
            self._jobs = await FleetJobs.submit(
                self._driver, self._workload, self._exchange.arrived_at
            )
        except Refusal as refusal:
            if isinstance(self._reply.chunks, AsyncGenerator):
                await self._reply.chunks.aclose()
            raise _api_error(refusal, self._driver.cluster.profile.server) from None
        return self

    async def __aexit__(self, *failure: object) -> None:
        if self._jobs is not None:
            self._jobs.cancel()

    async def play(self, chunks: Sequence[Chunk], client: Client) -> None:
        assert self._jobs is not None
        stream = FleetStream(
            self._jobs.progress,
            self._workload.output_tokens,
            self._exchange,
            self._reply,
            chunks,
            client,
            self._scheduler,
        )
        self._reply.chunks = ()  # the frames say it all
        del chunks
        self._jobs.follow(stream)
        keep = self._reply.keep
        try:
            await stream.done
            if keep is not None:
                await keep(self._exchange.admission)
                stream.finish(self._driver.clock.now())
        finally:
            stream.done.cancel()

    async def due(self, chunk: Chunk) -> None:
        assert self._jobs is not None
        if self._waiter is None:
            self._waiter = _TokenWaiter(self._jobs.progress, self._exchange)
            self._jobs.follow(self._waiter)
        self._tokens += tokens_of(self._reply, chunk)
        await self._waiter.until(self._tokens)


class _TokenWaiter:
    """Wakes the task that passes a live reply on."""

    def __init__(self, job: Progress, exchange: Exchange) -> None:
        self._job = job
        self._exchange = exchange
        self._need = 0
        self._given = -1
        self._woken: asyncio.Future[None] | None = None
        self._over = ""
        self._is_over = False

    async def until(self, tokens: int) -> None:
        """Until the job has so many, or all of them. Raises StreamCut where it breaks off."""
        self._need = max(tokens, 1)
        if not self._is_over and self._job.shown < self._need:
            self._woken = asyncio.get_running_loop().create_future()
            await self._woken
        if self._over:
            raise StreamCut(self._over)

    def reached(self, given: int, at: float, now: float) -> None:
        if given and self._given <= 0:
            note_admission(self._exchange, self._job)
        self._given = given
        if given >= self._need:
            self._wake()

    def ended(self, at: float, now: float) -> None:
        self._is_over = True
        note_admission(self._exchange, self._job)
        self._wake()

    def broke(self, reason: str) -> None:
        self._is_over, self._over = True, reason
        self._wake()

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)


def _api_error(refusal: Refusal, server: Server) -> ApiError:
    """As the modelled server says it."""
    manner = refusal.told_by(server)
    headers = {}
    if refusal.retry_after_s > 0:
        headers["retry-after"] = str(math.ceil(refusal.retry_after_s))
    return ApiError(
        manner.status,
        manner.message,
        type=manner.type,
        param=manner.param,
        code=manner.code,
        headers=headers,
        fixed=True,
    )
