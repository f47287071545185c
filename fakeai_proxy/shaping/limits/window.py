"""Counting within a stretch of time: one that slides with each request, and one that starts afresh."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from math import inf

from fakeai_proxy.shaping.limits.meter import TOLERANCE_S
from fakeai_proxy.shaping.limits.standing import Standing


class SlidingWindow:
    """At most `count` in any `window_s`, as Azure counts requests. Remembers when each of the last
    `count` came, in a ring after the place of the next."""

    def __init__(self, count: int, window_s: float) -> None:
        self.count, self.period_s = count, window_s
        self.limit: float = count
        self.width = 1 + count

    def rest(self) -> list[float]:
        return [0.0, *[-inf] * self.count]

    def wait_s(self, state: array[float], at: int, n: float, now: float) -> float:
        if n <= 0:
            return 0.0
        if n > self.limit:
            return inf
        back = int(self.limit) - int(n) + 1  # so many ago, one must have left the window
        wait_s = self._ago(state, at, back) + self.period_s - now
        return wait_s if wait_s > TOLERANCE_S else 0.0

    def take(self, state: array[float], at: int, n: float, now: float) -> None:
        place, count = int(state[at]), self.count
        for _ in range(int(n)):
            state[at + 1 + place] = now
            place = (place + 1) % count
        for _ in range(-int(n)):
            place = (place - 1) % count
            state[at + 1 + place] = -inf
        state[at] = place

    def standing(self, state: array[float], at: int, now: float) -> Standing:
        reset_s = max(0.0, self._ago(state, at, 1) + self.period_s - now)
        return Standing(self.limit, self._within(state, at, now), reset_s, self.period_s)

    def _within(self, state: array[float], at: int, now: float) -> int:
        """How many came within the window that ends now."""
        low, high = 0, self.count
        since = now - self.period_s + TOLERANCE_S
        while low < high:  # the later ones are within
            middle = (low + high + 1) // 2
            if self._ago(state, at, middle) > since:
                low = middle
            else:
                high = middle - 1
        return low

    def scale(self, factor: float) -> None:
        self.limit = max(1, int(self.count * factor))

    def _ago(self, state: array[float], at: int, back: int) -> float:
        """The instant of the `back`-th last."""
        return state[at + 1 + (int(state[at]) - back) % self.count]


class Counter:
    """At most `amount` until `ends(now)`, counted from the first taking; then from 0 again. Azure
    counts tokens so for a minute, and every vendor dollars for a month."""

    width = 2

    def __init__(self, amount: float, period_s: float, ends: Callable[[float], float]) -> None:
        self.amount, self.period_s = amount, period_s
        self._ends = ends
        self.limit = amount

    def rest(self) -> list[float]:
        return [-inf, 0.0]

    def wait_s(self, state: array[float], at: int, n: float, now: float) -> float:
        limit = self.limit
        if n > limit:
            return inf
        left_s = state[at] - now
        used = state[at + 1]
        if left_s <= TOLERANCE_S or (used + n <= limit and used < limit):
            return 0.0
        return left_s

    def take(self, state: array[float], at: int, n: float, now: float) -> None:
        if state[at] - now <= TOLERANCE_S:
            state[at], state[at + 1] = self._ends(now), 0.0
        state[at + 1] = max(0.0, state[at + 1] + n)

    def standing(self, state: array[float], at: int, now: float) -> Standing:
        left_s = state[at] - now
        if left_s <= TOLERANCE_S:
            return Standing(self.limit, 0.0, 0.0, self.period_s)
        return Standing(self.limit, state[at + 1], left_s, self.period_s)

    def scale(self, factor: float) -> None:
        self.limit = self.amount * factor
