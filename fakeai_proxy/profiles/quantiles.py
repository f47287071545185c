"""Distributions as rows of quantiles, and how far two samples are apart, whatever was measured."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence

#: sqrt(-ln(alpha / 2) / 2) at alpha = 0.01: the two-sample Kolmogorov-Smirnov test's critical value
#: times sqrt(n m / (n + m)) (Smirnov 1948).
_KS_FACTOR = 1.628


def quantile_at(row: Sequence[float], share: float) -> float:
    """Of quantiles at equal steps from 0 to 1, the one at `share`, interpolated."""
    place = share * (len(row) - 1)
    low = min(int(place), len(row) - 1)
    high = min(low + 1, len(row) - 1)
    return row[low] + (row[high] - row[low]) * (place - low)


def quantiles_of(values: Iterable[float], count: int, beyond: float = 0.0) -> tuple[float, ...]:
    """So many at equal steps, without the share `beyond` at the upper end, to which few steps would
    otherwise be stretched."""
    ordered = sorted(values)
    ordered = ordered[: max(math.ceil(len(ordered) * (1 - beyond)), 1)]
    return tuple(quantile_at(ordered, k / (count - 1)) for k in range(count))


def ks_distance(one: Iterable[float], other: Iterable[float]) -> float:
    """The two-sample Kolmogorov-Smirnov statistic: the largest difference of the shares of both that
    lie at or below any value."""
    first, second = sorted(one), sorted(other)
    if not first or not second:
        return 1.0
    return max(
        abs(bisect_right(first, value) / len(first) - bisect_right(second, value) / len(second))
        for value in sorted({*first, *second})
    )


def ks_limit(one: int, other: int) -> float:
    """The distance that samples of one distribution, of so many values, exceed once in a hundred."""
    return _KS_FACTOR * math.sqrt((one + other) / (one * other))
