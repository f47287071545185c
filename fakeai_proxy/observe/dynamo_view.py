"""FakeAI's JSON view of Dynamo's metrics, with true numbers: of the last 60 s unless it says total.

Times are milliseconds, rates are per second, shares percentages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from fakeai_proxy.fleet.metrics import RECENT_S, Finished, Reading


class Fleet(NamedTuple):
    """At the instant `now`. `depths` and `batches` are mean and maximum."""

    now: float
    readings: Sequence[Reading]
    recent: Sequence[Finished]
    finished: int
    failed: int
    aborted: int
    depths: tuple[float, float]
    batches: tuple[float, float]


_TIMES: dict[str, Callable[[Finished], float | None]] = {
    "ttft": lambda each: each.ttft_s,
    "itl": lambda each: each.itl_s,
    "total": lambda each: each.total_s,
    "queue": lambda each: each.queue_s,
    "prefill": lambda each: each.prefill_s,
    "decode": lambda each: each.decode_s,
}


def dynamo_view(fleet: Fleet) -> dict[str, object]:
    readings = fleet.readings
    recent = [each for each in fleet.recent if each.at > fleet.now - RECENT_S]
    done = [each for each in recent if each.ok]
    active = sum(reading.running + reading.waiting for reading in readings)
    ended = fleet.finished + fleet.failed + fleet.aborted
    return {
        "summary": {
            "total_requests": ended + active,
            "successful_requests": fleet.finished,
            "failed_requests": fleet.failed + fleet.aborted,
            "active_requests": active,
        },
        "latency": {name: _spread(map(of, done)) for name, of in _TIMES.items()},
        "throughput": _throughput(fleet, recent),
        "queue": {
            "current_depth": sum(reading.waiting for reading in readings),
            "max_depth": int(fleet.depths[1]),
            "avg_depth": round(fleet.depths[0], 3),
        },
        "batch": {
            "current_size": sum(reading.running for reading in readings),
            "avg_size": round(fleet.batches[0], 3),
            "max_size": int(fleet.batches[1]),
        },
        "cache": _cache(readings, recent),
        "disaggregation": _disaggregation(readings),
        "per_model": _by_model(done),
    }


def _throughput(fleet: Fleet, recent: Sequence[Finished]) -> dict[str, float]:
    """Of requests that ended in the window, which is shorter while the fleet is young and where more
    requests ended than are remembered."""
    kept = fleet.recent
    since = max(0.0, fleet.now - RECENT_S)
    if kept and len(kept) < fleet.finished + fleet.failed + fleet.aborted:
        since = max(since, kept[0].at)
    span_s = max(fleet.now - since, 1.0)
    prompts = sum(each.prompt_tokens for each in recent) / span_s
    outputs = sum(each.output_tokens for each in recent) / span_s
    return {
        "requests_per_second": round(len(recent) / span_s, 3),
        "tokens_per_second": round(prompts + outputs, 3),
        "input_tokens_per_second": round(prompts, 3),
        "output_tokens_per_second": round(outputs, 3),
    }


def _cache(readings: Sequence[Reading], recent: Sequence[Finished]) -> dict[str, float]:
    prompts = sum(each.prompt_tokens for each in recent)
    cached = sum(each.cached_tokens for each in recent)
    block = readings[0].pool.engine.block_size if readings else 1
    shares = [each.cached_tokens / max(1, each.prompt_tokens) for each in recent]
    return {
        "hit_rate": round(100 * cached / prompts, 2) if prompts else 0.0,
        "avg_overlap_score": round(sum(shares) / len(shares), 4) if shares else 0.0,
        "avg_blocks_matched": round(cached / block / len(recent), 3) if recent else 0.0,
        "total_cached_tokens": sum(reading.counts.cached_tokens for reading in readings),
    }


def _disaggregation(readings: Sequence[Reading]) -> dict[str, float]:
    """Totals. A worker of both roles does neither for another one."""
    ended = {"both": 0, "prefill": 0, "decode": 0}
    for reading in readings:
        ended[reading.pool.role] += sum(reading.counts.ended.values())
    whole = max(1, sum(ended.values()))
    return {
        "prefill_requests": ended["prefill"],
        "decode_requests": ended["decode"],
        "prefill_ratio": round(ended["prefill"] / whole, 4),
        "decode_ratio": round(ended["decode"] / whole, 4),
        "kv_transfer_bytes": round(sum(reading.received_bytes for reading in readings)),
        "kv_transfer_time_ms": round(1000 * sum(r.counts.transfer_s for r in readings), 3),
    }


def _by_model(done: Sequence[Finished]) -> dict[str, dict[str, float]]:
    models: dict[str, list[Finished]] = {}
    for each in done:
        models.setdefault(each.model, []).append(each)
    return {
        model: {
            "requests": len(requests),
            "total_tokens": sum(r.prompt_tokens + r.output_tokens for r in requests),
            "avg_ttft_ms": _spread(r.ttft_s for r in requests)["avg"],
            "avg_itl_ms": _spread(r.itl_s for r in requests)["avg"],
        }
        for model, requests in sorted(models.items())
    }


def _spread(seconds: Iterable[float | None]) -> dict[str, float]:
    ranked = sorted(1000 * each for each in seconds if each is not None)
    if not ranked:
        return {"avg": 0.0, "p50": 0.0, "p90": 0.0, "p99": 0.0}
    spread = {"avg": round(sum(ranked) / len(ranked), 3)}
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        spread[name] = round(ranked[min(len(ranked) - 1, int(share * len(ranked)))], 3)
    return spread
