"""Predicted outputs: what is answered, what is counted, and how much sooner it is there."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import AsyncOpenAI

from fakeai_proxy.generate.prediction import DRAFT_TOKENS, compare, follow
from tests.services.asking import count, question, refused

CODE = """class User {
  firstName: string = "";
  lastName: string = "";
  username: string = "";
}

export default User;
"""
ASK = question(
    'Replace the "username" property with an "email" property. Respond only with code.\n\n' + CODE
)
PREDICTED: Any = {"type": "content", "content": CODE}


async def test_an_answer_keeps_to_the_prediction_but_for_the_change(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model="gpt-4o", messages=ASK, prediction=PREDICTED
    )
    text = answer.choices[0].message.content or ""
    assert text == CODE.replace("username", "email")
    usage = answer.usage
    assert usage is not None
    assert usage.completion_tokens_details is not None
    accepted = usage.completion_tokens_details.accepted_prediction_tokens or 0
    rejected = usage.completion_tokens_details.rejected_prediction_tokens or 0
    assert accepted + rejected == count(CODE)
    assert 0 < rejected < 8 < accepted
    assert usage.completion_tokens == count(text) + rejected
    parts: Any = {"type": "content", "content": [{"type": "text", "text": CODE}]}
    stream = await client.chat.completions.create(
        model="gpt-4o", messages=ASK, prediction=parts, stream=True,
        stream_options={"include_usage": True},
    )  # fmt: skip
    chunks = [chunk async for chunk in stream]
    joined = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert joined == text
    assert chunks[-1].usage == usage


async def test_what_cannot_be_predicted_says_so(client: AsyncOpenAI) -> None:
    for body, param in (
        ({"n": 2}, "n"), ({"logprobs": True}, "logprobs"), ({"presence_penalty": 1.0}, "presence_penalty"),
        ({"max_completion_tokens": 9}, "max_completion_tokens"),
        ({"model": "gpt-5-mini"}, "prediction"), ({"model": "o3"}, "prediction"),
    ):  # fmt: skip
        status, found, _, _ = await refused(client, prediction=PREDICTED, **body)
        assert (status, found) == (400, param)


@given(
    st.lists(st.integers(0, 5), max_size=60),
    st.lists(st.integers(0, 5), max_size=60),
)
def test_every_token_is_in_one_step_and_every_predicted_one_is_counted(
    answer: list[int], prediction: list[int]
) -> None:
    accepted, rejected, strides = compare(answer, prediction)
    assert accepted + rejected == len(prediction)
    assert 0 <= accepted <= min(len(answer), len(prediction))
    assert sum(strides) == len(answer)
    assert all(1 <= stride <= DRAFT_TOKENS + 1 for stride in strides)
    assert len(strides) >= len(answer) - accepted
    assert compare(answer, []).strides == (1,) * len(answer)


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_instruction_leaves_some_text(prediction: str, asked: str) -> None:
    assert isinstance(follow(prediction, asked), str)


@pytest.mark.parametrize(
    ("asked", "before", "after"),
    [
        ("rename `total` to `sum`", "total = total + subtotal", "sum = sum + subtotal"),
        ("Change the Username field into Email", "username: Username", "email: Email"),
        ("replace all occurrences of 'a.b' with 'c'", "a.b axb", "c axb"),
        ("Make it nicer.", "a = 1", "a = 1"),
    ],
)
def test_the_change_that_is_asked_for_is_made(asked: str, before: str, after: str) -> None:
    assert follow(before, asked) == after
