"""Where requests are entered that several processes count together, as the limiter sees it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from fakeai_proxy.clock import Clock
from fakeai_proxy.shaping.limits.account import Account, standings
from fakeai_proxy.shaping.limits.charge import Charge
from fakeai_proxy.shaping.limits.ledger import Quota
from fakeai_proxy.shaping.limits.sheet import Sheet
from fakeai_proxy.shaping.limits.standing import Standing


class Seen(NamedTuple):
    """One quota of one account: how long until the charge may be taken, and how it stands then."""

    wait_s: float
    standing: Standing


class Row(NamedTuple):
    """A row of a status page."""

    sheet: Sheet
    owner: bytes
    standings: tuple[Standing, ...]


class Tables(Protocol):
    """Instants are of the tables' own clock. What cannot be reached is a 503 (`limits_unavailable`)."""

    @property
    def era(self) -> str:
        """Something that all processes will say alike: which change of the limits was the last."""

    async def enter(
        self, accounts: Sequence[Account], charge: Charge
    ) -> tuple[bool, list[list[Seen]]]:
        """Takes the charge from all of them if no wait is asked for, from none otherwise. Standings
        are those after it. Raises ApiError."""

    def add(self, accounts: Sequence[Account], difference: Charge) -> None:
        """Nobody waits for it."""

    def take(self, account: Account, quota: Quota, n: float) -> None: ...

    async def rows(self, eras: Collection[str], most: int) -> list[Row]:
        """Who has used anything. Raises ApiError."""


class Booking:
    """What a request was entered in, here."""

    __slots__ = ("_clock", "accounts")

    def __init__(self, accounts: Sequence[Account], clock: Clock) -> None:
        self.accounts = accounts
        self._clock = clock

    def standings(self, told: Collection[str]) -> Mapping[str, Standing]:
        return standings(self.accounts, told, self._clock.now())

    def add(self, difference: Charge) -> None:
        now = self._clock.now()
        for account in self.accounts:
            account.add(difference, now)

    def take(self, place: int, quota: Quota, n: float) -> None:
        self.accounts[place].take(quota, n, self._clock.now())


class SharedBooking:
    """What a request was entered in, elsewhere: how it stood then is what its answer tells."""

    __slots__ = ("_seen", "_tables", "accounts")

    def __init__(
        self, accounts: Sequence[Account], tables: Tables, seen: Sequence[Sequence[Seen]]
    ) -> None:
        self.accounts = accounts
        self._tables = tables
        self._seen = seen

    def standings(self, told: Collection[str]) -> Mapping[str, Standing]:
        return tightest(self.accounts, self._seen, told)

    def add(self, difference: Charge) -> None:
        self._tables.add(self.accounts, difference)

    def take(self, place: int, quota: Quota, n: float) -> None:
        self._tables.take(self.accounts[place], quota, n)


def tightest(
    accounts: Sequence[Account], seen: Sequence[Sequence[Seen]], told: Collection[str]
) -> dict[str, Standing]:
    """By name; of several accounts with the same amount, that with the least left."""
    found: dict[str, Standing] = {}
    for account, each in zip(accounts, seen, strict=True):
        for quota, (_, one) in zip(account.quotas, each, strict=True):
            if quota.name not in told:
                continue
            other = found.get(quota.name)
            if other is None or other.limit - other.used > one.limit - one.used:
                found[quota.name] = one
    return found
