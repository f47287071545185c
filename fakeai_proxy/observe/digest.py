"""A distribution of any number of values in a few counts: bins that are 2.2 % wide either way.

Sums, the least and the most are exact; quantiles are as exact as the bins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import ceil, exp2, log2

#: Bins to each doubling, and the bin of 1.
_BINS, _ONE = 16, 1024
_LEAST = 1e-9


def _place(value: float) -> int:
    return int(log2(value) * _BINS + _ONE) if value > _LEAST else 0


class Digest:
    __slots__ = ("bins", "least", "most", "sum")

    def __init__(self, values: Sequence[float] = ()) -> None:
        self.bins: Counter[int] = Counter([_place(value) for value in values])
        self.sum = sum(values)
        self.least, self.most = min(values, default=float("inf")), max(values, default=0.0)

    def add(self, value: float) -> None:
        self.bins[_place(value)] += 1
        self.sum += value
        self.least = min(self.least, value)
        self.most = max(self.most, value)

    @property
    def count(self) -> int:
        return sum(self.bins.values())

    @property
    def mean(self) -> float:
        """0 of nothing."""
        return self.sum / count if (count := self.count) else 0.0

    def quantile(self, share: float) -> float:
        """0 of nothing."""
        left = ceil(share * self.count)
        for place in sorted(self.bins):
            left -= self.bins[place]
            if left <= 0:
                middle = exp2((place + 0.5 - _ONE) / _BINS)
                return min(max(middle, self.least), self.most)
        return self.most

    def below(self, bound: float) -> int:
        """How many values are less, to the width of a bin."""
        place = log2(bound) * _BINS + _ONE
        return sum(count for bin_, count in self.bins.items() if bin_ < place)

    def merge(self, other: Digest) -> None:
        self.bins.update(other.bins)
        self.sum += other.sum
        self.least, self.most = min(self.least, other.least), max(self.most, other.most)

    @classmethod
    def of(cls, parts: Iterable[Digest]) -> Digest:
        whole = cls()
        for part in parts:
            whole.merge(part)
        return whole
