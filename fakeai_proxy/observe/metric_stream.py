"""FakeAI's stream of metrics over a WebSocket: what its messages say. Knows no socket; whoever drives it
passes in what came and asks for what is due.

On connecting, `historical_data`; then `metrics_update` every so many seconds, of what was subscribed to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fakeai_proxy.observe.aggregates import Sums
from fakeai_proxy.observe.cell import Sum
from fakeai_proxy.observe.endpoint_view import span_s
from fakeai_proxy.observe.model_view import quantiles_ms
from fakeai_proxy.observe.window import Second

MESSAGE_BYTES_MAX = 64 << 10
#: Names in one subscription.
_NAMES_MAX = 100


class Filters(BaseModel):
    """What a client wants to hear of; all of it where nothing is named."""

    model_config = ConfigDict(frozen=True)

    endpoint: str | None = None
    model: str | None = None
    metric_type: str | None = None
    interval: float | None = Field(None, ge=0.1, le=3600)


class _Message(BaseModel):
    type: str
    filters: Filters = Filters()


class MetricStream:
    """`sums` are of all processes; `wall` is the time."""

    message_bytes_max = MESSAGE_BYTES_MAX

    def __init__(self, sums: Callable[[], Awaitable[Sums]], wall: Callable[[], float]) -> None:
        self._sums = sums
        self._wall = wall
        self._due_at = 0.0
        self._clear()

    def _clear(self) -> None:
        self._endpoints: list[str] = []
        self._models: list[str] = []
        self._types: list[str] = []
        self._interval_s = 1.0

    async def open(self, now: float) -> Sequence[bytes]:
        self._due_at = now + self._interval_s
        return [self._said("historical_data", data=self._view(await self._sums()))]

    def receive(self, message: str | bytes, now: float) -> Sequence[bytes]:
        try:
            asked = _Message.model_validate_json(message)
        except ValidationError as error:
            said = error.errors(include_url=False, include_input=False)[0]
            return [
                self._said("error", message=f"{said['msg']}: {'.'.join(map(str, said['loc']))}")
            ]
        if asked.type == "ping":
            return [self._said("pong")]
        if asked.type == "subscribe":
            self._subscribe(asked.filters)
        elif asked.type == "unsubscribe":
            self._clear()
        else:
            said_types = "subscribe, unsubscribe and ping"
            return [self._said("error", message=f"There is no such type; there are {said_types}.")]
        self._due_at = min(self._due_at, now + self._interval_s)
        filters = {
            "endpoints": self._endpoints,
            "models": self._models,
            "metric_types": self._types,
            "interval": self._interval_s,
        }
        return [self._said(f"{asked.type}d", filters=filters)]

    def _subscribe(self, wanted: Filters) -> None:
        for known, name in (
            (self._endpoints, wanted.endpoint),
            (self._models, wanted.model),
            (self._types, wanted.metric_type),
        ):
            if name and name != "all" and name not in known and len(known) < _NAMES_MAX:
                known.append(name)
        self._interval_s = wanted.interval or self._interval_s

    @property
    def due_at(self) -> float:
        return self._due_at

    async def update(self, now: float) -> Sequence[bytes]:
        """From one instant to the next, however late this one is."""
        self._due_at = max(self._due_at + self._interval_s, now)
        return [self._said("metrics_update", data=self._view(await self._sums()))]

    def _said(self, kind: str, **more: object) -> bytes:
        return orjson.dumps({"type": kind, "timestamp": round(self._wall(), 3), **more})

    def _view(self, sums: Sums) -> dict[str, Any]:
        wanted = [
            key for key in sums.cells
            if (not self._endpoints or key.endpoint in self._endpoints)
            and (not self._models or key.model in self._models)
        ]  # fmt: skip
        endpoints = {key.endpoint for key in wanted}
        seconds = {name: each for name, each in sorted(sums.seconds.items()) if name in endpoints}
        whole, span = Second.of(seconds.values()), span_s(sums)
        cells = Sum.of(sums.cells[key] for key in wanted)
        parts: dict[str, Callable[[], object]] = {
            "throughput": lambda: _throughput(seconds, whole, span),
            "latency": lambda: {name: _latency(each) for name, each in seconds.items()},
            "cache": lambda: _cache(cells),
            "queue": lambda: {"active_streams": sums.active_streams},
            "streaming": lambda: {
                "active_streams": sums.active_streams,
                "completed_streams": whole.streams_done,
                "failed_streams": whole.streams_failed,
                "ttft_ms": quantiles_ms(whole.ttft),
            },
            "error": lambda: {
                "errors_per_sec": {n: round(e.errors / span, 4) for n, e in seconds.items()},
                "total_errors_per_sec": round(whole.errors / span, 4),
                "error_rate_percent": round(100 * whole.errors / max(1, whole.requests), 3),
            },
        }
        return {
            name: part() for name, part in parts.items() if not self._types or name in self._types
        }


def _throughput(seconds: dict[str, Second], whole: Second, span: float) -> dict[str, object]:
    return {
        "requests_per_sec": {name: round(e.requests / span, 4) for name, e in seconds.items()},
        "total_requests_per_sec": round(whole.requests / span, 4),
        "tokens_per_sec": {name: round(e.tokens.sum / span, 3) for name, e in seconds.items()},
        "total_tokens_per_sec": round(whole.tokens.sum / span, 3),
    }


def _latency(second: Second) -> dict[str, float]:
    digest = second.latency
    return {
        "avg": round(1000 * digest.mean, 3),
        "min": round(1000 * digest.least, 3) if digest.count else 0.0,
        "max": round(1000 * digest.most, 3),
        **quantiles_ms(digest),
    }


def _cache(cells: Sum) -> dict[str, float]:
    """Of the prompts, how much was cached, in percent."""
    share = cells.cached_tokens / max(1, cells.prompt_tokens)
    return {"hit_rate": round(100 * share, 2), "cached_tokens": cells.cached_tokens}
