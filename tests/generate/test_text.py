"""Prose: what it says, how long it is, and that its tokens are its encoding."""

from __future__ import annotations

from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.dice import Dice
from fakeai_proxy.generate.text import prose, subject_of
from fakeai_proxy.generate.tokens import VOCABULARIES, Tokens

_DICE = Dice(7)


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_the_tokens_of_an_answer_are_the_encoding_of_its_text(vocabulary: str) -> None:
    tokens = Tokens.load(vocabulary)
    for k in range(40):
        passage, _ = prose(tokens).write(_DICE.roll(k), "lighthouse keepers", 10**6, 30 * k)
        assert passage.ids == list(tokens.encode(passage.text))
        assert passage.tokens == len(passage.ids)


@given(subject=st.text(max_size=30), seed=st.integers(0, 1000))
def test_whatever_the_prompt_the_tokens_are_the_encoding(subject: str, seed: int) -> None:
    tokens = Tokens.load("o200k_base")
    about = subject_of(f"Tell me about {subject}")
    passage, ended = prose(tokens).write(_DICE.roll(seed), about, 10**6)
    assert ended
    assert passage.ids == list(tokens.encode(passage.text))
    assert about in passage.text


def test_equal_dice_write_equal_answers_and_others_do_not() -> None:
    tokens = Tokens.load("o200k_base")
    texts = [prose(tokens).write(_DICE.roll(k % 50), "tea", 10**6)[0].text for k in range(100)]
    assert texts[:50] == texts[50:]
    assert len(set(texts)) == 50


@given(limit=st.integers(1, 400), seed=st.integers(0, 50))
def test_an_answer_is_cut_at_exactly_the_limit(limit: int, seed: int) -> None:
    tokens = Tokens.load("o200k_base")
    whole, _ = prose(tokens).write(_DICE.roll(seed), "tea", 10**6)
    cut, ended = prose(tokens).write(_DICE.roll(seed), "tea", limit)
    assert ended == (whole.tokens <= limit)
    assert cut.tokens == min(limit, whole.tokens)
    assert cut.ids == whole.ids[:limit]


def test_lengths_are_natural_and_answers_end_with_a_sentence() -> None:
    tokens = Tokens.load("o200k_base")
    passages = [prose(tokens).write(_DICE.roll(k), "", 10**6)[0] for k in range(400)]
    assert 100 < median(passage.tokens for passage in passages) < 150
    assert all(passage.text.endswith(".") for passage in passages)
    assert len({passage.tokens for passage in passages}) > 100


def test_a_long_answer_is_as_long_as_asked() -> None:
    tokens = Tokens.load("o200k_base")
    passage, ended = prose(tokens).write(_DICE.roll(1), "tea", 100_000, 100_001)
    assert (passage.tokens, ended) == (100_000, False)


@pytest.mark.parametrize(
    ("prompt", "subject"),
    [
        ("Tell me about lighthouse keepers.", "lighthouse keepers"),
        ("What is the capital of France?", "France"),
        ("Write a haiku about autumn rain in Kyoto", "autumn rain"),
        ("hi", ""),
        ("", ""),
        ("?!...", ""),
    ],
)
def test_the_subject_of_a_prompt(prompt: str, subject: str) -> None:
    assert subject_of(prompt) == subject
