"""Pages of the fleet's metrics: Prometheus text under the names of each server, and FakeAI's JSON
views. A snapshot is taken on the event loop, a thread renders it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple

from fakeai_proxy.clock import Clock
from fakeai_proxy.fleet.metrics import Finished, Reading
from fakeai_proxy.fleet.sample import Sample
from fakeai_proxy.fleet.site import Site
from fakeai_proxy.fleet.union import union
from fakeai_proxy.observe import dcgm, dynamo, prometheus, sglang, vllm
from fakeai_proxy.observe.collecting import Collector
from fakeai_proxy.observe.dynamo_view import Fleet, dynamo_view
from fakeai_proxy.observe.exchanges import ExchangeCounts
from fakeai_proxy.observe.kv_cache_view import kv_cache_view
from fakeai_proxy.observe.pages import JSON, Answer, Call, Handler, Route
from fakeai_proxy.shared.commons import Commons

_NOTHING = "# No fleet is simulated: start with --profile and the name of one.\n"


class Snapshot(NamedTuple):
    """At the instant `now` of the fleet, which is `wall` seconds after the epoch."""

    readings: Sequence[Reading]
    frontend: dynamo.Frontend
    migration_limit: int
    now: float
    wall: float


class Share(NamedTuple):
    """What one process has to say of its share of the fleet. `ended` are requests that finished, failed
    and were aborted; `depths` and `batches` mean and maximum of the last minute."""

    readings: Sequence[Reading]
    exchanges: ExchangeCounts
    recent: Sequence[Finished]
    ended: tuple[int, int, int]
    depths: tuple[float, float]
    batches: tuple[float, float]
    known_blocks: int


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
        commons: Commons,
    ) -> None:
        self._commons = commons
        commons.offer("metrics", self._share)
        commons.offer("gpus", self._own_gpus)
        self._site = site
        self._exchanges = exchanges
        self._settings = settings
        self._clock = clock
        self._collector = Collector(settings)

    def routes(self, core: Handler) -> tuple[Route, ...]:
        """`core` answers who asks for JSON at /metrics."""
        whole = ["vllm"]
        if self._site is not None and self._site.profile.server in ("sglang", "dynamo"):
            whole.append(self._site.profile.server)
        return (
            Route("GET", "/metrics", self._negotiated(self._text(*whole), core),
                  "The fleet's metrics for Prometheus: vLLM's, and those of the server it models. Who "
                  "accepts application/json gets /metrics/json."),
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

    @staticmethod
    def _negotiated(text: Handler, core: Handler) -> Handler:
        def handler(call: Call) -> Answer | Awaitable[Answer]:
            accepts = call.request.text_header(b"accept")
            return core(call) if JSON in accepts and "text/plain" not in accepts else text(call)

        return handler

    def _text(self, *servers: str) -> Handler:
        families = [_FAMILIES[server] for server in servers]

        async def handler(call: Call) -> Answer:
            site = self._site
            if site is None:
                return _nothing()
            seen = self._snapshot(site, await self._shares(histograms=True))
            return Answer(
                lambda: prometheus.page(*(part(seen) for part in families)),
                content_type=prometheus.CONTENT_TYPE,
            )

        return handler

    def _snapshot(self, site: Site, shares: Sequence[Share]) -> Snapshot:
        return Snapshot(
            union(share.readings for share in shares),
            dynamo.Frontend.of(ExchangeCounts.sum(s.exchanges for s in shares), site.profile),
            site.profile.migration_limit,
            site.now,
            self._clock.wall(),
        )

    async def _shares(self, histograms: bool = False, requests: bool = False) -> list[Share]:
        """What each process has to say."""
        found: list[Share] = await self._commons.gather("metrics", histograms, requests)
        return found

    def _share(self, histograms: bool, requests: bool) -> Share:
        site = self._site
        if site is None:
            return Share((), self._exchanges.copy(), (), (0, 0, 0), (0.0, 0.0), (0.0, 0.0), 0)
        metrics, now = site.metrics, site.now
        return Share(
            site.readings(histograms),
            self._exchanges.copy(),
            list(metrics.recent) if requests else (),
            (metrics.finished_total, metrics.failed_total, metrics.aborted_total),
            (metrics.depths.mean(now), metrics.depths.most(now)),
            (metrics.batches.mean(now), metrics.batches.most(now)),
            site.known_blocks,
        )

    async def _dynamo_json(self, call: Call) -> Answer:
        site = self._site
        if site is None:
            nothing = Fleet(0.0, (), (), 0, 0, 0, (0.0, 0.0), (0.0, 0.0))
            return Answer(lambda: dynamo_view(nothing))
        shares, now = await self._shares(requests=True), site.now
        finished, failed, aborted = (
            sum(each) for each in zip(*(s.ended for s in shares), strict=True)
        )
        fleet = Fleet(
            now,
            union(share.readings for share in shares),
            sorted((one for share in shares for one in share.recent), key=lambda one: one.at),
            finished,
            failed,
            aborted,
            _over_all([share.depths for share in shares]),
            _over_all([share.batches for share in shares]),
        )
        return Answer(lambda: dynamo_view(fleet))

    async def _kv_cache(self, call: Call) -> Answer:
        site, shares = self._site, await self._shares()
        by_path = ExchangeCounts.sum(share.exchanges for share in shares).by_path()
        if site is None:
            return Answer(kv_cache_view((), by_path, None, 0))
        readings, router = union(share.readings for share in shares), site.profile.router
        nodes = sum(share.known_blocks for share in shares)
        return Answer(lambda: kv_cache_view(readings, by_path, router, nodes))

    async def _own_gpus(self) -> list[Sample]:
        site = self._site
        if site is None:
            return []
        return await self._collector.samples(site.own_telemetries, site.now)

    async def _gpus(self) -> list[Sample]:
        """In the order of nodes and slots."""
        parts = await self._commons.gather("gpus")
        if len(parts) == 1:
            return list(parts[0])
        return sorted((one for part in parts for one in part), key=dcgm.position)

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


def _over_all(each: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Of processes that look at themselves alone: the mean of the means, the largest of the maxima."""
    return sum(mean for mean, _ in each) / len(each), max(most for _, most in each)


def _nothing() -> Answer:
    return Answer(_NOTHING, content_type=prometheus.CONTENT_TYPE)
