"""Hostile bodies: whatever is sent, the answer is whole or a refusal in the vendor's envelope."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.services.messages_asking import ASK, USUAL, VERSION, WEATHER, conversation
from tests.services.threaded import threaded_app

PATHS = ("/v1/messages", "/v1/messages/count_tokens")
RICH: dict[str, Any] = {
    "model": USUAL, "max_tokens": 9, "system": [{"type": "text", "text": "Be brief."}],
    "messages": conversation(), "tools": [WEATHER, {"type": "bash_20250124", "name": "bash"}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "thinking": {"type": "adaptive", "display": "omitted"}, "metadata": {"user_id": "u"},
    "output_config": {"effort": "low"}, "stop_sequences": ["x"], "service_tier": "auto",
}  # fmt: skip
HOSTILE = (None, True, -1, 1e300, "", "\ud83d", "x" * 300, [], [[]], {}, {"type": "text"})


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    headers = {"x-api-key": "k", "anthropic-version": VERSION}
    with threaded_app() as url, httpx.Client(base_url=url, headers=headers, timeout=30) as made:
        yield made


def check(reply: httpx.Response) -> None:
    assert reply.status_code in (200, 400, 404), reply.text
    if reply.status_code != 200:
        error = reply.json()
        assert set(error) == {"type", "error", "request_id"}
        assert set(error["error"]) <= {"type", "message", "details"}
        assert error["error"]["message"]


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(
        ["type", "text", "content", "role", "source", "name", "input_schema", "data", "x"]
    ), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
_FIELDS = st.dictionaries(
    st.sampled_from([*RICH, "stream", "temperature", "cache_control", "output_format"]),
    _JSON, max_size=3,
)  # fmt: skip


@settings(
    max_examples=100, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(fields=_FIELDS, path=st.sampled_from(PATHS))
def test_any_field_may_be_anything(http: httpx.Client, fields: dict[str, Any], path: str) -> None:
    check(http.post(path, json={"model": USUAL, "max_tokens": 9, "messages": ASK, **fields}))


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for key, one in inner:
        yield from _places(one, (*path, key))


def test_any_value_within_a_rich_body_may_be_anything(http: httpx.Client) -> None:
    places = [place for place in _places(RICH) if place]
    assert len(places) > 100
    for k, place in enumerate(places):
        for value in HOSTILE[k % 3 :: 3]:
            body = deepcopy(RICH)
            holder = body
            for step in place[:-1]:
                holder = holder[step]
            holder[place[-1]] = value
            check(http.post(PATHS[0], content=json.dumps(body).encode()))


def test_the_rich_body_is_answered(http: httpx.Client) -> None:
    assert http.post(PATHS[0], json=RICH).status_code == 200
