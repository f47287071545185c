"""The option that would have matched: the true one, the least one, and none where there is none."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.cassette.advice import Asked, advice
from fakeai_proxy.cassette.leniency import Leniency
from fakeai_proxy.cassette.settings import CassetteSettings
from fakeai_proxy.config import split_list
from fakeai_proxy.exchange import Headers

JSON: Headers = ((b"content-type", b"application/json"),)


def asked(text: str = "Hello", call: str = "call_000000a1", **more: Any) -> Asked:
    said = [
        {"role": "user", "content": text},
        {"role": "tool", "tool_call_id": call, "content": "1"},
    ]
    body = {"model": "m", "messages": said, **more}
    return Asked("POST", "/v1/chat/completions", JSON, json.dumps(body).encode())


def taken(options: str) -> Leniency:
    """The settings that these options make, as the command line reads them."""
    words = shlex.split(options)
    found: dict[str, Any] = {}
    for flag, value in zip(words[::2], words[1::2], strict=True):
        name = flag[2:].replace("-", "_")
        if name == "match":
            found[name] = value
        else:
            found[name] = (*found.get(name, ()), *split_list(value))
    return Leniency.of(CassetteSettings.model_validate(found))


CASES = [
    (asked(), asked(call="call_999999z9"), "--match agent"),
    (asked(run="a"), asked(run="b"), "--match-ignore '$.run'"),
    (asked(run="a"), asked(), "--match-ignore '$.run'"),
    (asked(metadata={"run-id": "a"}), asked(metadata={"run-id": "b"}),
     """--match-ignore '$.metadata['"'"'run-id'"'"']'"""),
    (asked("Today is Monday, November 23, 2026. Go"), asked("Today is Friday, June 5, 2026. Go"),
     "--match-pattern"),
    (asked("See /var/folders/a1/x.py and say more"), asked("See /var/folders/b2/x.py and say more"),
     "--match-pattern '/(?:tmp|var/folders)/[\\w./-]+'"),
    (asked("Build 1 of it is here"), asked("Build 22 of it is here"), "--match-pattern"),
    (asked(call="call_999999z9", run="a"), asked(run="b"),
     "--match agent --match-ignore '$.run'"),
    (asked("Tell me all that you know of whales and krill"),
     asked("Tell me all that you know of whales and squid"), "--match-ignore '$.messages[0].content'"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other", "expected"), CASES)
def test_the_least_option_that_matches_is_named(one: Asked, other: Asked, expected: str) -> None:
    options = advice(Leniency(), one, other)
    assert options.startswith(expected)
    if " " in expected:
        assert options == expected
    found = taken(options)
    assert found.key(*one) == found.key(*other)


@pytest.mark.parametrize(
    "other",
    [
        asked("Goodbye"),
        asked("Who was the first on the moon?"),
        asked()._replace(target="/v1/responses"),
        asked()._replace(headers=((b"content-type", b"application/json"), (b"range", b"x"))),
        asked(model="n"),
        asked(messages=[]),
        asked()._replace(body=b"no JSON"),
    ],
)
def test_nothing_is_advised_that_gives_up_the_question(other: Asked) -> None:
    assert advice(Leniency(), asked(), other) == ""


def test_what_is_in_force_is_not_advised_again() -> None:
    agent = Leniency("agent", ("$.run",))
    one = asked(run="a", user="x")
    assert advice(agent, one, asked(call="call_999999z9", user="y")) == "--match-ignore '$.user'"


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(_VALUES, _VALUES)
def test_whatever_is_advised_is_true(one: object, other: object) -> None:
    sides = asked(extra=one), asked(extra=other)
    options = advice(Leniency(), *sides)
    if options:
        found = taken(options)
        assert found.key(*sides[0]) == found.key(*sides[1])
