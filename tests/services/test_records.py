"""What rooms have at hand: bounded, the longest unused forgotten first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.services.records import Records

STEPS = st.lists(
    st.tuples(st.sampled_from(["keep", "find", "forget"]), st.integers(0, 8), st.integers(1, 40)),
    max_size=60,
)
BYTES_MAX, COUNT_MAX = 100, 5


@given(STEPS)
def test_what_was_used_last_is_there_as_far_as_there_is_room(
    steps: list[tuple[str, int, int]],
) -> None:
    records = Records(BYTES_MAX, COUNT_MAX)
    weights: dict[str, int] = {}
    for what, number, weight in steps:
        name = str(number)
        known = weights.pop(name, None)
        if what == "keep":
            records.keep("a", name, number, weight)
            weights[name] = weight
            while sum(weights.values()) > BYTES_MAX or len(weights) > COUNT_MAX:
                del weights[next(iter(weights))]
        elif what == "forget":
            records.forget("a", name)
        else:
            assert records.find("a", name) == (None if known is None else number)
            if known is not None:
                weights[name] = known
    for number in range(9):
        expected = number if str(number) in weights else None
        assert records.find("a", str(number)) == expected
        assert records.find("b", str(number)) is None
