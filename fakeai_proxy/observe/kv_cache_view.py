"""FakeAI's JSON view of the KV caches and of the router that looks at them, with true numbers.

Rates are percentages, lengths are tokens. A hit is a request of whose prompt something was cached.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fakeai_proxy.fleet.metrics import Counts, Reading
from fakeai_proxy.observe.exchanges import Hits
from fakeai_proxy.profiles.fleet import Router


def kv_cache_view(
    readings: Sequence[Reading], by_path: Mapping[str, Hits], router: Router | None, nodes: int
) -> dict[str, object]:
    """`nodes` are the different blocks that the router knows to be somewhere."""
    counts = [reading.counts for reading in readings]
    hits, misses = sum(c.hits for c in counts), sum(c.misses for c in counts)
    prompt_tokens = sum(c.prompt_tokens for c in counts)
    cached_tokens = sum(c.cached_tokens for c in counts)
    return {
        "cache_performance": {
            "cache_hit_rate": _percent(hits, hits + misses),
            "token_reuse_rate": _percent(cached_tokens, prompt_tokens),
            "total_cache_hits": hits,
            "total_cache_misses": misses,
            "total_tokens_processed": prompt_tokens,
            "cached_tokens_reused": cached_tokens,
            "average_prefix_length": round(cached_tokens / hits, 2) if hits else 0.0,
            "endpoint_stats": {path: each._asdict() for path, each in by_path.items()},
            "speedup_stats": _speedup(counts),
        },
        "smart_router": {
            "workers": {reading.name: _worker(reading) for reading in readings},
            "radix_tree": {
                "total_nodes": nodes,
                "total_cached_blocks": sum(reading.cached_blocks for reading in readings),
            },
            "config": _config(readings, router),
        },
    }


def _percent(part: float, whole: float) -> float:
    return round(100 * part / whole, 2) if whole else 0.0


def _worker(reading: Reading) -> dict[str, object]:
    counts = reading.counts
    active = reading.running + reading.waiting
    return {
        "active_requests": active,
        "total_requests": sum(counts.ended.values()) + active,
        "cached_blocks": reading.cached_blocks,
        "tokens_processed": counts.prompt_tokens + counts.generation_tokens,
    }


def _speedup(counts: Sequence[Counts]) -> dict[str, object]:
    """Of the hits: what their TTFT would have been with the cached tokens computed alone first."""
    hits = sum(c.hits for c in counts)
    actual_s = sum(c.cached_ttft_s for c in counts)
    if not hits or not actual_s:
        return {}
    baseline_s = sum(c.uncached_ttft_s for c in counts)
    return {
        "avg_baseline_ttft_ms": round(1000 * baseline_s / hits, 3),
        "avg_actual_ttft_ms": round(1000 * actual_s / hits, 3),
        "avg_speedup_ratio": round(baseline_s / actual_s, 3),
        "avg_cache_hit_ratio": _percent(sum(c.hit_shares for c in counts), hits),
        "total_speedup_records": hits,
    }


def _config(readings: Sequence[Reading], router: Router | None) -> dict[str, object]:
    """FakeAI weighs overlap against load; these are the weights of the policy in use."""
    scorers = router is not None and router.policy == "scorers"
    overlap = 0.0 if router is None else router.overlap_weight
    balance = 1.0 if router is not None else 0.0
    if router is not None and scorers:
        overlap, balance = router.prefix_weight, router.queue_weight
    return {
        "policy": None if router is None else router.policy,
        "kv_overlap_weight": overlap,
        "load_balance_weight": balance,
        "block_size": readings[0].pool.engine.block_size if readings else 0,
        "num_workers": len(readings),
    }
