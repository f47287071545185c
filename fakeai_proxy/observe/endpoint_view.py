"""FakeAI's views of the endpoints in the last minute, as JSON and CSV, and of how healthy all of that is.

Times are seconds, rates are per second. A request is counted when it ends.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from typing import Any

from fakeai_proxy.observe.aggregates import Sums
from fakeai_proxy.observe.digest import Digest
from fakeai_proxy.observe.window import MINUTE_S, Second

#: Shares of requests that fail, in percent, above which a server is no longer well.
_DEGRADED_PERCENT, _UNHEALTHY_PERCENT = 5, 10
_QUANTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))

_Spread = dict[str, float]
#: Kind of metric -> what it says of an endpoint within so many seconds.
_KINDS: dict[str, Callable[[Second, float], _Spread]] = {
    "requests": lambda second, span_s: _ones(second.requests, span_s),
    "responses": lambda second, span_s: _ones(second.requests - second.errors, span_s),
    "tokens": lambda second, span_s: _spread(second.tokens, second.tokens.sum, span_s),
    "errors": lambda second, span_s: _ones(second.errors, span_s),
    "latency": lambda second, span_s: _spread(second.latency, second.latency.count, span_s),
    "streaming": lambda second, span_s: _spread(second.ttft, second.ttft.count, span_s),
}


def span_s(sums: Sums) -> float:
    """What the last minute's sums are of: less than a minute while the server is young."""
    return min(float(MINUTE_S), max(1.0, sums.now - sums.began_at))


def core(sums: Sums) -> dict[str, Any]:
    """`streaming` has the TTFT of each endpoint's streams."""
    span, whole = span_s(sums), Second.of(sums.seconds.values())
    by_kind: dict[str, Any] = {
        kind: {endpoint: of(second, span) for endpoint, second in sorted(sums.seconds.items())}
        for kind, of in _KINDS.items()
    }
    by_kind["streaming_stats"] = {
        "active_streams": sums.active_streams,
        "completed_streams": whole.streams_done,
        "failed_streams": whole.streams_failed,
        "ttft": _quantiles(whole.ttft),
        "tokens_per_second": _quantiles(whole.speed),
    }
    return by_kind


def as_csv(sums: Sums) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ("metric_type", "endpoint", "rate", "avg_latency", "min_latency", "max_latency",
         "p50_latency", "p90_latency", "p99_latency")
    )  # fmt: skip
    told = core(sums)
    for kind in _KINDS:
        for endpoint, values in told[kind].items():
            writer.writerow((kind, _cell(endpoint), *(f"{value:.6g}" for value in values.values())))
    return text.getvalue()


def detailed_health(sums: Sums, state: str, wall: float) -> dict[str, Any]:
    """`state` is what the fleet says; a server that is up is worse where many requests fail."""
    span, whole = span_s(sums), Second.of(sums.seconds.values())
    failing = round(100 * whole.errors / max(1, whole.requests), 3)
    if state == "healthy" and failing > _DEGRADED_PERCENT:
        state = "unhealthy" if failing > _UNHEALTHY_PERCENT else "degraded"
    return {
        "status": state,
        "timestamp": round(wall, 3),
        "uptime_seconds": round(sums.now, 3),
        "metrics_summary": {
            "total_requests_per_second": round(whole.requests / span, 3),
            "total_errors_per_second": round(whole.errors / span, 3),
            "error_rate_percentage": failing,
            "average_latency_seconds": round(whole.latency.mean, 6),
            "active_streams": sums.active_streams,
        },
        "endpoints": {
            endpoint: {
                "requests_per_second": round(second.requests / span, 3),
                "latency_p50_seconds": round(second.latency.quantile(0.5), 6),
                "latency_p99_seconds": round(second.latency.quantile(0.99), 6),
                "errors_per_second": round(second.errors / span, 3),
            }
            for endpoint, second in sorted(sums.seconds.items())
        },
    }


def _ones(count: int, span: float) -> _Spread:
    """Of events, each of which counts 1."""
    one = 1.0 if count else 0.0
    return {"rate": round(count / span, 4), **dict.fromkeys(
        ("avg", "min", "max", "p50", "p90", "p99"), one)}  # fmt: skip


def _spread(digest: Digest, amount: float, span: float) -> _Spread:
    least = digest.least if digest.count else 0.0
    return {
        "rate": round(amount / span, 4),
        "avg": round(digest.mean, 6),
        "min": round(least, 6),
        "max": round(digest.most, 6),
        **_quantiles(digest),
    }


def _quantiles(digest: Digest) -> Mapping[str, float]:
    return {name: round(digest.quantile(share), 6) for name, share in _QUANTILES}


def _cell(text: str) -> str:
    """A path cannot be a formula for whoever opens it as a sheet."""
    return "'" + text if text[:1] in ("=", "+", "-", "@") else text
