"""What counts towards a limit. A meter is a rule; its state is a few numbers in somebody else's
array, from `at` on, so that a million of them fit into memory. It knows neither clocks nor requests.
"""

from __future__ import annotations

from array import array
from typing import Protocol

from fakeai_proxy.shaping.limits.standing import Standing

#: Shorter waits are no waits: they are rounding.
TOLERANCE_S = 1e-6


class Meter(Protocol):
    """Instants are seconds; `n` may be negative, which gives back."""

    #: Numbers of state.
    width: int
    #: What its limit is counted over; 0 where it is held, not spent.
    period_s: float
    #: What may be had at once, by the scale in force.
    limit: float

    def rest(self) -> list[float]:
        """The state of one that has not been used."""

    def wait_s(self, state: array[float], at: int, n: float, now: float) -> float:
        """How long until `n` may be taken: 0 for at once, infinity for never."""

    def take(self, state: array[float], at: int, n: float, now: float) -> None:
        """Take `n`, whether or not they are there."""

    def standing(self, state: array[float], at: int, now: float) -> Standing: ...

    def scale(self, factor: float) -> None:
        """Grant only this share of the limit, from 0 to 1, until told otherwise."""
