"""One owner's row in one ledger, as far as it counts for the request at hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from fakeai_proxy.shaping.limits.charge import Charge
from fakeai_proxy.shaping.limits.gauge import Gauge
from fakeai_proxy.shaping.limits.ledger import Ledger, Quota
from fakeai_proxy.shaping.limits.standing import Standing


class Account(NamedTuple):
    """The row is looked up for each use: between two of them it may have been given up."""

    ledger: Ledger
    owner: bytes
    #: With the place of each one's measure in a `Charge`.
    quotas: tuple[tuple[Quota, int], ...]

    def take(self, charge: Charge, now: float, sign: int = 1) -> None:
        """With `sign` -1, give back."""
        ledger = self.ledger
        row = ledger.row(self.owner, now)
        for quota, place in self.quotas:
            n = charge[place]
            if n:
                quota.meter.take(ledger.state, row + quota.at, sign * n, now)

    def end(self, now: float) -> None:
        """The request is no longer under way."""
        for quota, _ in self.quotas:
            if type(quota.meter) is Gauge:
                ledger = self.ledger
                quota.meter.take(ledger.state, ledger.row(self.owner, now) + quota.at, -1, now)

    def settle(self, difference: Charge, now: float) -> None:
        """Add what was taken too little, or give back what was too much. Of requests there was one
        in any case."""
        ledger = self.ledger
        row = ledger.row(self.owner, now)
        for quota, place in self.quotas:
            if place and difference[place]:
                quota.meter.take(ledger.state, row + quota.at, difference[place], now)


def standing_of(quota: Quota, ledger: Ledger, row: int, now: float) -> Standing:
    meter, at = quota.meter, row + quota.at
    return Standing(
        meter.limit,
        meter.used(ledger.state, at, now),
        meter.reset_s(ledger.state, at, now),
        meter.period_s,
    )


def standings(accounts: Iterable[Account], now: float) -> dict[str, Standing]:
    """By the amount's name; of several accounts with the same one, that with the least left."""
    found: dict[str, Standing] = {}
    for account in accounts:
        ledger = account.ledger
        row = ledger.row(account.owner, now)
        for quota, _ in account.quotas:
            one = standing_of(quota, ledger, row, now)
            other = found.get(quota.name)
            if other is None or one.limit - one.used < other.limit - other.used:
                found[quota.name] = one
    return found
