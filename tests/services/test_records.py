"""What rooms remember: bounded, and listed in the order in which it came."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.services.records import Records

STEPS = st.lists(
    st.tuples(st.sampled_from(["keep", "find", "forget"]), st.integers(0, 8), st.integers(1, 40)),
    max_size=60,
)


@given(STEPS)
def test_ids_are_those_that_can_be_found_in_the_order_in_which_they_came(
    steps: list[tuple[str, int, int]],
) -> None:
    records = Records(bytes_max=100, count_max=5)
    order: list[str] = []
    for what, number, weight in steps:
        name = str(number)
        if what == "keep":
            records.keep("a", name, number, weight)
            records.keep("b", "other", 0, 1)
            if name not in order:
                order.append(name)
        elif what == "forget":
            records.forget("a", name)
        else:
            records.find("a", name)
        there = records.ids("a")
        order = [one for one in order if one in there]
        assert there == order
        assert len(there) <= 5
    assert all(records.find("a", name) == int(name) for name in records.ids("a"))
    assert records.ids("c") == []
