"""The rules of counting, by themselves: never more than the limit, never less than promised."""

from __future__ import annotations

from array import array
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.shaping.limits.bucket import TokenBucket
from fakeai_proxy.shaping.limits.gauge import Gauge
from fakeai_proxy.shaping.limits.ledger import Ledger
from fakeai_proxy.shaping.limits.meter import Meter
from fakeai_proxy.shaping.limits.window import Counter, SlidingWindow

#: Rounding of instants, as a share of a limit.
SLACK = 1e-6

waits = st.one_of(st.just(0.0), st.floats(0, 5), st.floats(0, 200))
requests = st.lists(st.tuples(waits, st.integers(1, 60)), min_size=1, max_size=60)


def granted(meter: Meter, asked: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """(instant, how much) of what was had; each that is refused comes again once, exactly when it
    was told to, and must succeed; a millisecond before, it must not."""
    state = array("d", meter.rest())
    now, had = 0.0, []
    for gap_s, n in asked:
        now += gap_s
        wait_s = meter.wait_s(state, 0, n, now)
        if wait_s == inf:
            assert n > meter.limit
            continue
        if wait_s > 0.001:
            assert meter.wait_s(state, 0, n, now + wait_s - 0.001) > 0
        now += wait_s
        assert meter.wait_s(state, 0, n, now) == 0
        meter.take(state, 0, n, now)
        had.append((now, n))
        assert -SLACK <= meter.standing(state, 0, now).used <= meter.limit * (1 + SLACK)
        assert (
            meter.standing(state, 0, now + meter.standing(state, 0, now).reset_s + 1e-6).used
            <= SLACK
        )
    return had


@given(requests, st.integers(1, 50), st.sampled_from([1.0, 60.0, 86_400.0]), st.booleans())
def test_a_bucket_never_gives_more_than_it_holds_and_what_flows_in(
    asked: list[tuple[float, int]], amount: int, period_s: float, in_portions: bool
) -> None:
    bucket = TokenBucket(amount, period_s, period_s / 10 if in_portions else None)
    had = granted(bucket, asked)
    rate = amount / period_s
    for first, (since, _) in enumerate(had):
        total = 0
        for at, n in had[first:]:
            total += n
            assert total <= (bucket.limit + rate * (at - since)) * (1 + SLACK) + SLACK


@given(st.lists(waits, min_size=1, max_size=80), st.integers(1, 20), st.sampled_from([1.0, 10.0]))
def test_no_window_of_that_length_holds_more_than_its_count(
    gaps: list[float], count: int, window_s: float
) -> None:
    window = SlidingWindow(count, window_s)
    had = [at for at, _ in granted(window, [(gap_s, 1) for gap_s in gaps])]
    for k in range(len(had) - count):
        assert had[k + count] - had[k] >= window_s - SLACK


@given(st.lists(waits, min_size=1, max_size=80), st.integers(1, 20))
def test_a_window_refuses_only_when_it_is_full(gaps: list[float], count: int) -> None:
    window = SlidingWindow(count, 10.0)
    state = array("d", window.rest())
    now, had = 0.0, list[float]()
    for gap_s in gaps:
        now += gap_s
        within = sum(at > now - 10.0 + SLACK for at in had)
        assert window.standing(state, 0, now).used == within
        assert (window.wait_s(state, 0, 1, now) == 0) == (within < count)
        if within < count:
            window.take(state, 0, 1, now)
            had.append(now)


@given(requests, st.integers(1, 100))
def test_a_counter_gives_its_amount_in_each_of_its_minutes(
    asked: list[tuple[float, int]], amount: int
) -> None:
    counter = Counter(amount, 60.0, lambda now: now + 60.0)
    had = granted(counter, asked)
    while had:
        began = had[0][0]
        minute = [n for at, n in had if at < began + 60 - SLACK]
        assert sum(minute) <= amount
        had = had[len(minute) :]


@given(st.lists(st.integers(1, 5), max_size=40), st.integers(1, 9))
def test_a_gauge_holds_no_more_than_its_amount_and_takes_it_back(
    asked: list[int], amount: int
) -> None:
    gauge, state, held = Gauge(amount), array("d", [0.0]), list[int]()
    for n in asked:
        if gauge.wait_s(state, 0, n, 0.0) == 0:
            gauge.take(state, 0, n, 0.0)
            held.append(n)
        elif held:
            assert sum(held) + n > amount
            gauge.take(state, 0, -held.pop(), 0.0)
        assert sum(held) == gauge.standing(state, 0, 0.0).used <= amount


def test_a_bucket_in_debt_admits_nothing_until_the_debt_is_paid() -> None:
    bucket = TokenBucket(600, 60.0)
    state = array("d", bucket.rest())
    bucket.take(state, 0, 700, 0.0)
    assert bucket.wait_s(state, 0, 0, 0.0) == 10.0
    assert bucket.wait_s(state, 0, 0, 10.0) == 0.0


@given(st.sampled_from([0.1, 0.5, 1.0]), st.sampled_from([0.1, 0.5, 1.0]), st.floats(0, 30))
def test_what_was_used_stays_used_when_the_limit_changes(
    first: float, then: float, now: float
) -> None:
    ledger = Ledger("key", "*", [("rpm", 0, TokenBucket(600, 60.0)),
                                 ("tpm", 1, Counter(600, 60.0, lambda now: now + 60.0))])  # fmt: skip
    ledger.scale(first, now)
    row = ledger.row(b"a", now)
    for quota in ledger.quotas:
        quota.meter.take(ledger.state, row + quota.at, 30, now)
    ledger.scale(then, now)
    for quota in ledger.quotas:
        assert abs(quota.meter.limit - 600 * then) < SLACK
        assert abs(quota.meter.standing(ledger.state, row + quota.at, now).used - 30) < SLACK
    ledger.row(b"b", now)


def test_a_window_grants_a_share_of_its_count() -> None:
    window = SlidingWindow(10, 10.0)
    state = array("d", window.rest())
    window.take(state, 0, 5, 0.0)
    window.scale(0.5)
    assert window.wait_s(state, 0, 1, 4.0) == 6.0


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(0, 40), st.integers(1, 30)), max_size=200))
def test_an_account_that_was_given_up_for_space_loses_nothing(
    asked: list[tuple[int, float, int]],
) -> None:
    ledger = Ledger("key", "*", [("rpm", 0, TokenBucket(60, 60.0))])
    alone: dict[bytes, array[float]] = {}
    meter, now = ledger.quotas[0].meter, 0.0
    for who, gap_s, n in asked:
        now += gap_s
        owner = b"%d" % who
        own = alone.setdefault(owner, array("d", meter.rest()))
        row = ledger.row(owner, now)
        assert meter.wait_s(ledger.state, row, n, now) == meter.wait_s(own, 0, n, now)
        if meter.wait_s(own, 0, n, now) == 0:
            meter.take(ledger.state, row, n, now)
            meter.take(own, 0, n, now)


def test_owners_who_have_not_asked_for_long_take_no_space() -> None:
    ledger = Ledger("key", "*", [("rpm", 0, TokenBucket(60, 60.0))])
    for second in range(20_000):
        row = ledger.row(b"%d" % second, float(second))
        ledger.quotas[0].meter.take(ledger.state, row, 1, float(second))
    assert len(ledger) < 100
    assert len(ledger.state) < 100
