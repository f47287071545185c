"""A token bucket that refills continuously, as OpenAI's and Anthropic's do.

Its whole state is one instant: when it will be full again. Taking `n` moves that instant by the time
that `n` take to refill; what it may not pass is the time that an empty bucket takes.
"""

from __future__ import annotations

from array import array
from math import inf

from fakeai_proxy.shaping.limits.meter import TOLERANCE_S
from fakeai_proxy.shaping.limits.standing import Standing


class TokenBucket:
    """`amount` each `period_s`; holds what `burst_s` bring, a whole period's amount unless told."""

    width = 1

    def __init__(self, amount: float, period_s: float, burst_s: float | None = None) -> None:
        self.amount, self.period_s = amount, period_s
        self.span_s = min(burst_s or period_s, period_s)
        # A portion below one could never be had.
        self.span_s = max(self.span_s, min(period_s / amount, period_s))
        self.rate = amount / period_s
        self.limit = self.rate * self.span_s

    def rest(self) -> list[float]:
        return [0.0]

    def wait_s(self, state: array[float], at: int, n: float, now: float) -> float:
        owed_s = state[at] - now
        wait_s = (owed_s if owed_s > 0 else 0.0) + n / self.rate - self.span_s
        if wait_s <= TOLERANCE_S:
            return 0.0
        return wait_s if n <= self.limit else inf

    def take(self, state: array[float], at: int, n: float, now: float) -> None:
        full_at = state[at]
        state[at] = (full_at if full_at > now else now) + n / self.rate

    def standing(self, state: array[float], at: int, now: float) -> Standing:
        owed_s = state[at] - now
        if owed_s <= 0:
            return Standing(self.limit, 0.0, 0.0, self.period_s)
        return Standing(self.limit, owed_s * self.rate, owed_s, self.period_s)

    def scale(self, factor: float) -> None:
        """States are spans of time at the old rate: the ledger brings them to the new one."""
        self.rate = self.amount * factor / self.period_s
        self.limit = self.rate * self.span_s
