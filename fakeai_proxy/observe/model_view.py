"""FakeAI's JSON views of the models: what each was asked, how long it took, what it cost.

Times are milliseconds, rates percentages, instants seconds since the epoch. Latencies are of answers that
came whole; a request that failed is in the counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from fakeai_proxy.observe.aggregates import DAY_MINUTES, Sums
from fakeai_proxy.observe.cell import Key, Place, Sum
from fakeai_proxy.observe.digest import Digest
from fakeai_proxy.observe.window import MINUTE_S

#: US dollars for what was used: its kind, model and labels, and the amounts.
Bill = Callable[[Place, Mapping[str, int]], Decimal]
_HOUR_S = 3600
QUANTILES = (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99))
#: What can be ranked by.
RANKS: dict[str, Callable[[Mapping[str, Any]], float]] = {
    "request_count": lambda model: model["request_count"],
    "latency": lambda model: model["latency"]["avg_ms"],
    "error_rate": lambda model: model["errors"]["rate_percent"],
    "cost": lambda model: model["cost"]["total_usd"],
    "tokens": lambda model: model["tokens"]["total"],
}


class Model(NamedTuple):
    """`usd` is exact."""

    name: str
    whole: Sum
    endpoints: Counter[str]
    users: Counter[str]
    usd: Decimal


def models_of(sums: Sums, bill: Bill) -> list[Model]:
    """In the order of their names; what names no model is left out."""
    cells: dict[str, list[tuple[Key, Sum]]] = {}
    for key, cell in sums.cells.items():
        if key.model:
            cells.setdefault(key.model, []).append((key, cell))
    return [_model(name, cells[name], bill) for name in sorted(cells)]


def _model(name: str, cells: Sequence[tuple[Key, Sum]], bill: Bill) -> Model:
    whole = Sum.of(cell for _, cell in cells)
    endpoints: Counter[str] = Counter()
    users: Counter[str] = Counter()
    for key, cell in cells:
        endpoints[key.endpoint] += cell.requests
        users[key.user] += cell.requests
    return Model(name, whole, endpoints, users, cost_of((whole,), bill))


def cost_of(cells: Iterable[Sum], bill: Bill) -> Decimal:
    return sum(
        (bill(place, amounts) for cell in cells for place, amounts in cell.used.items()), Decimal(0)
    )


def by_model(sums: Sums, bill: Bill) -> dict[str, dict[str, Any]]:
    epoch_s = sums.epoch_s
    return {model.name: _told(model, epoch_s) for model in models_of(sums, bill)}


def one_model(sums: Sums, bill: Bill, name: str) -> dict[str, Any]:
    found = by_model(sums, bill).get(name)
    return found or {"model": name, "request_count": 0, "error": "Model not found"}


def _told(model: Model, epoch_s: float) -> dict[str, Any]:
    whole, usd = model.whole, float(model.usd)
    return {
        "model": model.name,
        "request_count": whole.requests,
        "tokens": {
            "prompt": whole.prompt_tokens,
            "completion": whole.output_tokens,
            "total": whole.tokens,
        },
        "latency": {"avg_ms": _ms(whole.latency.mean), **quantiles_ms(whole.latency)},
        "errors": {
            "count": whole.errors,
            "rate_percent": round(100 * whole.errors / max(1, whole.requests), 3),
        },
        "cost": {"total_usd": usd, "per_request_usd": usd / max(1, whole.requests)},
        "endpoints": dict(model.endpoints),
        "users": dict(model.users),
        "uptime_seconds": round(whole.last_at - whole.first_at, 3),
        "first_request": round(epoch_s + whole.first_at, 3),
        "last_request": round(epoch_s + whole.last_at, 3),
    }


def quantiles_ms(digest: Digest) -> dict[str, float]:
    return {name: _ms(digest.quantile(share)) for name, share in QUANTILES}


def compared(sums: Sums, bill: Bill, first: str, second: str) -> dict[str, Any]:
    """The delta is the second's less the first's. Of two that are alike the second wins, as with FakeAI."""
    models = by_model(sums, bill)
    if first not in models or second not in models:
        return {"error": "One or both models not found", "model1": first, "model2": second}
    one, other = models[first], models[second]
    values = {
        "request_count": ("request_count",),
        "avg_latency_ms": ("latency", "avg_ms"),
        "error_rate_percent": ("errors", "rate_percent"),
        "total_cost_usd": ("cost", "total_usd"),
        "cost_per_request_usd": ("cost", "per_request_usd"),
        "total_tokens": ("tokens", "total"),
    }
    comparison = {name: _delta(_at(one, path), _at(other, path)) for name, path in values.items()}
    winners = {"latency": "avg_latency_ms", "error_rate": "error_rate_percent",
               "cost_efficiency": "cost_per_request_usd"}  # fmt: skip
    return {
        "model1": first,
        "model2": second,
        "comparison": comparison,
        "winner": {
            name: first
            if (_is_unknown(one, name), comparison[by]["model1"])
            < (_is_unknown(other, name), comparison[by]["model2"])
            else second
            for name, by in winners.items()
        },
    }


def _is_unknown(model: Mapping[str, Any], winner: str) -> bool:
    """Nobody knows how fast or dear a model is that has answered nothing."""
    return winner != "error_rate" and bool(model["request_count"] <= model["errors"]["count"])


def _at(told: Mapping[str, Any], path: tuple[str, ...]) -> float:
    value: Any = told
    for name in path:
        value = value[name]
    return float(value) if isinstance(value, float) else int(value)


def _delta(one: float, other: float) -> dict[str, float]:
    change = (other - one) / one * 100 if one > 0 else 0.0
    return {"model1": one, "model2": other, "delta": other - one, "percent_change": change}


def ranked(sums: Sums, bill: Bill, metric: str, limit: int) -> list[dict[str, Any]]:
    return sorted(by_model(sums, bill).values(), key=RANKS[metric], reverse=True)[:limit]


def costs(sums: Sums, bill: Bill) -> dict[str, Any]:
    models = models_of(sums, bill)
    return {
        "costs_by_model": {model.name: float(model.usd) for model in models},
        "total_cost_usd": float(sum((model.usd for model in models), Decimal(0))),
    }


def multi_dimensional(sums: Sums, bill: Bill) -> dict[str, Any]:
    """Hours of the last day in which something was asked; `timestamp` is when they began."""
    models = models_of(sums, bill)
    return {
        "model_by_endpoint": {model.name: dict(model.endpoints) for model in models},
        "model_by_user": {model.name: dict(model.users) for model in models},
        "model_by_time_24h": {
            name: _by_hour(sums, counts) for name, counts in sums.minutes.items()
        },
    }


def _by_hour(sums: Sums, counts: Sequence[int]) -> list[dict[str, int]]:
    last_minute = int(sums.now) // MINUTE_S
    hours: Counter[int] = Counter()
    for place, count in enumerate(counts):
        if count:
            at = sums.epoch_s + (last_minute - DAY_MINUTES + 1 + place) * MINUTE_S
            hours[int(at) // _HOUR_S * _HOUR_S] += count
    return [{"timestamp": hour, "count": hours[hour]} for hour in sorted(hours)]


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 3)
