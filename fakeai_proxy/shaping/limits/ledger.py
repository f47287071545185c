"""The accounts of one limit: for each owner a row of numbers in one array, made when first asked for
and given up when it says nothing any more. A million owners are a million rows, not objects.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from fakeai_proxy.profiles.limits import Scope
from fakeai_proxy.shaping.limits.allowance import Allowance
from fakeai_proxy.shaping.limits.bucket import TokenBucket
from fakeai_proxy.shaping.limits.meter import Meter
from fakeai_proxy.shaping.limits.sheet import Sheet

#: Rows that are looked at, for one that says nothing, whenever a row is needed.
LOOKED_AT = 2
#: Scalings that are remembered, for those who count elsewhere and hear of them with the next request.
SCALINGS_MAX = 32


class Scaling(NamedTuple):
    factor: float
    at: float


class Quota(NamedTuple):
    """One amount of a limit: what it is called, the place of what it counts in a `Charge`, where in a
    row its state is, and which of its ledger's it is."""

    name: str
    place: int
    meter: Meter
    at: int
    number: int


class Ledger:
    """`model` is the name, or the pattern of names, that share a row."""

    def __init__(self, scope: Scope, model: str, meters: Sequence[tuple[str, int, Meter]]) -> None:
        self.scope: Scope = scope
        self.model = model
        #: What is known of it where several processes share it, if they do.
        self.sheet: Sheet | None = None
        #: The share of every quota that is granted, and since when.
        self.factor, self.scaled_at = 1.0, 0.0
        #: How it came to be that, and of how many changes these are the last.
        self.scalings: deque[Scaling] = deque(maxlen=SCALINGS_MAX)
        self.scaled_total = 0
        quotas, rest = [], array("d")
        for number, (name, place, meter) in enumerate(meters):
            quotas.append(Quota(name, place, meter, len(rest), number))
            rest.extend(meter.rest())
        self.quotas = tuple(quotas)
        self.state = array("d")
        self._rest = rest
        self._width = len(rest)
        self._rows: dict[bytes, int] = {}
        self._owners: list[bytes] = []
        self._free: list[int] = []
        self._hand = 0

    @classmethod
    def of(
        cls, scope: Scope, model: str, allowances: Iterable[Allowance], epoch_s: float
    ) -> Ledger:
        """`epoch_s` is the wall time at the clock's zero."""
        return cls(scope, model, [(one.name, one.place, one.meter(epoch_s)) for one in allowances])

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, owner: bytes, now: float) -> int:
        """Where the owner's row begins."""
        at = self._rows.get(owner)
        return self._open(owner, now) if at is None else at

    def rows(self) -> Iterator[tuple[bytes, int]]:
        yield from self._rows.items()

    def scale(self, factor: float, now: float) -> None:
        """Grant this share of every quota. What was used stays used, in numbers."""
        self.factor, self.scaled_at = factor, now
        self.scalings.append(Scaling(factor, now))
        self.scaled_total += 1
        for quota in self.quotas:
            before = quota.meter.limit
            quota.meter.scale(factor)
            if type(quota.meter) is TokenBucket and self.state and before != quota.meter.limit:
                self._slow(quota, before / quota.meter.limit, now)

    def _slow(self, quota: Quota, slower: float, now: float) -> None:
        """What is owed takes so many times as long."""
        import numpy as np  # most programs never need it here

        column = np.frombuffer(self.state)[quota.at :: self._width]
        column[:] = np.where(column > now, now + (column - now) * slower, column)

    def _open(self, owner: bytes, now: float) -> int:
        self._give_up(now)
        if self._free:
            at = self._free.pop()
            self.state[at : at + self._width] = self._rest
            self._owners[at // self._width] = owner
        else:
            at = len(self.state)
            self.state.extend(self._rest)
            self._owners.append(owner)
        self._rows[owner] = at
        return at

    def _give_up(self, now: float) -> None:
        for _ in range(min(LOOKED_AT, len(self._owners))):
            self._hand = (self._hand + 1) % len(self._owners)
            owner, at = self._owners[self._hand], self._hand * self._width
            if owner and all(
                quota.meter.standing(self.state, at + quota.at, now).reset_s <= 0
                for quota in self.quotas
            ):
                del self._rows[owner]
                self._owners[self._hand] = b""
                self._free.append(at)
