"""Code that is written for a prompt, run."""

from __future__ import annotations

import contextlib
import io

import pytest
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


@given(st.text("0123456789.,+-*/^()x% ", max_size=24))
def test_any_expression_prints_what_is_said_of_it(text: str) -> None:
    code, output = computed(f"Compute {text}")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code)
    assert printed.getvalue() == output


@pytest.mark.parametrize(
    ("prompt", "output"),
    [
        ("Compute 12*12", "144"),
        ("Compute 2**100 with python", "1267650600228229401496703205376"),
        ("What is (3+4) * 5?", "35"),
        ("1,200 + 3 please", "1203"),
        ("7 x 8", "56"),
        ("10/4", "2.5"),
        ("First 1+1, then 2 ^ 10", "1024"),
        ("Add 3, 4 and 5", "12 4.0"),
        ("On 2024-05-06 there were 3 cats", "2038 509.5"),
        ("Call 555-1234-22", "1811 603.6666666666666"),
        ("1/0", "1 0.5"),
        ("9**9**9", "27 9.0"),
        ("nothing to add", "6 2.0"),
    ],
)
def test_an_expression_is_computed_else_what_there_is_of_numbers(prompt: str, output: str) -> None:
    made = computed(prompt)
    assert made.output == f"{output}\n"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(made.code, {})
    assert printed.getvalue() == made.output
