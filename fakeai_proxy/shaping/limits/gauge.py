"""What is held and given back: requests under way, tokens of batches that wait."""

from __future__ import annotations

from array import array
from math import inf

#: Nobody knows when the others will be done; this is what a client is told.
WAIT_S = 1.0


class Gauge:
    """At most `amount` at a time."""

    width = 1
    period_s = 0.0

    def __init__(self, amount: float) -> None:
        self.amount = amount
        self._factor = 1.0

    @property
    def limit(self) -> float:
        return max(1.0, self.amount * self._factor)

    def rest(self) -> list[float]:
        return [0.0]

    def wait_s(self, state: array[float], at: int, n: float, now: float) -> float:
        if n > self.limit:
            return inf
        return 0.0 if state[at] + n <= self.limit else WAIT_S

    def take(self, state: array[float], at: int, n: float, now: float) -> None:
        state[at] = max(0.0, state[at] + n)

    def used(self, state: array[float], at: int, now: float) -> float:
        return state[at]

    def reset_s(self, state: array[float], at: int, now: float) -> float:
        return inf if state[at] > 0 else 0.0

    def scale(self, factor: float) -> None:
        self._factor = factor
