"""Hostile bodies: whatever is sent to a conversation, the answer is whole or the vendor's refusal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.services.threaded import threaded_app

_KINDS = (
    "message", "function_call", "function_call_output", "custom_tool_call",
    "custom_tool_call_output", "reasoning", "item_reference", "compaction", "computer_call",
    "computer_call_output", "local_shell_call", "local_shell_call_output", "shell_call",
    "shell_call_output", "apply_patch_call", "apply_patch_call_output", "mcp_call",
    "mcp_list_tools", "mcp_approval_request", "mcp_approval_response", "web_search_call",
    "additional_tools", "program", "input_text", "input_image", "computer_screenshot",
)  # fmt: skip
_KEYS = (
    "type", "role", "content", "id", "call_id", "output", "action", "commands", "operation",
    "text", "image_url", "summary", "arguments", "name", "status", "approve", "stdout", "path",
    "approval_request_id", "encrypted_content", "input", "tools", "server_label",
)  # fmt: skip
_PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(_KINDS),
    st.sampled_from(("user", "assistant", "x", "completed", "")),
)  # fmt: skip
_VALUES = st.recursive(
    _PLAIN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(_KEYS), inner, max_size=6)
    ),
    max_leaves=10,
)
_ITEM = st.builds(
    lambda kind, fields: {**fields, "type": kind},
    st.sampled_from(_KINDS),
    st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=6),
)


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    headers = {"authorization": "Bearer sk-test"}
    with threaded_app() as url, httpx.Client(base_url=url + "/v1", headers=headers) as made:
        yield made


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(items=st.lists(st.one_of(_ITEM, _VALUES), max_size=3))
def test_whatever_is_kept_can_be_listed_and_answered(http: httpx.Client, items: list[Any]) -> None:
    made = http.post("/conversations", content=orjson.dumps({"items": items}),
                     headers={"content-type": "application/json"})  # fmt: skip
    assert made.status_code in (200, 400, 404), made.text
    if made.status_code != 200:
        assert set(made.json()["error"]) == {"message", "type", "param", "code"}
        return
    name = made.json()["id"]
    listed = http.get(f"/conversations/{name}/items?order=asc").json()
    assert len(listed["data"]) == len(items)
    assert all(item["id"] and item["type"] for item in listed["data"])
    answer = http.post("/responses", json={"model": "gpt-4o", "input": "Hi", "conversation": name})
    assert answer.status_code in (200, 400), answer.text
