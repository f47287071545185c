"""The ledgers of several processes, in the one that all of them ask. Knows no sockets."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Collection, Hashable, Sequence
from itertools import islice
from typing import NamedTuple

from fakeai_proxy.clock import Clock
from fakeai_proxy.shaping.limits.charge import Charge
from fakeai_proxy.shaping.limits.gauge import Gauge
from fakeai_proxy.shaping.limits.ledger import Ledger, Quota, Scaling
from fakeai_proxy.shaping.limits.sheet import Sheet
from fakeai_proxy.shaping.limits.tables import Row, Seen

#: Ledgers that are kept; the one that was not asked for longest goes first.
LEDGERS_MAX = 16_384


class Ask(NamedTuple):
    """An account in plain values: the number of the sheet, the share that is granted and since when,
    whose row, and which quotas, by their place among the sheet's allowances."""

    number: int
    factor: float
    scaled_at: float
    owner: bytes
    quotas: tuple[int, ...]


class Central:
    """Who asks is any hashable thing: what it holds is given back when it has gone."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._epoch_s = clock.epoch_s
        self._ledgers: OrderedDict[tuple[str, str], tuple[Ledger, Sheet]] = OrderedDict()
        #: By who asks: the sheets, in the order in which it has named them.
        self._named: dict[Hashable, list[Sheet]] = {}
        self._held: dict[Hashable, Counter[tuple[Sheet, bytes, int]]] = {}

    def name(self, who: Hashable, sheet: Sheet) -> None:
        """From here on, `who` calls this sheet by its number in the order of naming."""
        self._named.setdefault(who, []).append(sheet)

    def scale(self, who: Hashable, number: int, scalings: Sequence[Scaling]) -> None:
        """What has become of a sheet's share since `who` last spoke of it. Others may have told already."""
        sheet = self._named[who][number]
        known = self._ledgers.get((sheet.era, sheet.name))
        if known is not None:
            for scaling in scalings:
                _scale(known[0], scaling)

    def enter(
        self, who: Hashable, asks: Sequence[Ask], charge: Charge
    ) -> tuple[bool, list[list[Seen]]]:
        now = self._clock.now()
        rows = [self._row(who, ask, now) for ask in asks]
        waits = [
            [
                quota.meter.wait_s(ledger.state, at + quota.at, charge[quota.place], now)
                for quota in quotas
            ]
            for _, ledger, at, quotas in rows
        ]
        free = not any(any(each) for each in waits)
        if free:
            for ask, (sheet, ledger, at, quotas) in zip(asks, rows, strict=True):
                for quota in quotas:
                    n = charge[quota.place]
                    if n:
                        quota.meter.take(ledger.state, at + quota.at, n, now)
                        self._hold(who, sheet, ask.owner, quota, n)
        return free, [
            [
                Seen(wait_s, quota.meter.standing(ledger.state, at + quota.at, now))
                for quota, wait_s in zip(quotas, each, strict=True)
            ]
            for (_, ledger, at, quotas), each in zip(rows, waits, strict=True)
        ]

    def add(self, who: Hashable, asks: Sequence[Ask], difference: Charge) -> None:
        now = self._clock.now()
        for ask in asks:
            sheet, ledger, at, quotas = self._row(who, ask, now)
            for quota in quotas:
                n = difference[quota.place]
                if n:
                    quota.meter.take(ledger.state, at + quota.at, n, now)
                    self._hold(who, sheet, ask.owner, quota, n)

    def take(self, who: Hashable, ask: Ask, n: float) -> None:
        """From its one quota."""
        now = self._clock.now()
        sheet, ledger, at, (quota,) = self._row(who, ask, now)
        quota.meter.take(ledger.state, at + quota.at, n, now)
        self._hold(who, sheet, ask.owner, quota, n)

    def left(self, who: Hashable) -> None:
        """It has ended, and with it all that it had under way."""
        now = self._clock.now()
        self._named.pop(who, None)
        for (sheet, owner, index), n in self._held.pop(who, Counter()).items():
            known = self._ledgers.get((sheet.era, sheet.name))
            if known is not None and n > 0:
                ledger, _ = known
                quota = ledger.quotas[index]
                quota.meter.take(ledger.state, ledger.row(owner, now) + quota.at, -n, now)

    def rows(self, eras: Collection[str], most: int) -> list[Row]:
        now = self._clock.now()
        found = (
            Row(
                sheet,
                owner,
                tuple(
                    quota.meter.standing(ledger.state, at + quota.at, now)
                    for quota in ledger.quotas
                ),
            )
            for ledger, sheet in self._ledgers.values()
            if sheet.era in eras
            for owner, at in ledger.rows()
        )
        return list(islice(found, most))

    def _hold(self, who: Hashable, sheet: Sheet, owner: bytes, quota: Quota, n: float) -> None:
        if type(quota.meter) is Gauge:
            held = self._held.setdefault(who, Counter())
            held[sheet, owner, quota.number] += n  # type: ignore[assignment]  # tokens may be halves

    def _row(
        self, who: Hashable, ask: Ask, now: float
    ) -> tuple[Sheet, Ledger, int, tuple[Quota, ...]]:
        sheet = self._named[who][ask.number]
        place = sheet.era, sheet.name
        known = self._ledgers.get(place)
        if known is None:
            if len(self._ledgers) >= LEDGERS_MAX:
                self._ledgers.popitem(last=False)
            ledger = Ledger.of(sheet.scope, sheet.model, sheet.allowances, self._epoch_s)
            known = self._ledgers[place] = ledger, sheet
        else:
            self._ledgers.move_to_end(place)
        ledger = known[0]
        _scale(ledger, Scaling(ask.factor, ask.scaled_at))
        quotas = tuple([ledger.quotas[index] for index in ask.quotas])
        return sheet, ledger, ledger.row(ask.owner, now), quotas


def _scale(ledger: Ledger, scaling: Scaling) -> None:
    if ledger.factor != scaling.factor and scaling.at >= ledger.scaled_at:
        ledger.scale(*scaling)
