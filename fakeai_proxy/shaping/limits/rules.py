"""One profile and tier in force: which ledgers a model's requests are entered in."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from typing import NamedTuple

from fakeai_proxy.profiles.limits import ChargePolicy, Limit, LimitsProfile, Price
from fakeai_proxy.shaping.limits.account import Account
from fakeai_proxy.shaping.limits.bucket import TokenBucket
from fakeai_proxy.shaping.limits.charge import MEASURES
from fakeai_proxy.shaping.limits.duration import month_end
from fakeai_proxy.shaping.limits.gauge import Gauge
from fakeai_proxy.shaping.limits.ledger import Ledger, Quota
from fakeai_proxy.shaping.limits.meter import Meter
from fakeai_proxy.shaping.limits.settings import LimitSettings
from fakeai_proxy.shaping.limits.window import Counter, SlidingWindow

MINUTE_S, DAY_S = 60.0, 86_400.0
#: Names come from clients. Models above this many share one row of an `each` limit.
MODELS_MAX = 1024

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


class Entry(NamedTuple):
    """A ledger, and those of its quotas that count for a model."""

    ledger: Ledger
    quotas: tuple[Quota, ...]


class Plan(NamedTuple):
    """What concerns a model: where its requests are entered, and what they cost."""

    entries: tuple[Entry, ...]
    price: Price | None
    #: What is held while a request is under way, and what counts money: places of entries, quotas.
    holding: tuple[tuple[int, Quota], ...]
    spending: tuple[tuple[int, Quota], ...]
    #: The accounts of organizations that have asked, where there are no others.
    known: dict[bytes, list[Account]] | None


class Rules:
    def __init__(
        self,
        profile: LimitsProfile,
        tier: str,
        settings: LimitSettings,
        epoch_s: float,
    ) -> None:
        """`epoch_s` is the wall time at the clock's zero, for limits by the calendar."""
        self.profile = profile
        self.tier = tier or profile.default_tier
        self.policy: ChargePolicy = (
            profile.charge if settings.limit_charge == "profile" else settings.limit_charge
        )
        true_up = {"on": True, "off": False}.get(settings.limit_true_up, profile.true_up)
        #: Whether a part of the charge has to wait for the answer.
        self.postpones = self.policy in ("input", "actual")
        self.settles = true_up or self.postpones
        self._rows = profile.rows(tier)
        self._epoch_s = epoch_s
        self._factor = 1.0
        self._ledgers: dict[tuple[int, str], Ledger] = {}
        self._plans: dict[str, Plan] = {}

    def plan(self, model: str) -> Plan:
        plan = self._plans.get(model)
        if plan is None:
            if len(self._plans) >= MODELS_MAX:
                self._plans.clear()
            entries = self._entries(model, queued=False)
            plan = Plan(
                entries,
                self.profile.price_of(model),
                _with(entries, "concurrent"),
                _with(entries, "usd_per_month"),
                {} if {entry.ledger.scope for entry in entries} == {"organization"} else None,
            )
            self._plans[model] = plan
        return plan

    def queues(self, model: str) -> tuple[Entry, ...]:
        """Where the tokens of a batch that waits are entered."""
        return self._entries(model, queued=True)

    def ledgers(self) -> Iterator[Ledger]:
        yield from self._ledgers.values()

    def scale(self, factor: float, now: float) -> None:
        self._factor = factor
        for ledger in self._ledgers.values():
            ledger.scale(factor, now)

    def _entries(self, model: str, queued: bool) -> tuple[Entry, ...]:
        taken: set[tuple[str, str]] = set()
        entries = []
        for number, row in enumerate(self._rows):
            if not fnmatch.fnmatchcase(model, row.model):
                continue
            names = {name for name in row.amounts if (row.scope, name) not in taken}
            taken |= {(row.scope, name) for name in names}
            names = {name for name in names if (name == "batch_queue_tokens") == queued}
            if names:
                ledger = self._ledger(number, row, model if row.each else row.model)
                chosen = tuple(quota for quota in ledger.quotas if quota.name in names)
                entries.append(Entry(ledger, chosen))
        return tuple(sorted(entries, key=lambda entry: entry.ledger.scope))

    def _ledger(self, number: int, row: Limit, model: str) -> Ledger:
        if len(self._ledgers) >= MODELS_MAX:
            model = row.model
        ledger = self._ledgers.get((number, model))
        if ledger is None:
            meters = []
            for name, amount in row.amounts.items():
                meter = self._meter(row, name, amount)
                meter.scale(self._factor)
                meters.append((name, MEASURES[_COUNTED[name][0]], meter))
            ledger = self._ledgers[number, model] = Ledger(row.scope, model, meters)
        return ledger

    def _meter(self, row: Limit, name: str, amount: float) -> Meter:
        period_s = _COUNTED[name][1]
        if name == "usd_per_month":
            return Counter(
                amount, 30 * DAY_S, lambda now: month_end(self._epoch_s + now) - self._epoch_s
            )
        if not period_s:
            return Gauge(amount)
        if name == "rpm" and row.rpm_window_s:
            in_window = max(1, int(amount * row.rpm_window_s / MINUTE_S))
            return SlidingWindow(in_window, row.rpm_window_s)
        if name == "tpm" and row.tpm_counter:
            return Counter(amount, MINUTE_S, lambda now: now + MINUTE_S)
        return TokenBucket(amount, period_s, row.burst_s if name == "rpm" else None)


def together(plan: Plan, other: Plan) -> Plan:
    """Both, at the prices of the first."""
    entries = (*plan.entries, *other.entries)
    return Plan(
        entries, plan.price, _with(entries, "concurrent"), _with(entries, "usd_per_month"), None
    )


def _with(entries: tuple[Entry, ...], name: str) -> tuple[tuple[int, Quota], ...]:
    return tuple(
        (place, quota)
        for place, entry in enumerate(entries)
        for quota in entry.quotas
        if quota.name == name
    )
