"""Quantiles and numbers of different things, over any number of values in little memory."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable

QUANTILES = (("p50", 0.5), ("p95", 0.95))
#: Different values that are kept as they are until they are rounded.
_EXACT_MAX = 100_000
#: Hashes that are kept before equal ones are left out.
_HASHES_MAX = 100_000


class Spread:
    """Of microseconds: their quantiles in units of which a second has `per_s`, to so many `digits`. What
    is rounded keeps its rank, so these are the exact ones."""

    def __init__(self, per_s: int, digits: int) -> None:
        self._per_s, self._digits = per_s, digits
        self._exact: Counter[int] = Counter()
        self._rounded: Counter[float] = Counter()

    def add(self, microseconds: Iterable[int]) -> None:
        self._exact.update(microseconds)
        if len(self._exact) > _EXACT_MAX:
            self._round()

    def _round(self) -> None:
        for microseconds, count in self._exact.items():
            value = round(microseconds / 1e6 * self._per_s, self._digits)
            self._rounded[value] += count
        self._exact.clear()

    def quantile(self, share: float) -> float | None:
        """The value that is nearest to it in rank; None of nothing."""
        self._round()
        left = round(share * (self._rounded.total() - 1))
        for value in sorted(self._rounded):
            left -= self._rounded[value]
            if left < 0:
                return value
        return None

    def quantiles(self) -> dict[str, float]:
        found = {name: self.quantile(share) for name, share in QUANTILES}
        return {name: value for name, value in found.items() if value is not None}


class Distinct:
    """How many different 64-bit hashes there were."""

    def __init__(self) -> None:
        self._kept: array[int] = array("Q")
        self._room = _HASHES_MAX

    def add(self, hashed: int) -> None:
        self._kept.append(hashed)
        if len(self._kept) > self._room:
            self._settle()
            self._room = 2 * len(self._kept) + _HASHES_MAX

    def _settle(self) -> None:
        import numpy as np

        self._kept = array("Q", np.unique(np.frombuffer(self._kept, "u8")).tobytes())

    def __len__(self) -> int:
        return len(set(self._kept)) if len(self._kept) < _HASHES_MAX else self._settled()

    def _settled(self) -> int:
        self._settle()
        return len(self._kept)
