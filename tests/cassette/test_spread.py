"""Quantiles and counts of any number of values are those of a list of them all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.cassette import spread
from fakeai_proxy.cassette.spread import Distinct, Spread

LONG_US = st.integers(0, 10_000_000)


@given(st.lists(st.lists(LONG_US, max_size=40), max_size=10), st.sampled_from([0, 3, 1000]))
def test_a_quantile_is_the_nearest_rank_of_all_values(values: list[list[int]], kept: int) -> None:
    found, every = Spread(1000, 1), sorted(value for part in values for value in part)
    before, spread._EXACT_MAX = spread._EXACT_MAX, kept
    try:
        for part in values:
            found.add(part)
    finally:
        spread._EXACT_MAX = before
    for share in (0.0, 0.5, 0.95, 1.0):
        place = round(share * (len(every) - 1))
        expected = round(every[place] / 1e6 * 1000, 1) if every else None
        assert found.quantile(share) == expected


def test_different_hashes_are_counted_once_each() -> None:
    found = Distinct()
    for number in range(400_000):
        found.add(number % 150_000)
    assert len(found) == 150_000
    few = Distinct()
    for number in (3, 5, 3):
        few.add(number)
    assert len(few) == 2
