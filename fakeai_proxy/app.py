"""The composition root: Config in, running App out; the one file that knows every concrete class."""

from __future__ import annotations

import asyncio

from aiohttp import web

from fakeai_proxy.clock import Clock, SystemClock
from fakeai_proxy.config import Config
from fakeai_proxy.dice import Dice
from fakeai_proxy.errors import no_upstream
from fakeai_proxy.exchange import Observer, Origin, Request
from fakeai_proxy.pipeline import Pipeline
from fakeai_proxy.profiles import load_hosted
from fakeai_proxy.proxy.gateway import Gateway
from fakeai_proxy.proxy.policy import Policy
from fakeai_proxy.proxy.wire import Connection
from fakeai_proxy.services import ROOMS
from fakeai_proxy.services.catalogue import Catalogue
from fakeai_proxy.shaping.pacing import Pacer, Scheduler
from fakeai_proxy.sources.synth import Synth

#: Longest request line and longest header field.
HEADER_BYTES_MAX = 64 << 10
#: How long an idle connection is kept; clients' pools give theirs up sooner.
KEEP_ALIVE_REAL_S = 300.0


class App:
    """`start` binds and serves until `close`."""

    def __init__(
        self, config: Config, clock: Clock | None = None, observers: tuple[Observer, ...] = ()
    ) -> None:
        self.config = config
        self.clock = clock or SystemClock()
        self.dice = Dice(config.seed)
        self.scheduler = Scheduler(self.clock)
        synth = Synth(
            config,
            [operation for room in ROOMS.values() for operation in room],
            Catalogue.shipped(config),
            self.clock,
            self.dice,
        )
        pacer = Pacer(config, load_hosted(config.profile), self.scheduler, self.clock, self.dice)
        pipeline = Pipeline(synth, pacer, self.clock, observers)
        self.gateway = Gateway(
            pipeline,
            pipeline,
            Policy(config),
            self._local,
            self._relay_websocket,
            self.clock,
            self.dice,
        )
        self.url = ""

    async def start(self) -> None:
        self._server = web.Server(self.gateway.handle, handler_cancellation=True)
        self._listener = await asyncio.get_running_loop().create_server(
            lambda: self._connection(None), "127.0.0.1", 0
        )
        port = self._listener.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"

    async def close(self, drain_s: float = 0.0) -> None:
        self._listener.close()
        await self._server.shutdown(drain_s)
        self.scheduler.close()

    def _connection(self, tunnel: Origin | None) -> Connection:
        return Connection(
            self._server,
            self.clock.now,
            tunnel,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=KEEP_ALIVE_REAL_S,
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
        )

    def _local(self, request: Request) -> tuple[int, bytes, bytes]:
        return 200, b"application/json", b"{}"

    async def _relay_websocket(self, raw: web.BaseRequest, request: Request) -> web.StreamResponse:
        raise no_upstream(request.method, request.target)
