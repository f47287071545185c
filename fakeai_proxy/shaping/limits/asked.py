"""The limits' tables in another process of this machine, which is asked over a line."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from fakeai_proxy import errors
from fakeai_proxy.errors import FakeAIError
from fakeai_proxy.shaping.limits.account import Account
from fakeai_proxy.shaping.limits.central import Ask, Central
from fakeai_proxy.shaping.limits.charge import Charge
from fakeai_proxy.shaping.limits.ledger import Ledger, Quota
from fakeai_proxy.shaping.limits.tables import Row, Seen


class Line(Protocol):
    def tell(self, service: str, *values: object) -> None: ...

    async def ask(self, service: str, *values: object) -> Any: ...


def served(central: Central) -> Mapping[str, Callable[..., Any]]:
    """What the process that has the tables answers; who asks comes first."""
    return {
        "limits.name": central.name,
        "limits.scale": central.scale,
        "limits.enter": central.enter,
        "limits.add": central.add,
        "limits.take": central.take,
        "limits.rows": lambda _, eras, most: central.rows(eras, most),
    }


class AskedTables:
    """`mark` says which change of the limits was the last."""

    def __init__(self, line: Line, mark: Callable[[], str]) -> None:
        self._line = line
        self._mark = mark
        self._numbers: dict[Ledger, int] = {}
        #: Of each ledger, by its number, the scalings that were told.
        self._told: list[int] = []

    @property
    def era(self) -> str:
        return self._mark()

    async def enter(
        self, accounts: Sequence[Account], charge: Charge
    ) -> tuple[bool, list[list[Seen]]]:
        asks = [self._ask(account) for account in accounts]
        try:
            entered, seen = await self._line.ask("limits.enter", asks, charge)
        except FakeAIError as error:
            raise errors.limits_unavailable(str(error)) from None
        return entered, seen

    def add(self, accounts: Sequence[Account], difference: Charge) -> None:
        self._line.tell("limits.add", [self._ask(account) for account in accounts], difference)

    def take(self, account: Account, quota: Quota, n: float) -> None:
        ask = self._ask(account)._replace(quotas=(quota.number,))
        self._line.tell("limits.take", ask, n)

    async def rows(self, eras: Collection[str], most: int) -> list[Row]:
        try:
            found: list[Row] = await self._line.ask("limits.rows", frozenset(eras), most)
        except FakeAIError as error:
            raise errors.limits_unavailable(str(error)) from None
        return found

    def _ask(self, account: Account) -> Ask:
        ledger = account.ledger
        sheet = ledger.sheet
        assert sheet is not None, "rules name their ledgers"
        number = self._numbers.get(ledger)
        if number is None:
            number = self._numbers[ledger] = len(self._numbers)
            self._told.append(ledger.scaled_total)
            self._line.tell("limits.name", sheet)
        if untold := ledger.scaled_total - self._told[number]:
            self._told[number] = ledger.scaled_total
            self._line.tell("limits.scale", number, list(ledger.scalings)[-untold:])
        quotas = tuple([quota.number for quota in account.quotas])
        return Ask(number, ledger.factor, ledger.scaled_at, account.owner, quotas)
