"""What the chat room refuses, and in which words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import AsyncOpenAI

from tests.services import hostile
from tests.services.asking import ASK, WEATHER, question, refused

_CALLING = {"role": "assistant", "content": None, "tool_calls": [
    {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status", "param", "code", "said"),
    [
        (
            {"extra_body": {"foo": 1}},
            400,
            None,
            None,
            "Unrecognized request argument supplied: foo",
        ),
        (
            {"stream_options": {"include_usage": True}},
            400,
            "stream_options",
            None,
            "only allowed when 'stream' is enabled.",
        ),
        ({"top_logprobs": 3}, 400, "top_logprobs", None, "only allowed when 'logprobs'"),
        ({"tool_choice": "auto"}, 400, "tool_choice", None, "only allowed when 'tools'"),
        (
            {"max_tokens": 5, "max_completion_tokens": 5},
            400,
            "max_tokens",
            "invalid_parameter_combination",
            "Setting",
        ),
        (
            {"max_tokens": 10**7},
            400,
            "max_tokens",
            "invalid_value",
            "at most 16384 completion tokens",
        ),
        ({"model": "gpt-9"}, 404, None, "model_not_found", "The model `gpt-9` does not exist"),
        ({"model": "text-embedding-3-small"}, 404, "model", None, "embedding"),
        ({"model": ""}, 400, None, None, "you must provide a model parameter"),
        (
            {"model": "gpt-5-mini", "max_tokens": 9},
            400,
            "max_tokens",
            "unsupported_parameter",
            "max_completion_tokens",
        ),
        (
            {"model": "gpt-5-mini", "temperature": 0.2},
            400,
            "temperature",
            "unsupported_value",
            "0.2",
        ),
        (
            {"messages": question("tea " * 130_000)},
            400,
            "messages",
            "context_length_exceeded",
            "maximum context length is 128000",
        ),
        (
            {"messages": [*ASK, {"role": "tool", "tool_call_id": "x", "content": ""}]},
            400,
            "messages[1].role",
            None,
            "must be a response",
        ),
        (
            {"messages": [*ASK, _CALLING]},
            400,
            "messages[1].role",
            None,
            "did not have response messages: call_1",
        ),
        ({"messages": [_CALLING, *ASK]}, 400, "messages[0].role", None, "call_1"),
        (
            {"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "f"}}},
            400,
            "tool_choice",
            "invalid_value",
            "'f' not found",
        ),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {
                        "name": "x",
                        "strict": True,
                        "schema": {"type": "object", "properties": {}},
                    },
                }
            },
            400,
            "response_format",
            "invalid_json_schema",
            "Invalid schema for response_format 'x': In context=(), 'additionalProperties' is required "
            "to be supplied and to be false.",
        ),
        (
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {"name": "f", "strict": True, "parameters": {"type": "object"}},
                    }
                ]
            },
            400,
            "tools[0].function.parameters",
            "invalid_function_parameters",
            "Invalid schema for function 'f'",
        ),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {
                        "name": "x",
                        "schema": {"type": "array", "items": {}, "minItems": 10**9},
                    },
                }
            },
            400,
            "response_format",
            "invalid_json_schema",
            "too large",
        ),
    ],
    ids=lambda value: str(value)[:60],
)
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
        {"messages": []}, {"messages": "hi"}, {"messages": [{"role": "king", "content": "x"}]},
        {"messages": [{"role": "user", "content": 3}]}, {"messages": [{"role": "user", "content": [{}]}]},
        {"temperature": 2.5}, {"temperature": "warm"}, {"top_p": -1}, {"n": 0}, {"n": 129}, {"n": 1.5},
        {"max_tokens": 0}, {"stop": ["a"] * 5}, {"stop": 3}, {"seed": 2**63}, {"logprobs": 1},
        {"logprobs": True, "top_logprobs": 21}, {"tools": []}, {"tools": [WEATHER] * 129}, {"tools": [{}]},
        {"tools": [WEATHER], "tool_choice": "maybe"}, {"response_format": {"type": "xml"}},
        {"logit_bias": {"50256": 101}}, {"metadata": {"k": 1}}, {"presence_penalty": 3},
        {"reasoning_effort": "heroic"}, {"service_tier": "gold"}, {"modalities": ["audio"]},
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
async def test_what_has_the_wrong_shape_is_refused(
    client: AsyncOpenAI, body: dict[str, Any]
) -> None:
    status, param, _, _ = await refused(client, **body)
    assert status == 400
    assert param is not None
    assert next(iter(body)) in param or "top_logprobs" in param or "tool_choice" in param


_FIELDS = (
    "model", "messages", "role", "content", "type", "text", "tools", "function", "name", "parameters",
    "strict", "tool_choice", "response_format", "json_schema", "schema", "n", "stop", "stream", "logprobs",
    "max_tokens", "temperature", "tool_calls", "id", "arguments", "functions", "stream_options", "seed",
)  # fmt: skip
_WORDS = ("gpt-4o", "user", "tool", "assistant", "function", "auto", "object", "json_schema")


@hostile.ANY_BODY
@given(
    body=hostile.bodies(_FIELDS, _WORDS),
    messages=hostile.prompts(ASK, _FIELDS, _WORDS),
    model=st.sampled_from(("gpt-4o", "gpt-5-mini")),
)
def test_any_body_is_answered_or_refused(
    ask_raw: Callable[[bytes], httpx.Response], body: dict[str, Any], messages: Any, model: str
) -> None:
    whole = {**body, "messages": messages, "model": model, "max_completion_tokens": 50}
    hostile.answered_or_refused(ask_raw, whole)
