"""One profile and tier in force: which ledgers a model's requests are entered in."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from hashlib import blake2b
from typing import NamedTuple

from fakeai_proxy.profiles.limits import ChargePolicy, Limit, LimitsProfile, Price
from fakeai_proxy.shaping.limits.account import Account
from fakeai_proxy.shaping.limits.allowance import Allowance, allowances
from fakeai_proxy.shaping.limits.ledger import Ledger, Quota
from fakeai_proxy.shaping.limits.settings import LimitSettings
from fakeai_proxy.shaping.limits.sheet import Sheet

#: Names come from clients. Models above this many share one row of an `each` limit.
MODELS_MAX = 1024


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
        era: str = "",
    ) -> None:
        """`epoch_s` is the wall time at the clock's zero, for limits by the calendar; `era` is what
        other processes call the time in which these are in force."""
        self.profile = profile
        self.era = era
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
        self._factor, self._scaled_at = 1.0, 0.0
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
        self._factor, self._scaled_at = factor, now
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
            granted = allowances(row)
            ledger = Ledger.of(row.scope, model, granted, self._epoch_s)
            ledger.scale(self._factor, self._scaled_at)
            name = f"{self.profile.name}/{self.tier}/{number}/{model}/{_digest(granted)}"
            ledger.sheet = Sheet(
                self.era, name, row.scope, model, granted, self.profile.name, self.tier
            )
            self._ledgers[number, model] = ledger
        return ledger


def _digest(granted: tuple[Allowance, ...]) -> str:
    """Processes that were started with other numbers count by themselves."""
    return blake2b(repr(granted).encode(), digest_size=6).hexdigest()


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
