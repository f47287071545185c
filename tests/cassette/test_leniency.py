"""What may differ between two requests that are taken for the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.cassette.leniency import Leniency
from fakeai_proxy.cassette.settings import CassetteSettings
from fakeai_proxy.errors import CassetteError

JSON = ((b"content-type", b"application/json"),)
TARGET = "/v1/chat/completions"


def key(leniency: Leniency, body: Any, target: str = TARGET) -> bytes:
    return leniency.key("POST", target, JSON, json.dumps(body).encode())


def turn(*calls: str, results: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """An agent's second turn: its calls and, in this order, their results."""
    called = [{"id": one, "type": "function", "function": {"name": "f", "arguments": "{}"}}
              for one in calls]  # fmt: skip
    return {
        "model": "m",
        "messages": [
            {"role": "user", "content": "look it up"},
            {"role": "assistant", "tool_calls": called},
            *({"role": "tool", "tool_call_id": one, "content": "42"} for one in results or calls),
        ],
        **more,
    }


AGENT = Leniency("agent")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (turn("call_abc123def"), turn("call_zzz999yyy")),
        (turn("toolu_01AbCdEfGh", "toolu_02XyZwVuTs"), turn("toolu_77777777", "toolu_88888888")),
        (turn("call_a1a1a1a1", "call_b2b2b2b2", results=("call_b2b2b2b2", "call_a1a1a1a1")),
         turn("call_c3c3c3c3", "call_d4d4d4d4", results=("call_d4d4d4d4", "call_c3c3c3c3"))),
        (turn("c", user="3f2504e0-4f89-11d3-9a0c-0305e82c3301"),
         turn("c", user="00000000-4f89-11d3-9a0c-0305e82c3301")),
        ({"input": "Today is 2026-11-23T10:15:00Z."}, {"input": "Today is 2025-01-02T00:00:01+01:00."}),
        ({"input": "Today is 2026-11-23."}, {"input": "Today is 2025-01-02."}),
        ({"created_at": 1750000000, "n": 1}, {"created_at": 1760000000, "n": 1}),
        ({"previous_response_id": "resp_0123456789abcdef"}, {"previous_response_id": "resp_fedcba98"}),
    ],
)  # fmt: skip
def test_ids_and_times_may_differ(one: Any, other: Any) -> None:
    assert key(AGENT, one) == key(AGENT, other)
    assert key(Leniency(), one) != key(Leniency(), other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # Which result belongs to which call still counts.
        (turn("call_a1a1a1a1", "call_b2b2b2b2"),
         turn("call_a1a1a1a1", "call_b2b2b2b2", results=("call_b2b2b2b2", "call_a1a1a1a1"))),
        (turn("call_a1a1a1a1", "call_b2b2b2b2"), turn("call_a1a1a1a1", "call_a1a1a1a1")),
        (turn("call_a1a1a1a1"), turn("call_a1a1a1a1", "call_b2b2b2b2")),
        ({"input": "call the lighthouse"}, {"input": "call the keeper"}),
        ({"input": "run_the_tests"}, {"input": "run_the_build"}),
        ({"temperature": 1}, {"temperature": 1.0}),
        ({"max_tokens": 1750000000}, {"max_tokens": 1760000000}),
        ({"seed": "1"}, {"seed": 1}),
        ([1, 2], [2, 1]),
    ],
)  # fmt: skip
def test_everything_else_counts(one: Any, other: Any) -> None:
    assert key(AGENT, one) != key(AGENT, other)


def test_the_route_and_the_query_count() -> None:
    assert key(AGENT, {"a": 1}) != key(AGENT, {"a": 1}, "/v1/responses")
    assert key(AGENT, {"a": 1}) != key(AGENT, {"a": 1}, f"{TARGET}?api-version=1")


def test_what_is_ignored_does_not_count_and_the_rest_does() -> None:
    chosen = Leniency("exact", ("$.metadata.run", "messages[0]"))
    one = {"messages": ["a", "b"], "metadata": {"run": 1, "kind": "x"}}
    assert key(chosen, one) == key(
        chosen, {"messages": ["c", "b"], "metadata": {"run": 2, "kind": "x"}}
    )
    assert key(chosen, one) == key(chosen, {"messages": ["c", "b"], "metadata": {"kind": "x"}})
    assert key(chosen, one) != key(
        chosen, {"messages": ["a", "c"], "metadata": {"run": 1, "kind": "x"}}
    )
    assert key(chosen, one) != key(
        chosen, {"messages": ["a", "b"], "metadata": {"run": 1, "kind": "y"}}
    )


def test_a_pattern_stands_for_whatever_it_matches() -> None:
    chosen = Leniency(patterns=(r"build \d+", "host-[a-z]+"))
    assert key(chosen, {"i": "build 7 on host-a"}) == key(chosen, {"i": "build 12 on host-zz"})
    assert key(chosen, {"i": "build 7 on host-a"}) != key(chosen, {"i": "build x on host-a"})


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"model": "m", "messages": [{"role": "system", "content": "a"},
                                     {"role": "user", "content": "Hello  there"}]},
         {"model": "m", "temperature": 0, "messages": [{"role": "user", "content": "hello there "}]}, True),
        ({"model": "m", "input": "hi"}, {"model": "m", "input": [{"role": "user", "content": [
            {"type": "input_text", "text": "hi"}]}]}, True),
        ({"model": "m", "prompt": "hi"}, {"model": "n", "prompt": "hi"}, False),
        ({"model": "m", "messages": [{"role": "user", "content": "a"}]},
         {"model": "m", "messages": [{"role": "user", "content": "b"}]}, False),
    ],
)  # fmt: skip
def test_loose_compares_the_model_and_the_last_words(one: Any, other: Any, same: bool) -> None:
    loose = Leniency("loose")
    assert (key(loose, one) == key(loose, other)) is same


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"match_ignore": ("$.[",)}, "JSONPath"), ({"match_pattern": ("(",)}, "match_pattern")],
)
def test_what_is_no_path_or_expression_is_said(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(CassetteError, match=said):
        Leniency.of(CassetteSettings(**wrong))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@given(_json, st.sampled_from(("exact", "agent", "loose")))
def test_any_body_has_a_key_that_its_white_space_does_not_change(body: Any, match: Any) -> None:
    chosen = Leniency(match, ("$.a",), ("x+",))
    spaced = json.dumps(body, indent=3, sort_keys=True).encode()
    assert chosen.key("POST", TARGET, JSON, spaced) == key(chosen, body)
    assert chosen.key("POST", TARGET, JSON, b"\x00" + spaced)  # no JSON at all
