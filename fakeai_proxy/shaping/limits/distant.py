"""The limits' tables in a Redis that replicas share: every step is one script, `rows.lua`, run by the
server at its own time. Knows no connection.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import orjson

from fakeai_proxy import errors
from fakeai_proxy.clock import Clock
from fakeai_proxy.errors import FakeAIError
from fakeai_proxy.shaping.limits.account import Account
from fakeai_proxy.shaping.limits.allowance import Allowance
from fakeai_proxy.shaping.limits.bucket import TokenBucket
from fakeai_proxy.shaping.limits.charge import Charge
from fakeai_proxy.shaping.limits.duration import month_end
from fakeai_proxy.shaping.limits.gauge import Gauge
from fakeai_proxy.shaping.limits.ledger import Ledger, Quota
from fakeai_proxy.shaping.limits.sheet import Sheet
from fakeai_proxy.shaping.limits.standing import Standing
from fakeai_proxy.shaping.limits.tables import Row, Seen
from fakeai_proxy.shaping.limits.window import SlidingWindow

_NOTHING = Charge()
_NEVER = float("-inf")
_MORE_S = 2 * 86_400


class Server(Protocol):
    """`prefix` begins all names, `me` is what this process is called while it lives."""

    prefix: str
    me: str

    def run(self, script: str, argument: bytes) -> Awaitable[list[bytes]]:
        """Raises FakeAIError where it cannot be reached."""

    def run_later(self, script: str, argument: bytes) -> None:
        """Nobody waits for it."""

    async def members(self, name: str, most: int) -> list[bytes]:
        """Of a set. Raises FakeAIError."""


@lru_cache(maxsize=1)
def script() -> str:
    return Path(__file__).with_name("rows.lua").read_text("utf-8")


class DistantTables:
    """`mark` says which change of the limits was the last; `now` stands in for the server's time."""

    def __init__(
        self,
        server: Server,
        clock: Clock,
        mark: Callable[[], str],
        now: Callable[[], float] | None = None,
    ) -> None:
        self._server = server
        self._clock = clock
        self._mark = mark
        self._now = now
        self._about: dict[Ledger, dict[str, Any]] = {}

    @property
    def era(self) -> str:
        return self._mark()

    async def enter(
        self, accounts: Sequence[Account], charge: Charge
    ) -> tuple[bool, list[list[Seen]]]:
        rows = [
            self._row(account, [(quota, charge[quota.place]) for quota in account.quotas])
            for account in accounts
        ]
        said = await self._said(self._step(rows, enter=True))
        seen = iter(_triples(said[1:]))
        return said[0] == b"1", [
            [_seen(quota, *next(seen)) for quota in account.quotas] for account in accounts
        ]

    def add(self, accounts: Sequence[Account], difference: Charge) -> None:
        rows = [
            self._row(account, [(one, difference[one.place]) for one in account.quotas])
            for account in accounts
        ]
        self._server.run_later(script(), self._step(rows, enter=False))

    def take(self, account: Account, quota: Quota, n: float) -> None:
        step = self._step([self._row(account, [(quota, n)])], enter=False)
        self._server.run_later(script(), step)

    async def rows(self, eras: Collection[str], most: int) -> list[Row]:
        found: list[Row] = []
        for era in sorted(eras):
            try:
                abouts = await self._server.members(f"{self._server.prefix}rows:{era}", most)
            except FakeAIError as error:
                raise errors.limits_unavailable(str(error)) from None
            for about in sorted(abouts)[: most - len(found)]:
                found.append(await self._read(about))
        return found

    async def _read(self, about: bytes) -> Row:
        """A row that some process made: with its limits as they are without a scale."""
        era, name, scope, model, profile, tier, granted, owner = orjson.loads(about)
        allowances = tuple(Allowance(*one) for one in granted)
        sheet = Sheet(era, name, scope, model, allowances, profile, tier)
        ledger = Ledger.of(sheet.scope, sheet.model, sheet.allowances, self._clock.epoch_s)
        ledger.sheet = sheet
        factor = self._factor_of(sheet)
        if factor != 1:
            ledger.scale(factor, self._clock.now())
        account = Account(ledger, owner.encode("latin-1"), ledger.quotas)
        row = self._row(account, [(quota, 0.0) for quota in ledger.quotas])
        said = await self._said(self._step([row], enter=True))
        seen = [
            _seen(quota, *each)
            for quota, each in zip(ledger.quotas, _triples(said[1:]), strict=True)
        ]
        return Row(sheet, account.owner, tuple([one.standing for one in seen]))

    def _factor_of(self, sheet: Sheet) -> float:
        """What is granted of it now; all ledgers of an era are granted the same share."""
        return next(
            (one.factor for one in self._about if one.sheet and one.sheet.era == sheet.era), 1.0
        )

    async def _said(self, step: bytes) -> list[bytes]:
        try:
            return await self._server.run(script(), step)
        except FakeAIError as error:
            raise errors.limits_unavailable(str(error)) from None

    def _step(self, rows: list[dict[str, Any]], enter: bool) -> bytes:
        step: dict[str, Any] = {
            "enter": enter,
            "me": self._server.me,
            "prefix": self._server.prefix,
            "month_end": month_end(self._clock.wall()),
            "rows": rows,
        }
        if self._now is not None:
            step |= {"now": self._now(), "epoch": self._clock.epoch_s}
        return orjson.dumps(step)

    def _row(self, account: Account, wanted: Sequence[tuple[Quota, float]]) -> dict[str, Any]:
        ledger = account.ledger
        known = self._about.get(ledger)
        if known is None:
            known = self._about[ledger] = _known(ledger)
        owner, now = account.owner.decode("latin-1"), self._clock.now()
        return {
            "key": f"{self._server.prefix}row:{known['name']}:{account.owner.hex()}",
            "era": known["era"],
            "about": orjson.dumps([*known["about"], owner]).decode(),
            "rest": known["rest"],
            "keep_s": known["keep_s"],
            "factor": ledger.factor,
            "scalings": [(one.factor, now - one.at) for one in ledger.scalings],
            "buckets": known["buckets"],
            "quotas": [{"n": n, **_quota(quota)} for quota, n in wanted],
        }


def _known(ledger: Ledger) -> dict[str, Any]:
    """What stays the same of a ledger."""
    sheet = ledger.sheet
    assert sheet is not None, "rules name their ledgers"
    rest: list[tuple[int, float | str]] = []
    for quota in ledger.quotas:
        for value in quota.meter.rest():
            said = "never" if value == _NEVER else value
            if rest and rest[-1][1] == said:
                rest[-1] = (rest[-1][0] + 1, said)
            else:
                rest.append((1, said))
    return {
        "name": f"{sheet.era}:{sheet.name}",
        "era": sheet.era,
        "about": [*sheet[:4], *sheet[5:], [list(one) for one in sheet.allowances]],
        "rest": rest,
        # After its longest period without a request a row says nothing any more.
        "keep_s": round(max(quota.meter.period_s for quota in ledger.quotas)) + _MORE_S,
        "buckets": [quota.at for quota in ledger.quotas if type(quota.meter) is TokenBucket],
    }


def _quota(quota: Quota) -> dict[str, Any]:
    """As `rows.lua` has it."""
    meter = quota.meter
    told: dict[str, Any] = {"at": quota.at, "limit": meter.limit}
    if isinstance(meter, TokenBucket):
        return {**told, "kind": "bucket", "rate": meter.rate, "span_s": meter.span_s}
    if isinstance(meter, SlidingWindow):
        return {**told, "kind": "window", "count": meter.count, "period_s": meter.period_s}
    if isinstance(meter, Gauge):
        return {**told, "kind": "gauge"}
    monthly = quota.name == "usd_per_month"
    return {**told, "kind": "counter", "period_s": meter.period_s, "monthly": monthly}


def _triples(said: Sequence[bytes]) -> list[tuple[float, float, float]]:
    numbers = [float(one) for one in said]
    return list(zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True))


def _seen(quota: Quota, wait_s: float, used: float, reset_s: float) -> Seen:
    return Seen(wait_s, Standing(quota.meter.limit, used, reset_s, quota.meter.period_s))
