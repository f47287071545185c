"""FakeAI's metric routes over the aggregates: by endpoint, by model, by key, and a stream of them. Shapes
are FakeAI's, numbers are true. Views are made in a thread, from a snapshot of all processes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.clock import Clock
from fakeai_proxy.observe import aggregate_text, endpoint_view, model_view, throttle_view
from fakeai_proxy.observe.aggregates import Aggregates, Sums
from fakeai_proxy.observe.metric_stream import MetricStream
from fakeai_proxy.observe.model_view import Bill
from fakeai_proxy.observe.pages import Answer, Call, Handler, Parameter, Route, Socket
from fakeai_proxy.observe.prometheus import CONTENT_TYPE, page
from fakeai_proxy.observe.throttle_view import Limits
from fakeai_proxy.shaping.limits import Limiter

_CSV = "text/csv; charset=utf-8"
_COMPARE = (
    Parameter("model1", "One of the two.", required=True),
    Parameter("model2", "The other one.", required=True),
)
_RANK = (
    Parameter("metric", "What to rank by, the most first.", default="request_count",
              choices=tuple(model_view.RANKS)),
    Parameter("limit", "At most so many.", "integer", 10, 1, 100),
)  # fmt: skip

View = Callable[[Sums, Call], object]


class UsagePages:
    def __init__(self, aggregates: Aggregates, limiter: Limiter, bill: Bill, clock: Clock) -> None:
        """`bill` prices what was used as an organization's costs do."""
        self._aggregates = aggregates
        self._limiter = limiter
        self._bill = bill
        self._clock = clock

    def routes(self) -> tuple[Route, ...]:
        """Names come after what has a name of its own."""
        bill, models, metrics = self._bill, "/metrics/by-model", "/metrics"
        return (
            Route("GET", f"{metrics}/json", self.core,
                  "The last minute by endpoint: requests, tokens, errors, latency, streams."),
            Route("GET", f"{metrics}/csv", self._view(lambda s, c: endpoint_view.as_csv(s), _CSV),
                  "The same as a table."),
            Route("GET", f"{metrics}/prometheus", self._text(aggregate_text.by_endpoint),
                  "The same for Prometheus."),
            Route("GET", models, self._view(lambda s, c: model_view.by_model(s, bill)),
                  "Every model: requests, tokens, latency, errors, cost, by whom."),
            Route("GET", f"{models}/prometheus",
                  self._text(lambda sums: aggregate_text.by_model(sums, bill)),
                  "The models for Prometheus."),
            Route("GET", f"{models}/{{model:path}}",
                  self._view(lambda s, c: model_view.one_model(s, bill, c.params["model"])),
                  "One model; of one that nobody asked for, `error`, with 200 as FakeAI has it."),
            Route("GET", f"{metrics}/compare",
                  self._view(lambda s, c: model_view.compared(s, bill, c.query["model1"],
                                                              c.query["model2"])),
                  "Two models side by side.", _COMPARE),
            Route("GET", f"{metrics}/ranking",
                  self._view(lambda s, c: model_view.ranked(s, bill, c.query["metric"],
                                                            c.query["limit"])),
                  "Models by one of their numbers.", _RANK),
            Route("GET", f"{metrics}/costs", self._view(lambda s, c: model_view.costs(s, bill)),
                  "What the requests of each model cost, by the price list of the bills."),
            Route("GET", f"{metrics}/multi-dimensional",
                  self._view(lambda s, c: model_view.multi_dimensional(s, bill)),
                  "Models by endpoint, by key, and by hour of the last day."),
            *self._limits_routes(f"{metrics}/rate-limits"),
            Route("GET", f"{metrics}/stream", _not_a_socket,
                  "A WebSocket that tells all of this as often as asked for."),
        )  # fmt: skip

    def _limits_routes(self, path: str) -> tuple[Route, ...]:
        return (
            Route("GET", path, self._limits(throttle_view.overview),
                  "Rate limits: keys, tiers, refusals."),
            Route("GET", f"{path}/key/{{key}}", self._key,
                  "One key, by its id or by the name that the limits have for it."),
            Route("GET", f"{path}/tier", self._limits(throttle_view.tiers),
                  "The keys of the tier in force, together."),
            Route("GET", f"{path}/throttle-analytics",
                  self._view(lambda s, c: throttle_view.throttling(s)),
                  "What was refused, for want of what, and how long it was told to wait."),
            Route("GET", f"{path}/abuse-patterns", self._limits(throttle_view.abuse),
                  "Keys of whose requests most are refused."),
        )  # fmt: skip

    def sockets(self) -> dict[str, Callable[[], Socket]]:
        """By path."""
        return {"/metrics/stream": lambda: MetricStream(self._aggregates.of_all, self._clock.wall)}

    async def core(self, call: Call) -> Answer:
        sums = await self._aggregates.of_all()
        return Answer(lambda: endpoint_view.core(sums))

    def _view(self, view: View, content_type: str = "application/json") -> Handler:
        async def handler(call: Call) -> Answer:
            sums = await self._aggregates.of_all()
            return Answer(lambda: view(sums, call), content_type=content_type)

        return handler

    def _text(self, families: Callable[[Sums], Any]) -> Handler:
        return self._view(lambda sums, call: page(families(sums)), CONTENT_TYPE)

    async def _in_force(self) -> Limits:
        limiter = self._limiter
        return Limits(next(iter(limiter.in_force), "none"), await limiter.status_of_all())

    def _limits(self, view: Callable[[Sums, Limits], object]) -> Handler:
        async def handler(call: Call) -> Answer:
            sums, limits = await self._aggregates.of_all(), await self._in_force()
            return Answer(lambda: view(sums, limits))

        return handler

    async def _key(self, call: Call) -> Answer:
        wanted = call.params["key"]
        sums, limits = await self._aggregates.of_all(), await self._in_force()
        told = throttle_view.one_key(sums, limits, wanted)
        if told is None:
            raise errors.no_such_key_counted(errors.shown(wanted))
        return Answer(told)


def _not_a_socket(call: Call) -> Answer:
    raise errors.websocket_wanted(call.request.path)
