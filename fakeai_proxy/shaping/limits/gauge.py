"""What is held and given back: requests under way, tokens of batches that wait."""

from __future__ import annotations

from array import array
from math import inf

from fakeai_proxy.shaping.limits.standing import Standing

#: Nobody knows when the others will be done; this is what a client is told.
WAIT_S = 1.0


class Gauge:
    """At most `amount` at a time."""

    width = 1
    period_s = 0.0

    def __init__(self, amount: float) -> None:
        self.amount = amount
        self.limit = amount

    def rest(self) -> list[float]:
        return [0.0]

    def wait_s(self, state: array[float], at: int, n: float, now: float) -> float:
        if n > self.limit:
            return inf
        return 0.0 if state[at] + n <= self.limit else WAIT_S

    def take(self, state: array[float], at: int, n: float, now: float) -> None:
        state[at] = max(0.0, state[at] + n)

    def standing(self, state: array[float], at: int, now: float) -> Standing:
        """Nobody knows when it is given back; until then it is not as if it had not been taken."""
        held = state[at]
        return Standing(self.limit, held, inf if held > 0 else 0.0, self.period_s)

    def scale(self, factor: float) -> None:
        self.limit = max(1.0, self.amount * factor)
