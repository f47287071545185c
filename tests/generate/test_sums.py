"""Code that is written for a prompt, run."""

from __future__ import annotations

import contextlib
import io

from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.generate.sums import computed


@given(
    st.lists(st.from_regex(r"\d{1,9}(\.\d{1,4})?", fullmatch=True), max_size=14),
    st.sampled_from(("", ".", ", and so on")),
)
def test_code_prints_what_is_said_of_it(numbers: list[str], end: str) -> None:
    code, output = computed("Calculate " + " and ".join(numbers) + end)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code)
    assert printed.getvalue() == output


def test_the_last_number_of_a_sentence_counts() -> None:
    assert computed("The sum of 3, 5 and 10.").output == "18 6.0\n"
