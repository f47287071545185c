"""How a job asks: an exchange through the pipeline, whose client keeps the answer."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable

from fakeai_proxy.body import Body
from fakeai_proxy.clock import Clock
from fakeai_proxy.errors import ApiError, bad_request
from fakeai_proxy.exchange import BATCH, PROJECT, Exchange, Headers, Reply, Request
from fakeai_proxy.jobs.courtesy import Courtesy
from fakeai_proxy.pipeline import Pipeline
from fakeai_proxy.providers import Told, error_answer, provider_of
from fakeai_proxy.services.job import Answered, Asked
from fakeai_proxy.services.metering import tallies
from fakeai_proxy.store import Tally


class Asker:
    def __init__(self, pipeline: Pipeline, clock: Clock, name: str) -> None:
        """`name` begins the ids of its exchanges."""
        self._pipeline = pipeline
        self._clock = clock
        self._name = name
        self._serials = itertools.count(1)
        self._courtesy = Courtesy(clock, lambda: pipeline.live_at)

    async def ask(self, asked: Asked) -> Answered:
        if asked.tier == BATCH:
            await self._courtesy.begin()
        request = Request(asked.method, asked.target, asked.headers, Body(asked.body))
        exchange = Exchange(
            f"req_{self._name}{next(self._serials):012x}",
            request,
            self._clock.now(),
            tier=asked.tier,
            project=asked.project or PROJECT,
            key_id=asked.key_id,
            user_id=asked.user_id,
            is_accounted=asked.is_accounted or asked.tier == BATCH,
        )
        client = _Keeper()
        pipeline = self._pipeline
        if asked.content is not None:
            pipeline = pipeline.around(_Own(asked.content))
        try:
            await pipeline.serve(exchange, client)
        except ApiError as error:
            spent_ms = int((self._clock.now() - exchange.arrived_at) * 1000)
            told = Told(exchange.id, spent_ms, int(self._clock.wall()))
            said = error_answer(provider_of(request), error, told)
            return Answered(exchange.id, said.status, said.headers, said.body)
        used = self._used(exchange) if exchange.is_accounted else ()
        return Answered(exchange.id, client.status, client.headers, client.sink.body, used)

    def _used(self, exchange: Exchange) -> list[Tally]:
        reply = exchange.reply
        if reply is None or reply.status >= 400:
            return []
        return tallies(
            reply.usage, self._clock.wall(), exchange.admission, project=exchange.project,
            key_id=exchange.key_id, user_id=exchange.user_id, tier=exchange.tier,
        )  # fmt: skip


class _Own:
    """A source for one exchange."""

    def __init__(self, content: Callable[[Exchange], Awaitable[Reply]]) -> None:
        self._content = content

    async def reply(self, exchange: Exchange) -> Reply:
        return await self._content(exchange)

    async def close(self) -> None:
        pass


class _Bytes:
    """A sink that is never full."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    @property
    def body(self) -> bytes:
        return b"".join(self._pieces)

    def write(self, data: bytes) -> None:
        self._pieces.append(data)

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0


class _Keeper:
    """A client that keeps what it is told, without any framing. One whose connection is cut keeps
    what came before."""

    def __init__(self) -> None:
        self.sink = _Bytes()
        self.status = 0
        self.headers: Headers = ()

    def head(self, reply: Reply) -> bytes:
        self.status, self.headers = reply.status, reply.headers
        return b""

    def frame(self, data: bytes) -> bytes:
        return data

    def tail(self) -> bytes:
        return b""

    async def drain(self) -> None:
        pass

    async def converse(self, exchange: Exchange, reply: Reply) -> None:
        raise bad_request("Bad request: this is asked for with a WebSocket handshake.")

    def cut(self) -> None:
        self.status = self.status or 502

    def reset(self) -> None:
        self.cut()

    def downgrade(self) -> None:
        pass

    def close_after(self) -> None:
        pass
