"""The composition root: Config in, running App out; the one file that knows every concrete class."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from aiohttp import web

from fakeai_proxy.clock import Clock, SystemClock
from fakeai_proxy.config import Config
from fakeai_proxy.dice import Dice
from fakeai_proxy.errors import websocket_unserved
from fakeai_proxy.exchange import Observer, Origin, Request, Source
from fakeai_proxy.observe.control import control_routes, document_route
from fakeai_proxy.observe.faults import fault_routes
from fakeai_proxy.observe.journal import Journal, journal_routes
from fakeai_proxy.observe.limits import limits_routes
from fakeai_proxy.observe.pages import Pages, Route
from fakeai_proxy.observe.scenario_routes import scenario_routes
from fakeai_proxy.observe.status import Status
from fakeai_proxy.pipeline import Pipeline
from fakeai_proxy.profiles import load_hosted
from fakeai_proxy.proxy.admin import Admin
from fakeai_proxy.proxy.authority import Authority
from fakeai_proxy.proxy.certificates import Certificates
from fakeai_proxy.proxy.drain import Drain
from fakeai_proxy.proxy.front_door import FrontDoor
from fakeai_proxy.proxy.gateway import Gateway
from fakeai_proxy.proxy.listening import is_loopback, parse_listen
from fakeai_proxy.proxy.policy import Policy
from fakeai_proxy.proxy.websocket import relay_websocket
from fakeai_proxy.proxy.wire import Connection
from fakeai_proxy.services import ROOMS, warm_up
from fakeai_proxy.services.catalogue import Catalogue
from fakeai_proxy.shaping.faults.faults import Faults
from fakeai_proxy.shaping.limits import Limiter
from fakeai_proxy.shaping.pacing import Pacer, Scheduler
from fakeai_proxy.shaping.scenario.levers import FaultLever, LimitLever, PaceLever
from fakeai_proxy.shaping.scenario.missing import Present
from fakeai_proxy.shaping.scenario.plan import Plan
from fakeai_proxy.shaping.scenario.runner import Runner
from fakeai_proxy.sources import MODES, OnMiss, Parts
from fakeai_proxy.sources.synth import Synth
from fakeai_proxy.sources.upstream import Upstream, tls_context

if TYPE_CHECKING:
    from fakeai_proxy.cassette.library import Library

log = logging.getLogger("fakeai_proxy")

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
        self.policy = Policy(config)
        self.status = Status(self.clock)
        self.journal = Journal(config, self.clock)
        self.upstream = Upstream(config, self.clock)
        self.library = self._open_library()
        on_miss: OnMiss = config.miss or "error"
        self._source = MODES[config.mode](self._parts(), on_miss)
        pacer = Pacer(config, load_hosted(config.profile), self.scheduler, self.clock, self.dice)
        self.limiter = Limiter(config, self.clock)
        observers = (self.status, self.journal, *observers)
        self.faults = Faults(config, self.scheduler, self.clock, self.dice, config.mode, observers)
        self.scenario = self._stage(pacer)
        self._plan = Plan.load(config.scenario) if config.scenario else None
        exposed = any(not is_loopback(address.host) for address in parse_listen(config.listen))
        routes = self._routes()
        self.pages = Pages(
            (*routes, document_route(routes)), Admin(config, exposed).admit, self.clock
        )
        self.gateway = Gateway(
            Pipeline(self._source, pacer, self.clock, observers, self.faults, self.limiter),
            Pipeline(self.upstream, pacer, self.clock, observers),
            self.policy,
            self.pages,
            self._relay_websocket,
            self._is_own,
            self.clock,
            self.dice,
            config.dialect,
        )
        self._drain = Drain(self.gateway.handle)
        self.url = ""

    async def start(self) -> None:
        self._server = web.Server(self._drain.handle, handler_cancellation=True)
        if self.config.synthesizes:
            await asyncio.to_thread(warm_up)
        # Clients check certificates against their own clocks, so these dates are real ones.
        wall = SystemClock().wall
        # Hosts that became known after the authority was made are no reason not to start.
        authority = Authority.open(
            self.config.data_dir / "ca", self.policy.intercepted, wall, self.config.intercept
        )
        certificates = Certificates(authority, self.policy.intercepts, wall)
        proxy = self.config.upstream_proxy
        self._door = FrontDoor(
            self.config,
            self.policy,
            certificates,
            self._connection,
            proxy.get_secret_value() if proxy else None,
            tls_context(self.config.upstream_ca) if proxy else None,
            self.faults,
        )
        await self._door.open()
        self.url = self._door.addresses[0].url
        if self._plan is not None:
            self.scenario.start(self._plan)

    async def close(self, drain_s: float = 0.0) -> None:
        """Stop accepting; replies under way get `drain_s` of real time, then they are cut."""
        self.scenario.stop()
        await self._door.close()
        await self._drain.finish(self._server, drain_s)
        await self._source.close()
        await self.upstream.close()
        if self.library is not None:
            await asyncio.to_thread(self.library.close)
        self.scheduler.close()

    def _stage(self, pacer: Pacer) -> Runner:
        """What scenarios have to play with."""
        levers = (FaultLever(self.faults), LimitLever(self.limiter), PaceLever(pacer))
        present = Present(self.limiter, None, self._is_timed)
        return Runner(self.clock, levers, present.check)

    @property
    def _is_timed(self) -> bool:
        """Whether answers take a time of which the speed can be changed."""
        config = self.config
        by_profile = config.profile != "none" and (config.synthesizes or config.timing == "profile")
        by_recording = config.miss is not None and config.timing == "recorded"
        return config.timing != "none" and (by_profile or by_recording)

    def _open_library(self) -> Library | None:
        if self.config.miss is None and not self.config.records:
            return None
        from fakeai_proxy.cassette.library import Library

        return Library.open(self.config, self.clock, record=self.config.records)

    def _parts(self) -> Parts:
        """What the modes are made of."""
        base = self.config.upstream

        def library() -> Library:
            assert self.library is not None, "a mode that plays or records has its library"
            return self.library

        def miss() -> Source:
            from fakeai_proxy.sources.miss import Miss

            return Miss(library(), base)

        def recorder(source: Source) -> Source:
            from fakeai_proxy.sources.recorder import Recorder

            return Recorder(source, library(), self.clock, base)

        def player(on_miss: Source) -> Source:
            from fakeai_proxy.sources.recorded import Player

            return Player(library(), on_miss, base)

        return Parts(self._synth, lambda: self.upstream, miss, recorder, player)

    def _synth(self) -> Source:
        return Synth(
            self.config,
            [operation for room in ROOMS.values() for operation in room],
            Catalogue.shipped(self.config),
            self.clock,
            self.dice,
        )

    def _connection(self, tunnel: Origin | None, waiting_s: float = 0.0) -> Connection:
        return Connection(
            self._server,
            self.clock.now,
            tunnel,
            self.clock.ago(waiting_s),
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=KEEP_ALIVE_REAL_S,
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
        )

    def _is_own(self, host: str, port: int) -> bool:
        return self._door.is_own(host, port)

    def _routes(self) -> tuple[Route, ...]:
        """Our own pages; what each component offers is one line here, and so is what starts over."""
        config = self.config
        resettable = {
            "status": self.status.reset,
            "journal": self.journal.reset,
            "limits": self.limiter.reset,
        }
        shown = {"mode": config.mode, "profile": config.profile, "seed": config.seed}
        return (
            *control_routes(self.status, shown, resettable),
            *journal_routes(self.journal),
            *limits_routes(self.limiter),
            *fault_routes(self.faults),
            *scenario_routes(self.scenario, self.clock),
        )

    async def _relay_websocket(self, raw: web.BaseRequest, request: Request) -> web.StreamResponse:
        if not self.config.is_live:
            raise websocket_unserved(self.config.mode)
        if self.config.records:
            log.warning("WebSocket %s is passed through, not recorded", request.target)
        return await relay_websocket(raw, request, self.upstream)
