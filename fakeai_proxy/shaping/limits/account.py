"""One owner's row in one ledger, as far as it counts for the request at hand."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import NamedTuple

from fakeai_proxy.shaping.limits.charge import Charge
from fakeai_proxy.shaping.limits.ledger import Ledger, Quota
from fakeai_proxy.shaping.limits.standing import Standing


class Account(NamedTuple):
    """The row is looked up for each use: between two of them it may have been given up."""

    ledger: Ledger
    owner: bytes
    quotas: tuple[Quota, ...]

    def add(self, difference: Charge, now: float) -> None:
        """Take what was taken too little, or give back what was too much."""
        ledger = self.ledger
        row = ledger.row(self.owner, now)
        for quota in self.quotas:
            if difference[quota.place]:
                quota.meter.take(ledger.state, row + quota.at, difference[quota.place], now)

    def take(self, quota: Quota, n: float, now: float) -> None:
        ledger = self.ledger
        quota.meter.take(ledger.state, ledger.row(self.owner, now) + quota.at, n, now)


def standings(accounts: Iterable[Account], told: Container[str], now: float) -> dict[str, Standing]:
    """Of the amounts in `told`, by name; of several accounts with the same one, that with the least
    left."""
    found: dict[str, Standing] = {}
    for ledger, owner, quotas in accounts:
        row = -1
        for name, _, meter, at, _ in quotas:
            if name not in told:
                continue
            if row < 0:
                row = ledger.row(owner, now)
            one = meter.standing(ledger.state, row + at, now)
            if name in found:
                other = found[name]
                if other.limit - other.used <= one.limit - one.used:
                    continue
            found[name] = one
    return found
