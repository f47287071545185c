"""Pages of the fleet's metrics: Prometheus text under the names of each server, and FakeAI's JSON
views. A snapshot is taken on the event loop, a thread renders it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from fakeai_proxy.clock import Clock
from fakeai_proxy.fleet.metrics import Reading
from fakeai_proxy.fleet.sample import Sample
from fakeai_proxy.fleet.site import Site
from fakeai_proxy.observe import dcgm, dynamo, prometheus, sglang, vllm
from fakeai_proxy.observe.collecting import Collector
from fakeai_proxy.observe.dynamo_view import Fleet, dynamo_view
from fakeai_proxy.observe.exchanges import ExchangeCounts
from fakeai_proxy.observe.kv_cache_view import kv_cache_view
from fakeai_proxy.observe.pages import Answer, Call, Handler, Route

_NOTHING = "# No fleet is simulated: start with --profile and the name of one.\n"


class Snapshot(NamedTuple):
    """At the instant `now` of the fleet, which is `wall` seconds after the epoch."""

    readings: Sequence[Reading]
    frontend: dynamo.Frontend
    migration_limit: int
    now: float
    wall: float


#: By the name of the server.
_FAMILIES: dict[str, Callable[[Snapshot], Iterable[str]]] = {
    "vllm": lambda s: vllm.families(s.readings, s.wall),
    "sglang": lambda s: sglang.families(s.readings),
    "dynamo": lambda s: dynamo.families(s.readings, s.frontend, s.migration_limit, s.now),
}


class MetricPages:
    """`site` is None where no fleet is simulated: its pages are empty then."""

    def __init__(
        self,
        site: Site | None,
        exchanges: ExchangeCounts,
        settings: dcgm.DcgmSettings,
        clock: Clock,
    ) -> None:
        self._site = site
        self._exchanges = exchanges
        self._settings = settings
        self._clock = clock
        self._collector = Collector(settings)

    def routes(self) -> tuple[Route, ...]:
        whole = ["vllm"]
        if self._site is not None and self._site.profile.server in ("sglang", "dynamo"):
            whole.append(self._site.profile.server)
        return (
            Route("GET", "/metrics", self._text(*whole),
                  "The fleet's metrics for Prometheus: vLLM's, and those of the server it models."),
            Route("GET", "/vllm/metrics", self._text("vllm"), "The same as vLLM shows them."),
            Route("GET", "/sglang/metrics", self._text("sglang"), "The same as SGLang shows them."),
            Route("GET", "/dynamo/metrics", self._text("dynamo"),
                  "The same as NVIDIA Dynamo shows them."),
            Route("GET", "/dynamo/metrics/json", self._dynamo_json,
                  "The last minute's requests: latency, throughput, queues, cache."),
            Route("GET", "/kv-cache/metrics", self._kv_cache,
                  "KV caches, their hits, and what the router knows of them."),
            Route("GET", "/dcgm/metrics", self._dcgm, "The GPUs, as dcgm-exporter shows them."),
            Route("GET", "/dcgm/metrics/json", self._dcgm_json, "The GPUs, as JSON."),
        )  # fmt: skip

    async def of_node(self, hostname: str) -> Callable[[], str]:
        """What renders the DCGM page of one node, as of now."""
        held = await self._gpus()
        return lambda: dcgm.exposition(held, self._settings, hostname)

    def nodes(self) -> list[str]:
        """Those that there are, in their order."""
        if self._site is None:
            return []
        names = {
            board.device.hostname
            for telemetry in self._site.instruments.telemetries
            for board in telemetry.boards
        }
        return sorted(names, key=lambda name: (len(name), name))

    def _text(self, *servers: str) -> Handler:
        families = [_FAMILIES[server] for server in servers]

        def handler(call: Call) -> Answer:
            site = self._site
            if site is None:
                return _nothing()
            seen = self._snapshot(site)
            return Answer(
                lambda: prometheus.page(*(part(seen) for part in families)),
                content_type=prometheus.CONTENT_TYPE,
            )

        return handler

    def _snapshot(self, site: Site) -> Snapshot:
        return Snapshot(
            site.readings(),
            dynamo.Frontend.of(self._exchanges, site.profile),
            site.profile.migration_limit,
            site.now,
            self._clock.wall(),
        )

    def _dynamo_json(self, call: Call) -> Answer:
        site = self._site
        fleet = Fleet(0.0, (), (), 0, 0, 0, (0.0, 0.0), (0.0, 0.0))
        if site is not None:
            metrics, now = site.metrics, site.now
            fleet = Fleet(
                now,
                site.readings(histograms=False),
                list(metrics.recent),
                metrics.finished_total,
                metrics.failed_total,
                metrics.aborted_total,
                (metrics.depths.mean(now), metrics.depths.most(now)),
                (metrics.batches.mean(now), metrics.batches.most(now)),
            )
        return Answer(lambda: dynamo_view(fleet))

    def _kv_cache(self, call: Call) -> Answer:
        site, by_path = self._site, self._exchanges.by_path()
        if site is None:
            return Answer(kv_cache_view((), by_path, None, 0))
        readings, router, nodes = site.readings(False), site.profile.router, site.known_blocks
        return Answer(lambda: kv_cache_view(readings, by_path, router, nodes))

    async def _gpus(self) -> list[Sample]:
        site = self._site
        if site is None:
            return []
        return await self._collector.samples(site.instruments.telemetries, site.now)

    async def _dcgm(self, call: Call) -> Answer:
        if self._site is None:
            return _nothing()
        held = await self._gpus()
        return Answer(
            lambda: dcgm.exposition(held, self._settings), content_type=prometheus.CONTENT_TYPE
        )

    async def _dcgm_json(self, call: Call) -> Answer:
        held = await self._gpus()
        return Answer(lambda: dcgm.json_view(held))


def _nothing() -> Answer:
    return Answer(_NOTHING, content_type=prometheus.CONTENT_TYPE)
