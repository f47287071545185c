"""Sixty shapes of credentials, wherever they may stand: none is left."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakeai_proxy.cassette.redaction import Redactor
from fakeai_proxy.cassette.shapes import TOKENS, matches, runs
from tests.cassette.planted import FIELD, SECRETS

REDACTOR = Redactor(b"salt")
NAMES = sorted(SECRETS)


def scrubbed(data: bytes, lines: bool = False) -> bytes:
    clean = REDACTOR.scrub(data, (), lines)
    assert len(clean) == len(data)
    assert REDACTOR.scrub(clean, (), lines) == clean
    return clean


def test_there_are_more_than_forty() -> None:
    assert len(SECRETS) > 40


@pytest.mark.parametrize("name", NAMES)
def test_none_is_left_in_text_in_json_and_in_base64(name: str) -> None:
    text, core = (piece.encode() for piece in SECRETS[name])
    assert core not in scrubbed(b"it is " + text + b" and so on")
    in_json = b'{"a": ["' + text + b'", 1], "b": "{\\"c\\": \\"' + text + b'\\"}"}'
    assert core not in scrubbed(in_json)
    json.loads(scrubbed(b'{"a": ["' + text + b'", 1]}'))
    for before in (b"", b"a", b"ab"):
        hidden = base64.b64encode(before + b" " + text + b" and more")
        plain = base64.b64decode(scrubbed(b'{"file": "' + hidden + b'"}')[10:-2])
        assert core not in plain


@pytest.mark.parametrize("name", NAMES)
def test_none_is_left_in_a_stream_that_is_cut_at_any_of_its_bytes(name: str) -> None:
    text, core = SECRETS[name]

    def frame(piece: str) -> bytes:
        content = b'{"index":0,"delta":{"content":"' + piece.encode() + b'"}}'
        return b'data: {"choices":[' + content + b"]}\n\n"

    whole = f"so: {text} it is"
    for cut in range(4, len(whole) - 5):
        if whole[cut - 1] == "\\":
            continue  # no encoder cuts an escape
        body = frame(whole[:cut]) + frame(whole[cut:]) + b"data: [DONE]\n\n"
        clean = REDACTOR.scrub(body, (), lines=True)
        told = b"".join(clean.split(b'"content":"')[n].split(b'"}')[0] for n in (1, 2))
        assert not [at for at in range(len(core) - 11) if core[at : at + 12].encode() in told]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(NAMES),
    st.integers(0, 200_000),
    st.lists(st.integers(1, 70_000), min_size=1, max_size=6),
)
def test_none_is_left_in_a_body_in_pieces(name: str, place: int, sizes: list[int]) -> None:
    text, core = (piece.encode() for piece in SECRETS[name])
    body = (b"lorem ipsum " * 20_000)[:place] + b" " + text + b" dolor" * 20_000
    pieces, position = [], 0
    while position < len(body):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(body[position : position + size])
        position += size
    clean = b"".join(REDACTOR.scrub_pieces(pieces, ()))
    assert core not in clean
    assert len(clean) == len(body)


@pytest.mark.parametrize(
    "field",
    ["api_key", "apiKey", "access_token", "client_secret", "password", "refresh_token", "api-key"],
)
def test_a_field_that_is_named_for_a_secret_has_none(field: str) -> None:
    arguments = json.dumps({field: FIELD})
    for body in (arguments, json.dumps({"arguments": arguments})):
        assert FIELD.encode() not in scrubbed(body.encode())
        json.loads(scrubbed(body.encode()))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(TOKENS).flatmap(
    lambda shape: st.tuples(st.just(shape), st.from_regex(shape.pattern, fullmatch=True))
))  # fmt: skip
def test_every_token_is_long_enough_to_be_looked_for(found: tuple[object, bytes]) -> None:
    """Tokens are looked for among long words only."""
    _, text = found
    assert any(runs(text, 16))
    assert matches(b"x " + text + b" y") or b"REDACTED" in text


def test_ordinary_words_and_code_are_left_alone() -> None:
    text = (
        b'Basic understanding; the token "hello", a key: value pair. password: "short" tokens=12 '
        b"https://example.com:8080/a?page=2&keyword=abcdefghij SKU 12 proj_x fw_x sk_x "
        b'{"max_tokens": 100, "prompt_cache_key": "user-1", "token": " and", "logprob": -0.1} '
        b"http://user@host/ git@github.com:a/b.git 12:30:45 mailto:x@y.z"
    )
    assert Redactor(b"s").scrub(text, (), lines=True) is text
