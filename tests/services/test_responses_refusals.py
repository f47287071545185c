"""What the Responses room refuses, and in which words; and that it answers or refuses anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI

from tests.services import hostile, refusing
from tests.services.asking import WEATHER, count
from tests.services.test_responses import ASK

GET_WEATHER: Any = {"type": "function", **WEATHER["function"]}


async def refused(client: AsyncOpenAI, **body: Any) -> tuple[int, str | None, str | None, str]:
    """Status, param, code and message of the refusal. What is None is not sent."""
    whole = {"model": "gpt-4o", "input": ASK, **body}
    given = {name: said for name, said in whole.items() if said is not None}
    return await refusing.refused(client.responses.create(**given))


def _schema(schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"format": {"type": "json_schema", "name": "x", "schema": schema, **more}}


@pytest.mark.parametrize(
    ("body", "status", "param", "code", "said"),
    [
        ({"extra_body": {"foo": 1}}, 400, "foo", "unknown_parameter", "Unknown parameter: 'foo'."),
        ({"model": "gpt-9"}, 404, None, "model_not_found", "The model `gpt-9` does not exist"),
        ({"model": None}, 400, "model", "missing_required_parameter",
         "Missing required parameter: 'model'."),
        ({"model": "text-embedding-3-small"}, 404, "model", None, "embedding"),
        ({"input": None}, 400, "input", "missing_required_parameter", "One of 'input' or"),
        ({"input": [{"role": "user", "content": [{"type": "text", "text": "chat's"}]}]}, 400,
         "input[0].content[0].type", "invalid_value", "Invalid value: 'text'. Supported values are"),
        ({"input": [{"role": "user", "content": [{"type": "output_text", "text": "x"}]}]}, 400,
         "input[0].content[0]", "invalid_value", "Supported values are: 'input_text'"),
        ({"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}]}, 400,
         "input[0].content[0]", "invalid_value", "Supported values are: 'output_text' and 'refusal'."),
        ({"tools": [WEATHER]}, 400, "tools[0].name", "missing_required_parameter", "tools[0].name"),
        ({"tools": [{"type": "function", "name": "f", "strict": True,
                     "parameters": {"type": "object"}}]},
         400, "tools[0].parameters", "invalid_function_parameters", "Invalid schema for function 'f'"),
        ({"tools": [{"type": "mcp", "server_label": "x"}]}, 400, "tools[0].server_url",
         "missing_required_parameter", "tools[0].server_url"),
        ({"tools": [GET_WEATHER], "tool_choice": {"type": "function", "name": "f"}}, 400,
         "tool_choice", None, "Tool choice 'f' not found in 'tools' parameter."),
        ({"tools": [{"type": "code_interpreter", "container": "cntr_x"}]}, 404, None, None,
         "Container with id 'cntr_x' not found."),
        ({"tools": [{"type": "code_interpreter",
                     "container": {"type": "auto", "file_ids": ["file-x"]}}]}, 404,
         "tools[0].container.file_ids[0]", None, "No such File object: file-x"),
        ({"tools": [{"type": "shell", "environment": {
            "type": "container_reference", "container_id": "cntr_x"}}]}, 404, None, None, "cntr_x"),
        ({"tool_choice": "required"}, 400, "tool_choice", None, "with 'tools' parameter"),
        ({"max_output_tokens": 15}, 400, "max_output_tokens", "integer_below_min_value", ">= 16"),
        ({"max_output_tokens": 10**7}, 400, "max_output_tokens", "integer_above_max_value",
         "<= 16384"),
        ({"stream_options": {"include_obfuscation": True}}, 400, "stream_options", None,
         "only allowed when 'stream' is enabled."),
        ({"model": "gpt-5-mini", "temperature": 0.2}, 400, "temperature", "unsupported_parameter",
         "Unsupported parameter: 'temperature' is not supported with this model."),
        ({"model": "gpt-5-mini", "top_logprobs": 2}, 400, "top_logprobs", "unsupported_parameter",
         "not supported with this model"),
        ({"reasoning": {"effort": "low"}}, 400, "reasoning.effort", "unsupported_parameter",
         "not supported with this model"),
        ({"include": ["reasoning.encrypted_content"]}, 400, "include", None,
         "Encrypted content is not supported with this model."),
        ({"previous_response_id": "resp_x"}, 400, "previous_response_id",
         "previous_response_not_found", "Previous response with id 'resp_x' not found."),
        ({"conversation": "conv_x"}, 404, None, None, "Conversation with id 'conv_x' not found."),
        ({"conversation": "conv_x", "previous_response_id": "resp_x"}, 400, "previous_response_id",
         "mutually_exclusive_parameters", "Mutually exclusive parameters"),
        ({"prompt": {"id": "pmpt_x"}}, 404, "prompt.id", None, "Prompt with id 'pmpt_x' not found."),
        ({"text": {"format": {"type": "json_object"}}}, 400, "input", None,
         "must contain the word 'json'"),
        ({"text": _schema({"type": "object", "properties": {}}, strict=True)}, 400,
         "text.format.schema", "invalid_json_schema",
         "Invalid schema for response_format 'x': In context=(), 'additionalProperties'"),
        ({"text": _schema({"type": "array", "items": {}, "minItems": 10**9})}, 400,
         "text.format.schema", "invalid_json_schema", "too large"),
        ({"input": "tea " * 130_000}, 400, "input", "context_length_exceeded",
         "Your input exceeds the context window of this model."),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
async def test_refusals_are_the_vendors(
    client: AsyncOpenAI,
    body: dict[str, Any],
    status: int,
    param: str | None,
    code: str | None,
    said: str,
) -> None:
    got_status, got_param, got_code, message = await refused(client, **body)
    assert (got_status, got_param, got_code) == (status, param, code)
    assert said in message


@pytest.mark.parametrize(
    "body",
    [
        {"input": []}, {"input": 3}, {"input": [3]}, {"input": [{"role": "king", "content": "x"}]},
        {"input": [{"role": "user"}]}, {"input": [{"type": "zebra"}]}, {"input": [{}]},
        {"input": [{"type": "function_call_output", "call_id": "", "output": "x"}]},
        {"temperature": 2.5}, {"top_p": -1}, {"metadata": {"k": 1}}, {"metadata": {"k": "v" * 513}},
        {"metadata": {str(k): "" for k in range(17)}}, {"include": ["everything"]},
        {"service_tier": "gold"}, {"truncation": "some"}, {"tools": [{}]},
        {"tools": [{"type": "telescope"}]}, {"tools": [GET_WEATHER] * 129}, {"tool_choice": "maybe"},
        {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}},
        {"reasoning": {"effort": "heroic"}}, {"text": {"format": {"type": "xml"}}},
        {"text": {"verbosity": "loud"}}, {"max_tool_calls": 0}, {"top_logprobs": 21},
        {"safety_identifier": "s" * 65}, {"instructions": 3}, {"background": "yes"},
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
async def test_what_has_the_wrong_shape_is_refused(
    client: AsyncOpenAI, body: dict[str, Any]
) -> None:
    status, param, _, _ = await refused(client, **body)
    assert status == 400
    assert param is not None
    assert param.startswith(next(iter(body)))


# --- anything at all ----------------------------------------------------------------------------

_FIELDS = (
    "model", "input", "role", "content", "type", "text", "tools", "name", "parameters", "strict",
    "tool_choice", "format", "schema", "stream", "include", "reasoning", "effort", "call_id", "output",
    "arguments", "id", "previous_response_id", "instructions", "metadata", "store", "background",
    "truncation", "server_label", "container", "conversation", "summary", "top_logprobs",
)  # fmt: skip
_WORDS = (
    "gpt-4o", "user", "assistant", "message", "function", "function_call", "reasoning",
    "function_call_output", "auto", "object", "json_schema", "web_search", "input_text", "custom",
    "code_interpreter", "image_generation", "mcp", "item_reference", "mcp_approval_response",
)  # fmt: skip


@hostile.ANY_BODY
@given(
    body=hostile.bodies(_FIELDS, _WORDS),
    items=hostile.prompts(ASK, _FIELDS, _WORDS),
    model=st.sampled_from(("gpt-4o", "gpt-5-mini")),
)
def test_any_body_is_answered_or_refused(
    respond_raw: Callable[[bytes], httpx.Response], body: dict[str, Any], items: Any, model: str
) -> None:
    whole = {**body, "input": items, "model": model, "max_output_tokens": 50}
    hostile.answered_or_refused(respond_raw, whole)


_TOOLS = st.lists(
    st.sampled_from(
        (
            GET_WEATHER, {"type": "web_search"}, {"type": "custom", "name": "note"},
            {"type": "code_interpreter", "container": {"type": "auto"}},
            {"type": "mcp", "server_label": "docs", "server_url": "u", "require_approval": "never"},
            {"type": "shell"}, {"type": "shell", "environment": {"type": "container_auto"}},
            {"type": "computer"}, {"type": "apply_patch"}, {"type": "local_shell"},
        )
    ),
    max_size=3,
    unique_by=str,
)  # fmt: skip


@settings(
    max_examples=80, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(
    ask=st.sampled_from(
        (
            ASK,
            "What is the latest weather?",
            "Compute 3 and 4 with python",
            "docs?",
            "Run a shell command in the terminal",
            "Edit the files with a patch",
            "Click the screen",
        )
    ),
    nonce=st.text(max_size=6),
    model=st.sampled_from(("gpt-4o", "gpt-5-mini")),
    limit=st.one_of(st.none(), st.integers(16, 400)),
    tools=_TOOLS,
    choice=st.sampled_from(("auto", "none", "required")),
)
def test_the_deltas_of_a_stream_are_its_whole_answer_and_its_usage_counts_it(
    respond_raw: Callable[[bytes], httpx.Response], ask: str, nonce: str, model: str,
    limit: int | None, tools: list[Any], choice: str,
) -> None:  # fmt: skip
    body = {
        "model": model, "input": f"{nonce} {ask}", "tools": tools, "stream": True,
        "max_output_tokens": limit, "tool_choice": choice if tools else "auto",
        "reasoning": {"effort": "low", "summary": "auto"} if model != "gpt-4o" else None,
    }  # fmt: skip
    answer = respond_raw(orjson.dumps(body))
    assert answer.status_code == 200, answer.text
    frames = answer.text.removesuffix("\n\n").split("\n\n")
    events = [orjson.loads(frame.partition("\ndata: ")[2]) for frame in frames]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    said: dict[int, str] = {}
    for event in events:
        if event["type"].endswith(".delta") and isinstance(event["delta"], str):
            place = event["output_index"]
            said[place] = said.get(place, "") + event["delta"]
    last = events[-1]["response"]
    spent = last["usage"]["output_tokens_details"]["reasoning_tokens"]
    for place, item in enumerate(last["output"]):
        text, tokens = _whole(item)
        if item["type"] in ("message", "function_call", "custom_tool_call", "reasoning", "mcp_call",
                            "code_interpreter_call", "shell_call"):  # fmt: skip
            assert said.get(place, "") == text
        spent += tokens
    if last["status"] == "completed":
        assert last["usage"]["output_tokens"] == spent
    else:
        # What is cut within a word may have another encoding of its own.
        assert last["usage"]["output_tokens"] <= (limit or 0)
    for place, item in enumerate(last["output"]):
        ends = [
            event["type"] for event in events
            if event.get("output_index") == place and "output_item" in event["type"]
        ]  # fmt: skip
        assert ends == ["response.output_item.added", "response.output_item.done"], item


def _whole(item: dict[str, Any]) -> tuple[str, int]:
    """All that the model wrote in an item, and how many tokens it is."""
    kind = item["type"]
    if kind == "reasoning":
        return "".join(part["text"] for part in item["summary"]), 0
    if kind == "message":
        text = item["content"][0]["text"]
        return text, count(text)
    if kind in ("function_call", "custom_tool_call"):
        text = item["arguments" if kind == "function_call" else "input"]
        return text, count(item["name"]) + count(text)
    if kind in ("mcp_call", "code_interpreter_call"):
        text = item["arguments" if kind == "mcp_call" else "code"]
        return text, count(text)
    if kind == "shell_call":
        (command,) = item["action"]["commands"]
        return command, count(command)
    return "", count(_asked(item))


def _asked(item: dict[str, Any]) -> str:
    """What the model wrote in an item that tells no deltas."""
    kind = item["type"]
    if kind == "web_search_call":
        return str(item["action"]["query"])
    if kind == "computer_call":
        return orjson.dumps(item["actions"][0]).decode()
    if kind == "local_shell_call":
        return " ".join(item["action"]["command"])
    return str(item["operation"]["diff"]) if kind == "apply_patch_call" else ""
