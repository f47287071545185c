"""FakeAI's JSON views of rate limits: how each key and each tier fares, and whom the limits slow down.

Times are milliseconds. A key is called by its id, or by the name that the limits have for it; never by
itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fakeai_proxy.observe.aggregates import Sums
from fakeai_proxy.observe.cell import Sum
from fakeai_proxy.observe.digest import Digest
from fakeai_proxy.observe.window import MINUTE_S

#: Shares of a key's requests above which its throttling is high.
_HIGH_RATE = 0.5
#: The share of a quota from which it counts as used up.
_EXHAUSTED = 0.9
_REQUESTS, _TOKENS = ("rpm", "rpd"), ("tpm", "tpd", "itpm", "otpm")
_WAITS_MS = (100, 500, 1_000, 5_000, 10_000, 30_000, 60_000)
_QUANTILES = (("median", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99))


class Limits(NamedTuple):
    """`tier` is NAME:TIER of what is in force, "none" for nothing. `rows` are those of the limiter's
    status."""

    tier: str
    rows: Sequence[Mapping[str, Any]]

    def used(self, amount: str, name: str) -> float:
        """The share of a key's quota, or of those that it shares with others, that is used."""
        shares = [
            1 - row["remaining"] / row["limit"]
            for row in self.rows
            if row["amount"] == amount and row["limit"] and row["owner"] in (name, *_shared(row))
        ]
        return round(max(shares, default=0.0), 4)


def _shared(row: Mapping[str, Any]) -> tuple[str, ...]:
    return () if row["scope"] == "key" else (str(row["owner"]),)


def by_key(sums: Sums) -> dict[str, Sum]:
    cells: dict[str, list[Sum]] = {}
    for key, cell in sums.cells.items():
        cells.setdefault(key.user, []).append(cell)
    return {user: Sum.of(each) for user, each in cells.items()}


def overview(sums: Sums, limits: Limits) -> dict[str, Any]:
    keys = by_key(sums)
    return {
        "summary": {
            "total_keys": len(keys),
            "total_throttle_events": sum(each.throttled for each in keys.values()),
            "tiers": [limits.tier],
        },
        "tier_stats": tiers(sums, limits),
        "throttle_analytics": throttling(sums),
        "abuse_patterns": abuse(sums, limits),
    }


def one_key(sums: Sums, limits: Limits, wanted: str) -> dict[str, Any] | None:
    for name, each in by_key(sums).items():
        if wanted in (name, each.limits_name):
            return _told(name, each, sums, limits)
    return None


def _is_busy(each: Sum, sums: Sums) -> bool:
    """Whether it asked something within this minute."""
    return each.minute == int(sums.now) // MINUTE_S


def _told(name: str, each: Sum, sums: Sums, limits: Limits) -> dict[str, Any]:
    allowed = each.requests - each.throttled
    rate = each.throttled / max(1, each.requests)
    wait_ms = 1000 * each.wait_s.sum
    return {
        "api_key": name,
        "tier": limits.tier,
        "time_in_service_seconds": round(max(0.0, sums.now - each.first_at), 3),
        "requests": {
            "total_attempted": each.requests,
            "total_allowed": allowed,
            "total_throttled": each.throttled,
            "throttle_rate": round(rate, 4),
            "success_rate": round(1 - rate, 4),
        },
        "tokens": {
            "total_requested": each.tokens,
            "total_consumed": each.tokens,
            "efficiency": 1.0 if each.tokens else 0.0,
        },
        "throttling": {
            "total_throttle_time_ms": round(wait_ms, 3),
            "avg_retry_after_ms": round(wait_ms / max(1, each.throttled), 3),
            "throttle_event_count": each.throttled,
            "recent_retry_count": each.minute_throttled if _is_busy(each, sums) else 0,
        },
        "usage_patterns": {
            "current_burst_requests": each.minute_requests if _is_busy(each, sums) else 0,
            "peak_rpm": each.peak_requests,
            "peak_tpm": round(each.peak_tokens),
            "last_request_time": round(sums.epoch_s + each.last_at, 3),
        },
        "quota_utilization": {
            "rpm_utilization": limits.used("rpm", each.limits_name),
            "tpm_utilization": limits.used("tpm", each.limits_name),
        },
    }


def tiers(sums: Sums, limits: Limits) -> dict[str, Any]:
    keys = by_key(sums)
    requests = sum(each.requests for each in keys.values())
    throttled = sum(each.throttled for each in keys.values())
    high = sum(each.throttled > _HIGH_RATE * each.requests for each in keys.values())
    exhausted = sum(
        max(limits.used(amount, each.limits_name) for amount in ("rpm", "tpm")) >= _EXHAUSTED
        for each in keys.values()
    )
    return {
        limits.tier: {
            "key_count": len(keys),
            "total_requests_attempted": requests,
            "total_requests_allowed": requests - throttled,
            "total_requests_throttled": throttled,
            "total_tokens_consumed": sum(each.tokens for each in keys.values()),
            "total_throttle_time_ms": round(
                1000 * sum(each.wait_s.sum for each in keys.values()), 3
            ),
            "keys_with_high_throttle": high,
            "keys_with_exhaustion": exhausted,
            "avg_throttle_rate": round(throttled / max(1, requests), 4),
            "peak_burst_requests": max((each.peak_requests for each in keys.values()), default=0),
            "upgrade_opportunities": high + exhausted,
        }
    }


def throttling(sums: Sums) -> dict[str, Any]:
    """A refusal names the amount that takes longest to have room, so none is of both."""
    refusals: Counter[str] = Counter()
    for cell in sums.cells.values():
        refusals.update(cell.refusals)
    waits = Digest.of(cell.wait_s for cell in sums.cells.values())
    requests, tokens = (sum(refusals[name] for name in names) for names in (_REQUESTS, _TOKENS))
    return {
        "total_throttle_events": waits.count,
        "duration_histogram": _histogram(waits),
        "retry_after_distribution": _waits(waits),
        "rpm_vs_tpm_exceeded": {"rpm_only": requests, "tpm_only": tokens, "both": 0},
    }


def _histogram(waits: Digest) -> dict[str, int]:
    if not waits.count:
        return {}
    told = {f"<{bound}ms": waits.below(bound / 1000) for bound in _WAITS_MS}
    longest = _WAITS_MS[-1]
    return {**told, f">{longest}ms": waits.count - told[f"<{longest}ms"]}


def _waits(waits: Digest) -> dict[str, float]:
    if not waits.count:
        return {}
    return {
        "min": round(1000 * waits.least, 3),
        "max": round(1000 * waits.most, 3),
        "avg": round(1000 * waits.mean, 3),
        **{name: round(1000 * waits.quantile(share), 3) for name, share in _QUANTILES},
    }


def abuse(sums: Sums, limits: Limits) -> list[dict[str, Any]]:
    """Keys of whose requests most are refused."""
    return [
        {
            "api_key": name,
            "tier": limits.tier,
            "severity": "high" if rate > 0.75 else "medium",
            "total_requests": each.requests,
            "throttle_rate": round(rate, 4),
            "issues": [f"{rate:.1%} of its requests are refused"],
        }
        for name, each in by_key(sums).items()
        if (rate := each.throttled / max(1, each.requests)) > _HIGH_RATE
    ]
