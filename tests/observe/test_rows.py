"""The journal's ring of rows, part of it packed, against a plain one."""

from __future__ import annotations

import gc
import tracemalloc
from collections import deque
from http import HTTPStatus
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.observe.rows import Rows

Row = tuple[object, ...]

ATOMS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.binary(max_size=9),
    st.text(st.characters(), max_size=9), st.just("\udcff"), st.tuples(st.text(max_size=3)),
    st.just(HTTPStatus.OK),
)  # fmt: skip
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 300)),
        st.tuples(st.just("change"), st.integers(0, 500)),
        st.tuples(st.just("clear"), st.just(0)),
    ),
    max_size=12,
)


@given(st.sampled_from([1, 3, 64, 127, 128, 200, 500]), ACTIONS, st.lists(ATOMS, max_size=4))
def test_it_holds_what_a_plain_ring_holds(
    size: int, actions: list[tuple[str, int]], atoms: list[object]
) -> None:
    rows, plain = Rows[Row](size), deque[Row](maxlen=size)
    count = 0

    def changed(row: Row) -> Row:
        return (*row, "changed")

    for action, number in actions:
        if action == "add":
            for _ in range(number):
                count += 1
                rows.append((count, *atoms))
                plain.append((count, *atoms))
        elif action == "change":
            rows.change(number, changed)
            if number < len(plain):
                plain[-1 - number] = changed(plain[-1 - number])
        else:
            rows.clear()
            plain.clear()
        newest = rows.snapshot()
        assert len(rows) == len(newest) == len(plain)
        assert list(newest) == list(reversed(plain))


def test_what_was_looked_at_stays_as_it_was() -> None:
    rows = Rows[Row](300)
    for number in range(250):
        rows.append((number,))
    then = rows.snapshot()
    for number in range(250, 900):
        rows.append((number,))
    rows.change(0, lambda row: ("another",))
    assert [row[0] for row in then] == list(range(249, -1, -1))
    assert [row[0] for row in rows.snapshot()] == ["another", *range(898, 599, -1)]


def test_older_rows_are_small_and_nothing_for_the_garbage_collector() -> None:
    def row(number: int) -> tuple[Any, ...]:
        return (
            f"req_{number:032x}",
            number * 1.25,
            number * 2.5,
            "".join(["/v1", "/chat"]),
            "",
            200,
        )

    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0], len(gc.get_objects())
    rows = Rows[Row](10_000)
    for number in range(10_000):
        rows.append(row(number))
    gc.collect()
    after = tracemalloc.get_traced_memory()[0], len(gc.get_objects())
    tracemalloc.stop()
    assert (after[0] - before[0]) / 10_000 < 120
    assert after[1] - before[1] < 100
