"""One amount of a limit, in plain numbers: what any process needs to know to count it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from fakeai_proxy.profiles.limits import Limit
from fakeai_proxy.shaping.limits.bucket import TokenBucket
from fakeai_proxy.shaping.limits.charge import MEASURES
from fakeai_proxy.shaping.limits.duration import month_end
from fakeai_proxy.shaping.limits.gauge import Gauge
from fakeai_proxy.shaping.limits.meter import Meter
from fakeai_proxy.shaping.limits.window import Counter, SlidingWindow

MINUTE_S, DAY_S = 60.0, 86_400.0
MONTH_S = 30 * DAY_S

#: Amount -> what it counts, and over how long; 0 where it is held, not spent.
_COUNTED = {
    "rpm": ("requests", MINUTE_S),
    "rpd": ("requests", DAY_S),
    "tpm": ("tokens", MINUTE_S),
    "tpd": ("tokens", DAY_S),
    "itpm": ("input_tokens", MINUTE_S),
    "otpm": ("output_tokens", MINUTE_S),
    "ipm": ("images", MINUTE_S),
    "concurrent": ("requests", 0.0),
    "batch_queue_tokens": ("tokens", 0.0),
    "usd_per_month": ("usd", 0.0),
}


class Allowance(NamedTuple):
    """`place` is that of what it counts in a `Charge`. `burst_s` is of buckets, None for a whole
    period; a month's counter ends with the month in UTC."""

    name: str
    place: int
    kind: Literal["bucket", "window", "minute", "month", "gauge"]
    amount: float
    period_s: float
    burst_s: float | None = None

    def meter(self, epoch_s: float) -> Meter:
        """`epoch_s` is the wall time at the clock's zero."""
        return _METERS[self.kind](self, epoch_s)


def allowances(row: Limit) -> tuple[Allowance, ...]:
    return tuple([_allowance(row, name, amount) for name, amount in row.amounts.items()])


def _allowance(row: Limit, name: str, amount: float) -> Allowance:
    counted, period_s = _COUNTED[name]
    place = MEASURES[counted]
    if name == "usd_per_month":
        return Allowance(name, place, "month", amount, MONTH_S)
    if not period_s:
        return Allowance(name, place, "gauge", amount, 0.0)
    if name == "rpm" and row.rpm_window_s:
        in_window = max(1, int(amount * row.rpm_window_s / MINUTE_S))
        return Allowance(name, place, "window", in_window, row.rpm_window_s)
    if name == "tpm" and row.tpm_counter:
        return Allowance(name, place, "minute", amount, MINUTE_S)
    burst_s = row.burst_s if name == "rpm" else None
    return Allowance(name, place, "bucket", amount, period_s, burst_s)


def _month(one: Allowance, epoch_s: float) -> Meter:
    return Counter(one.amount, MONTH_S, lambda now: month_end(epoch_s + now) - epoch_s)


_METERS: dict[str, Callable[[Allowance, float], Meter]] = {
    "bucket": lambda one, _: TokenBucket(one.amount, one.period_s, one.burst_s),
    "window": lambda one, _: SlidingWindow(int(one.amount), one.period_s),
    "minute": lambda one, _: Counter(one.amount, MINUTE_S, lambda now: now + MINUTE_S),
    "month": _month,
    "gauge": lambda one, _: Gauge(one.amount),
}
