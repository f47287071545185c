"""The real gateway and pipeline over nothing but a live upstream, on a free port in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from socket import create_server

from aiohttp import web

from fakeai_proxy.clock import Clock, SystemClock
from fakeai_proxy.dice import Dice
from fakeai_proxy.exchange import Exchange
from fakeai_proxy.observe.pages import Pages
from fakeai_proxy.pipeline import Pipeline
from fakeai_proxy.proxy.connection import Connection
from fakeai_proxy.proxy.gateway import Gateway
from fakeai_proxy.proxy.policy import Policy, PolicySettings
from fakeai_proxy.shaping.pacing import Pacer, PacingSettings
from fakeai_proxy.shaping.scheduler import Scheduler
from fakeai_proxy.sources.upstream import Upstream, UpstreamSettings

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class LiveProxy:
    port: int = 0
    #: Exchanges that have ended.
    ended: list[Exchange] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def finished(self, exchange: Exchange) -> None:
        self.ended.append(exchange)

    async def connect(self) -> Stream:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def exchange(self, request: bytes) -> bytes:
        """All bytes that come back for `request`, sent with `Connection: close`."""
        reader, writer = await self.connect()
        writer.write(request)
        answer = await reader.read()
        writer.close()
        return answer


@asynccontextmanager
async def live_proxy(
    policy: PolicySettings | None = None, clock: Clock | None = None, **settings: object
) -> AsyncIterator[LiveProxy]:
    """`settings` are those of the upstream; `upstream="self"` is the proxy's own URL."""
    clock = clock or SystemClock()
    dice = Dice(0)
    proxy = LiveProxy()
    scheduler = Scheduler(clock)
    socket = create_server(("127.0.0.1", 0))
    proxy.port = socket.getsockname()[1]
    if settings.get("upstream") == "self":
        settings["upstream"] = proxy.url
    upstream = Upstream(UpstreamSettings.model_validate(settings), clock)
    pacer = Pacer(PacingSettings(), None, scheduler, clock, dice)
    pipeline = Pipeline(upstream, pacer, clock, (proxy,))

    gateway = Gateway(
        pipeline,
        pipeline,
        Policy(policy or PolicySettings()),
        Pages((), lambda request: None, clock),
        lambda host, port: False,
        clock,
        dice,
    )
    server = web.Server(gateway.handle, handler_cancellation=True)
    listener = await asyncio.get_running_loop().create_server(
        lambda: Connection(server, clock.now, access_log=None, auto_decompress=False),
        sock=socket,
    )
    try:
        yield proxy
    finally:
        listener.close()
        await upstream.close()
        await server.shutdown(0.01)
        scheduler.close()
