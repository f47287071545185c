"""The composition root: Config in, running App out; the one file that knows every concrete class."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from fakeai_proxy.clock import Clock, SystemClock, clock_of
from fakeai_proxy.company import Company
from fakeai_proxy.config import Config
from fakeai_proxy.dice import Dice
from fakeai_proxy.embedded.verifying import seen_by, witness_of
from fakeai_proxy.exchange import Origin
from fakeai_proxy.fleet.cluster import Cluster
from fakeai_proxy.fleet.driver import FleetDriver
from fakeai_proxy.fleet.share import Share, load_shared
from fakeai_proxy.fleet.site import Site
from fakeai_proxy.generate.embedders import embedder_kind
from fakeai_proxy.jobs.asking import Asker
from fakeai_proxy.jobs.posting import Poster
from fakeai_proxy.jobs.queue import share
from fakeai_proxy.jobs.runner import JobRunner
from fakeai_proxy.observe.aggregates import Aggregates
from fakeai_proxy.observe.exchanges import ExchangeCounts
from fakeai_proxy.observe.gathering import Gathering
from fakeai_proxy.observe.live import Live
from fakeai_proxy.observe.marks import Marks
from fakeai_proxy.observe.metric_pages import MetricPages
from fakeai_proxy.observe.status import Status
from fakeai_proxy.own_pages import own_pages
from fakeai_proxy.pipeline import Pipeline, Traffic
from fakeai_proxy.profiles import FleetProfile
from fakeai_proxy.proxy import web
from fakeai_proxy.proxy.certificates import Certificates
from fakeai_proxy.proxy.connection import Connection, connected
from fakeai_proxy.proxy.drain import drain
from fakeai_proxy.proxy.exporters import Exporters, exporters_of
from fakeai_proxy.proxy.front_door import FrontDoor
from fakeai_proxy.proxy.gateway import Gateway
from fakeai_proxy.proxy.installed import Installed
from fakeai_proxy.proxy.policy import Policy
from fakeai_proxy.reloading import Reloading
from fakeai_proxy.roles import Observer, Source
from fakeai_proxy.services import JOBS, ROOMS, job_of, media, warm_up
from fakeai_proxy.services.catalogue import Catalogue
from fakeai_proxy.services.dialect import Dialects
from fakeai_proxy.services.job import Work
from fakeai_proxy.services.records import Records
from fakeai_proxy.services.responder import Responder
from fakeai_proxy.services.webhooks import Webhooks
from fakeai_proxy.shaping.faults.faults import Faults
from fakeai_proxy.shaping.limits import Limiter
from fakeai_proxy.shaping.pacing import Pacer
from fakeai_proxy.shaping.scenario.plan import Plan
from fakeai_proxy.shaping.scheduler import Scheduler
from fakeai_proxy.sources import MODES, OnMiss, Parts
from fakeai_proxy.sources.assembly import assembled
from fakeai_proxy.sources.holdings import Holdings
from fakeai_proxy.sources.price_list import PriceList
from fakeai_proxy.sources.synth import Synth
from fakeai_proxy.sources.trust import tls_context
from fakeai_proxy.sources.upstream import Upstream
from fakeai_proxy.stage import stage_of
from fakeai_proxy.store import Row, Store
from fakeai_proxy.telling import Telling
from fakeai_proxy.watched import watched_by

if TYPE_CHECKING:
    from fakeai_proxy.cassette.library import Library
    from fakeai_proxy.observe.outcomes import Outcomes
    from fakeai_proxy.proxy.handed import Handed
    from fakeai_proxy.recorded_run import RecordedRun
    from fakeai_proxy.shared.member import Member

log = logging.getLogger("fakeai_proxy")


class App:
    """`start` binds and serves until `close`."""

    def __init__(
        self,
        config: Config,
        clock: Clock | None = None,
        observers: tuple[Observer, ...] = (),
        member: Member | None = None,
        around: Callable[[Source], Source] = lambda source: source,
    ) -> None:
        """`member` is this process's place among others of the machine, if there are any. `around`
        puts a source of the caller's in front of the mode's own."""
        self.config = config
        self.clock = clock or clock_of(config.clock)
        self.company = Company(config.redis, self.clock, member)
        self.commons = self.company.commons
        self.dice = Dice(config.seed, self.commons.salt)
        self.scheduler = Scheduler(self.clock)
        self.policy = Policy(config)
        self.status = Status(self.clock, self.commons)
        prices = PriceList(lambda: self._catalogue or Catalogue.shipped(config))
        self.telling = Telling(config, self.clock, prices)
        self.journal, self.prices = self.telling.journal, prices
        self.upstream = Upstream(config, self.clock, keep_bodies=config.timing == "profile")
        self.back_end = load_shared(
            config.profile,
            self.commons.processes if config.has_back_end else 1,
            config.model_fields_set,
        )
        self.fleet = self._open_fleet()
        self.site = None if self.fleet is None else Site(self.fleet, self.dice)
        self._open_counts()
        self.metric_pages = MetricPages(self.site, self.exchanges, config, self.clock, self.commons)
        self.exporters = self._open_exporters()
        self.library = self._open_library()
        self.run = self._open_run()
        self.outcomes = None if self.run is None else self.run.outcomes
        self._vocabulary, self._records = "", Records()
        self.responder: Responder | None = None
        self._catalogue: Catalogue | None = None
        self.limiter = Limiter(config, self.clock, self.company.tables)
        self.holdings = self._open_holdings()
        self._webhooks = Webhooks(config)
        self._source = seen_by(self.witness, around(self.telling.around(self._answering())))
        pacer = self.pacer = self._pacer()
        usual = observers = (*self._own_observers(), *observers)
        if self.outcomes is not None:
            observers += (Gathering((self.outcomes,)),)
        self.faults = self._open_faults(observers)
        self.scenario = stage_of(self)
        self.scenario.began.append(self.marks.note_phase)
        self.plan = Plan.load(config.scenario) if config.scenario else None
        self.reloading = Reloading(self.clock, tuple(watched_by(self)))
        self.pages = own_pages(self, self._media)
        pipeline = self._pipeline(pacer, observers)
        self.jobs = self._open_jobs(pipeline)
        self.gateway = self._open_gateway(
            pipeline, Pipeline(self.upstream, pacer, self.clock, usual, traffic=self.traffic)
        )
        self.url = ""

    def _answering(self) -> Source:
        on_miss: OnMiss = self.config.miss or "error"
        return MODES[self.config.mode](self._parts(), on_miss)

    def _own_observers(self) -> tuple[Observer, ...]:
        counting = (self.status, self.journal, self.exchanges, self.aggregates, self.live)
        at_once = (1,) if self.telling.is_followed else ()
        usual = (*self.telling.observers, Gathering(counting, *at_once))
        return usual if self.witness is None else (*usual, self.witness)

    def _open_counts(self) -> None:
        self.witness = witness_of(self.config.keep_calls)
        self.exchanges = ExchangeCounts()
        self.traffic = Traffic()
        self.aggregates = Aggregates(self.clock, self.commons, lambda: self.traffic.streams)
        self.marks = Marks(self.clock)
        self.live = Live(self.clock, self.commons, self.marks, self.prices.bill)

    def _pipeline(self, pacer: Pacer, observers: tuple[Observer, ...]) -> Pipeline:
        """Who asks and what it costs matters to what we answer ourselves."""
        ours = self.config.synthesizes
        return Pipeline(
            self._source,
            pacer,
            self.clock,
            observers,
            self.faults,
            self.limiter,
            self.holdings.ledger.note if ours else None,
            self.holdings.doorkeeper.identify if ours else None,
            self.traffic,
        )

    async def start(self, handed: Handed | None = None) -> None:
        """`handed` is where another process hands over what it accepts."""
        await self.open(handed)
        await self.warm_up()

    async def warm_up(self) -> None:
        """What the first answer would otherwise wait for."""
        if self.config.synthesizes:
            with self.clock.hold():
                await asyncio.to_thread(warm_up, self._vocabulary)

    async def open(self, handed: Handed | None = None) -> None:
        """From here on it answers, the first times more slowly."""
        self._server = web.Server(self.gateway.handle, handler_cancellation=True)
        await self.company.open()
        if self.config.is_live:
            self.upstream.prepare()
        if self.config.synthesizes and await self.holdings.open():
            self.jobs.start()
        # Clients check certificates against their own clocks, so these dates are real ones.
        wall = SystemClock().wall
        # Hosts that became known after the authority was made are no reason not to start.
        installed = Installed(
            self.config.ca_dir, self.policy.intercepted, wall, self.config.intercept
        )
        installed.check()
        certificates = Certificates(installed.authority, self.policy.intercepts, wall)
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
        if self.plan is not None:
            among_others = self.company.member is not None
            self.scenario.start(self.plan, *((0.0, "start") if among_others else ()))
        await self.company.begin(self.pages.perform)
        await self._door.open(handed)
        self.url = self._door.addresses[0].url
        await self.exporters.open()
        await self.reloading.start()

    async def close(
        self, drain_s: float = 0.0, ended: Callable[[Outcomes], Awaitable[None]] | None = None
    ) -> None:
        """Stop accepting; replies under way get `drain_s` of real time, then they are cut. After a
        `start` that failed, too. `ended` is given what came of all, where that is told."""
        await self.reloading.close()
        self.scenario.stop()
        if self.url:
            await self._door.close()
        await self.exporters.close()
        self.gateway.end_streams()
        await drain(self._server, drain_s)
        await self.jobs.close()
        await self.poster.close()
        await self._source.close()
        await self.upstream.close()
        await self.holdings.close()
        if ended is not None and self.outcomes is not None:
            await ended(self.outcomes)
        if self.library is not None:
            await asyncio.to_thread(self.library.close)
        await self.telling.close()
        await self.company.close()
        self.scheduler.close()
        if self.fleet is not None:
            self.fleet.close()

    def _open_faults(self, observers: tuple[Observer, ...]) -> Faults:
        config, counting = self.config, self.commons.counting
        return Faults(
            config, self.scheduler, self.clock, self.dice, config.mode, observers, counting
        )

    def _open_gateway(self, pipeline: Pipeline, passthrough: Pipeline) -> Gateway:
        return Gateway(
            pipeline,
            passthrough,
            self.policy,
            self.pages,
            self._is_own,
            self.clock,
            self.dice,
            self.config.dialect,
        )

    def _open_fleet(self) -> FleetDriver | None:
        if not isinstance(self.back_end, FleetProfile) or not self.config.has_back_end:
            return None
        share = Share(self.commons.number, self.commons.processes)
        cluster = Cluster(self.back_end, self.dice, share=share)
        return FleetDriver(cluster, self.clock, self.config.speed)

    def _open_exporters(self) -> Exporters:
        """Raises ConfigError."""
        shows_gpus, pages = self.site is not None, self.metric_pages
        return exporters_of(
            self.config, shows_gpus, pages.nodes, pages.of_node, self.clock, not self.commons.number
        )

    def _pacer(self) -> Pacer:
        hosted = None if isinstance(self.back_end, FleetProfile) else self.back_end
        return Pacer(self.config, hosted, self.scheduler, self.clock, self.dice, self.fleet)

    def _open_library(self) -> Library | None:
        if self.config.miss is None and not self.config.records:
            return None
        from fakeai_proxy.cassette.library import Library

        return Library.open(self.config, self.clock, record=self.config.records)

    def _parts(self) -> Parts:
        # The order of recordings is begun anew with each start: no matter of other machines.
        counting = self.company.member
        return assembled(
            self.library, self.config.upstream, self.clock, self._synth,
            lambda: self.run.live if self.run else self.upstream,
            self.config,
            counting.next if counting else None,
            self._pace,
            self.config.timing == "profile",
            notices=self.run.drift if self.run else None,
        )  # fmt: skip

    def _open_run(self) -> RecordedRun | None:
        if not self.config.tells_verdict and self.config.max_live_usd is None:
            return None
        from fakeai_proxy.recorded_run import RecordedRun

        registry = self.prices.catalogue
        return RecordedRun(
            self.config, self.library, self.upstream, self.clock, self.commons, registry
        )

    def _open_jobs(self, pipeline: Pipeline) -> JobRunner:
        owner = self.holdings.owner
        ask = self._ask = Asker(pipeline, self.clock, owner[:16]).ask
        self.poster = Poster()

        def equipped(row: Row, owner: str, store: Store) -> Work:
            assert self._catalogue is not None, "only what synthesizes has jobs"
            embedder = embedder_kind(self.config.embedder)
            return Work(
                row,
                owner,
                store,
                self.clock,
                self.dice,
                self._catalogue,
                embedder,
                self._pace,
                ask,
                webhooks=self._webhooks,
                queue_limit=self.limiter.queue_limit,
                post=self.poster.post,
                runs_python=self.config.python_graders,
                responder=self.responder,
            )

        jobs = {kind: partial(job_of, kind) for kind in JOBS}
        runner = JobRunner(jobs, self.holdings.keeper, equipped, self.clock, owner)
        return share(runner, self.config.redis, owner, self.clock)

    @property
    def _pace(self) -> float:
        return self.config.speed if self.config.is_timed else math.inf

    def _synth(self) -> Source:
        fleet = self.back_end if isinstance(self.back_end, FleetProfile) else None
        catalogue = self._catalogue = Catalogue.shipped(self.config, fleet)
        # Whoever names a fleet asks for its models; the one by default stands in for any.
        named = "profile" in self.config.model_fields_set
        self._vocabulary = catalogue.usual_vocabulary(of_fleet=named)
        synth = Synth(
            self.config,
            ROOMS.values(),
            catalogue,
            self.clock,
            self.dice,
            self.holdings.keeper,
            Dialects(self.config),
            self._records,
            lambda key: self.jobs.dispatch(key),  # noqa: PLW0108 - jobs are made later
            lambda asked: self._ask(asked),  # noqa: PLW0108 - as they are
            self._pace,
            self._webhooks,
            self.holdings.life,
            self.holdings.doorkeeper,
            self.holdings.ledger.settle,
        )
        self.responder = synth.responder
        return synth

    def _open_holdings(self) -> Holdings:
        config = self.config
        # Where nobody wants to keep anything, several processes have something in common all the same.
        folder = self.commons.state_dir or config.state_dir
        return Holdings(
            config, folder, config.store_address, folder or (config.data and config.data_dir),
            self.clock, self.dice, self.limiter.limit_project, others=self.company.member is not None,
        )  # fmt: skip

    @property
    def store(self) -> Store | None:
        return self.holdings.store

    async def _media(self, name: str) -> media.Media | None:
        holdings = self.holdings
        return await media.find(
            self._records, holdings.keeper() if holdings.is_kept else None, name
        )

    def _connection(self, tunnel: Origin | None, waiting_s: float, user: str) -> Connection:
        answer = self.gateway.answer
        return connected(self._server, self.clock, tunnel, waiting_s, user, answer)

    def _is_own(self, host: str, port: int) -> bool:
        return self._door.is_own(host, port)
