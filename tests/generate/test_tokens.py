"""Token ids, pieces and their bytes."""

from __future__ import annotations

import orjson
import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.generate.tokens import VOCABULARIES, Passage, Tokens

_PATTERNS = {
    "o200k_base": "|".join(
        (
            r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
            r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
            r"""\p{N}{1,3}""",
            r""" ?[^\s\p{L}\p{N}]+[\r\n/]*""",
            r"""\s*[\r\n]+""",
            r"""\s+(?!\S)""",
            r"""\s+""",
        )
    ),
}


@pytest.fixture(scope="module")
def reference() -> tiktoken.Encoding:
    """The vendor's own encoder over the same vocabulary."""
    tokens = Tokens.load("o200k_base")
    count = len(tokens._bpe.token_byte_values())
    ranks = {tokens.bytes_of(rank): rank for rank in range(count)}
    return tiktoken.Encoding(
        "o200k_base", pat_str=_PATTERNS["o200k_base"], mergeable_ranks=ranks, special_tokens={}
    )


def test_known_texts_have_the_published_ids() -> None:
    tokens = Tokens.load("o200k_base")
    assert list(tokens.encode("tiktoken is great!")) == [83, 8251, 2488, 382, 2212, 0]
    assert list(tokens.encode("Hello, world!")) == [13225, 11, 2375, 0]
    assert list(Tokens.load("cl100k_base").encode("tiktoken is great!")) == [
        83,
        1609,
        5963,
        374,
        2294,
        0,
    ]


@given(text=st.text(max_size=200))
def test_ids_are_those_of_the_vendors_encoder(reference: tiktoken.Encoding, text: str) -> None:
    assert list(Tokens.load("o200k_base").encode(text)) == reference.encode_ordinary(text)


@given(text=st.text(), name=st.sampled_from(VOCABULARIES))
def test_pieces_concatenate_to_the_text_and_bytes_to_its_bytes(text: str, name: str) -> None:
    tokens = Tokens.load(name)
    if name == "qwen3":
        text = tokens.decode(tokens.encode(text))  # it normalizes before it encodes
    span = tokens.span(text)
    assert "".join(span.pieces) == text
    assert b"".join(map(tokens.bytes_of, span.ids)) == text.encode()
    assert orjson.loads(b'"' + span.whole + b'"') == text
    assert len(span.ids) == len(span.pieces) == len(span.escaped) == tokens.count(text)


def test_a_character_over_several_tokens_comes_with_the_last_of_them() -> None:
    span = Tokens.load("o200k_base").span("a 🧿 b 𒀀")
    assert len(span.ids) > 4
    assert "".join(span.pieces) == "a 🧿 b 𒀀"
    assert "" in span.pieces
    assert not any("\ufffd" in piece for piece in span.pieces)


def test_special_token_text_is_plain_text() -> None:
    tokens = Tokens.load("o200k_base")
    ids = tokens.encode("<|endoftext|>")
    assert len(ids) > 1
    assert tokens.decode(ids) == "<|endoftext|>"


def test_lone_surrogates_are_replaced() -> None:
    tokens = Tokens.load("o200k_base")
    assert tokens.decode(tokens.encode("a\ud800b")) == "a\ufffdb"
    assert tokens.count("\udc00" * 1000) == tokens.count("\ufffd" * 1000)


def test_long_texts_encode_the_same_the_second_time() -> None:
    tokens = Tokens.load("o200k_base")
    text = "the harbor at dawn " * 200
    first = list(tokens.encode(text))
    assert list(tokens.encode(text)) == first == tokens._encode(text)


@given(text=st.text(min_size=1, max_size=60), count=st.integers(0, 40))
def test_the_first_tokens_of_a_passage(text: str, count: int) -> None:
    tokens = Tokens.load("o200k_base")
    passage = Passage.of((tokens.span(text), tokens.span(text)))
    cut = passage.first(count)
    assert cut.ids == passage.ids[:count]
    assert cut.tokens == len(cut.ids)
    assert passage.text.startswith(cut.text)


def test_an_unknown_vocabulary_is_refused() -> None:
    with pytest.raises(KeyError):
        Tokens.load("p50k_base")
