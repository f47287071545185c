"""What the messages room refuses, in Anthropic's words and classes."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx
import pytest

from fakeai_proxy.app import App
from tests.services.messages_asking import (
    ASK,
    NEWEST,
    OLDER,
    RAIN,
    USUAL,
    VERSION,
    WEATHER,
    refused,
    sdk_at,
)

USE = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "rain"}


def said(*turns: Any) -> dict[str, Any]:
    """A conversation whose turns are the user's and the assistant's by turns."""
    roles = ("user", "assistant")
    return {
        "messages": [{"role": roles[k % 2], "content": turn} for k, turn in enumerate(turns)],
        "tools": [WEATHER],
    }


THINK = {"type": "enabled", "budget_tokens": 1024}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no messages": ({"messages": []}, "messages: at least one message is required"),
    "breakpoints": (
        said([{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}] * 5),
        "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    ),
    "no list": ({"messages": "hi"}, "messages: Input should be a valid list"),
    "role": (
        {"messages": [{"role": "tool", "content": "x"}]},
        "messages.0.role: Input should be 'user', 'assistant' or 'system'",
    ),
    "first role": (
        {"messages": [{"role": "assistant", "content": "x"}]},
        'messages: first message must use the "user" role',
    ),
    "empty": (said(""), "messages.0: all messages must have non-empty content"),
    "empty block": (
        said([{"type": "text", "text": ""}]),
        "messages: text content blocks must be non-empty",
    ),
    "empty system": (
        {"system": [{"type": "text", "text": ""}]},
        "system: text content blocks must be non-empty",
    ),
    "kind of block": (
        said([{"type": "sound"}]),
        "messages.0.content.0: Input tag 'sound' found using 'type' does not match any of the",
    ),
    "no kind": (said([{"text": "x"}]), "messages.0.content.0: Unable to extract tag using"),
    "no signature": (
        said("x", [{"type": "thinking", "thinking": "x"}]),
        "messages.1.content.0.thinking.signature: Field required",
    ),
    "media type": (
        said([{"type": "image", "source": {
            "type": "base64", "media_type": "image/bmp", "data": "eA=="}}]),
        "messages.0.content.0.image.source.base64.media_type: Input should be 'image/jpeg'",
    ),
    "no picture": (
        said([{"type": "image", "source": {
            "type": "base64", "media_type": "image/png", "data": "eA=="}}]),
        "messages.0.content.0.image.source.base64: Could not process image",
    ),
    "no base64": (
        said([{"type": "image", "source": {
            "type": "base64", "media_type": "image/png", "data": "~"}}]),
        "messages.0.content.0.image.source.base64.data: ",
    ),
    "unanswered": (
        said("x", [USE], "and?"),
        "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: "
        "toolu_1. Each `tool_use` block must have a corresponding `tool_result` block in the next",
    ),
    "unanswered at the end": (
        {**said("x", [USE]), "model": OLDER}, "messages.1: `tool_use` ids were found without"
    ),
    "unasked": (
        said([RESULT]),
        "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: toolu_1.",
    ),
    "answered twice": (
        said("x", [USE], [RESULT, RESULT]),
        "messages.2.content.1: each tool_use must have a single result.",
    ),
    "same id": (
        said("x", [USE, USE], [RESULT]), "messages.1.content.1: `tool_use` ids must be unique"
    ),
    "prefill": (
        {"messages": [*ASK, {"role": "assistant", "content": "They"}]},
        "This model does not support assistant message prefill.",
    ),
    "whitespace": (
        {"model": OLDER, "messages": [*ASK, {"role": "assistant", "content": "They "}]},
        "messages: final assistant content cannot end with trailing whitespace",
    ),
    "max_tokens": ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
    "max_tokens of the model": (
        {"max_tokens": 1_000_000, "timeout": 60},
        "max_tokens: 1000000 > 128000, which is the maximum allowed number of output tokens for "
        f"{USUAL}",
    ),
    "unknown field": ({"extra_body": {"n": 2}}, "n: Extra inputs are not permitted"),
    "stop": (
        {"stop_sequences": [" "]},
        "stop_sequences: each stop sequence must contain non-whitespace",
    ),
    "user": ({"metadata": {"user_id": "x" * 257}}, "metadata.user_id: String should have at most"),
    "tier": ({"service_tier": "gold"}, "service_tier: Input should be 'auto' or 'standard_only'"),
    "small budget": (
        {"thinking": {"type": "enabled", "budget_tokens": 1023}},
        "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
    ),
    "large budget": (
        {"thinking": {"type": "enabled", "budget_tokens": 2000}},
        "`max_tokens` must be greater than `thinking.budget_tokens`.",
    ),
    "thinking by budget": (
        {"model": NEWEST, "thinking": THINK},
        '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive"',
    ),
    "thinking of itself": (
        {"model": OLDER, "thinking": {"type": "adaptive"}},
        '"thinking.type.adaptive" is not supported for this model.',
    ),
    "no thinking": (
        {"model": NEWEST, "thinking": {"type": "disabled"}},
        '"thinking.type.disabled" is not supported for this model.',
    ),
    "thinking and forced": (
        {"thinking": THINK, "tools": [WEATHER], "tool_choice": {"type": "any"}},
        "Thinking may not be enabled when tool_choice forces tool use.",
    ),
    "forced": (
        {"model": NEWEST, "tools": [WEATHER], "tool_choice": {"type": "any"}},
        "tool_choice: type `any` is not supported for this model.",
    ),
    "choice without tools": (
        {"tool_choice": {"type": "auto"}},
        "tool_choice may only be specified while providing tools.",
    ),
    "unknown tool": (
        {"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "x"}},
        "Tool 'x' not found in provided tools",
    ),
    "name": (
        {"tools": [{**WEATHER, "name": "a b"}]},
        "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'",
    ),
    "no schema": ({"tools": [{"name": "a"}]}, "tools.0.custom.input_schema: Field required"),
    "schema": (
        {"tools": [{"name": "a", "input_schema": {"type": "object", "properties": {
            "x": {"type": "number", "minimum": "low"}}}}]},
        "tools.0.custom.input_schema: JSON schema is invalid.",
    ),
    "same names": ({"tools": [WEATHER, WEATHER]}, "tools: Tool names must be unique."),
    "format": (
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        "output_config.format.schema: For 'object' type, 'additionalProperties' must be",
    ),
    "deep format": (
        {"output_config": {"format": {"type": "json_schema", "schema": {
            "type": "array", "items": {"type": "object"}}}}},
        "output_config.format.schema: For 'object' type, 'additionalProperties' must be",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
async def test_a_bad_request_is_refused_in_the_vendors_words(app: App, case: str) -> None:
    body, words = REFUSED[case]
    async with sdk_at(app) as client:
        assert (await refused(client, **body)).startswith(words)


SAMPLING: dict[str, tuple[dict[str, Any], str, str]] = {
    "range": ({"temperature": 1.5}, VERSION, "temperature: range: 0..1"),
    "top_p": ({"top_p": 2}, VERSION, "top_p: Input should be less than or equal to 1"),
    "top_k": ({"top_k": -1}, VERSION, "top_k: Input should be greater than or equal to 0"),
    "gone": ({"temperature": 1}, "2026-10-21", "temperature: Extra inputs are not permitted"),
    "model": ({"model": NEWEST, "temperature": 0.5}, VERSION,
              "`temperature` is deprecated for this model."),
    "thinking": ({"thinking": THINK, "temperature": 0.5}, VERSION,
                 "`temperature` may only be set to 1 when thinking is enabled."),
    "thinking top_k": ({"thinking": THINK, "top_k": 5}, VERSION,
                       "`top_k` must be unset when thinking is enabled."),
    "thinking top_p": ({"thinking": THINK, "top_p": 0.5}, VERSION,
                       "`top_p` must be greater than or equal to 0.95 or unset"),
}  # fmt: skip


@pytest.mark.parametrize("case", SAMPLING)
async def test_sampling_is_refused_by_range_version_and_model(app: App, case: str) -> None:
    body, version, words = SAMPLING[case]
    extra = {name: body[name] for name in ("temperature", "top_p", "top_k") if name in body}
    rest = {name: value for name, value in body.items() if name not in extra}
    async with sdk_at(app, default_headers={"anthropic-version": version}) as client:
        assert (await refused(client, **rest, extra_body=extra)).startswith(words)


async def test_sampling_is_accepted_by_older_versions(app: App) -> None:
    async with sdk_at(app, default_headers={"anthropic-version": VERSION}) as client:
        answer = await client.messages.create(
            model=USUAL, max_tokens=5, messages=ASK,
            extra_body={"temperature": 0.2, "top_p": 0.9, "top_k": 40},
        )  # fmt: skip
    assert answer.usage.output_tokens == 5


async def test_the_newest_version_refuses_what_it_has_no_longer(app: App) -> None:
    paper = {"type": "document", "source": {
        "type": "text", "media_type": "text/plain", "data": "x"}}  # fmt: skip
    async with sdk_at(app) as client:
        words = await refused(client, **said("x", [paper], "y"))
        assert words.startswith("messages.1.content.0: `document` blocks are not permitted")
        counting: Any = {"model": USUAL, "messages": said("x", [paper], "y")["messages"]}
        with pytest.raises(anthropic.BadRequestError):
            await client.messages.count_tokens(**counting)


async def test_a_prompt_beyond_the_context_is_too_long(app: App) -> None:
    words = "lighthouse keeper " * 120_000
    async with sdk_at(app) as client:
        message = await refused(client, model=OLDER, messages=[{"role": "user", "content": words}])
    assert message.startswith("prompt is too long: ")
    assert message.endswith(" tokens > 200000 maximum")


async def test_an_answer_that_meets_the_end_of_the_context_says_so(app: App) -> None:
    async with sdk_at(app) as client:
        almost = "keeper " * 99_990
        asked: dict[str, Any] = {"model": OLDER, "messages": [{"role": "user", "content": almost}]}
        used = (await client.messages.count_tokens(**asked)).input_tokens
        filler = " keeper" * (200_000 - used - 20)
        asked["messages"][0]["content"] = almost + filler
        used = (await client.messages.count_tokens(**asked)).input_tokens
        answer = await client.messages.create(**asked, max_tokens=4000)
    assert answer.stop_reason == "model_context_window_exceeded"
    assert answer.usage.output_tokens == 200_000 - used


CLASSES: dict[str, tuple[dict[str, Any], type[anthropic.APIStatusError], str, str]] = {
    "model": ({"model": "claude-9"}, anthropic.NotFoundError, "not_found_error", "model: claude-9"),
    "embedding": ({"model": "text-embedding-3-small"}, anthropic.NotFoundError, "not_found_error",
                  "model: text-embedding-3-small"),
    "key": ({"extra_headers": {"authorization": "Bearer invalid"}}, anthropic.AuthenticationError,
            "authentication_error", "invalid x-api-key"),
}  # fmt: skip


@pytest.mark.parametrize("case", CLASSES)
async def test_each_error_has_its_class(app: App, case: str) -> None:
    body, expected, kind, words = CLASSES[case]
    async with sdk_at(app) as client:
        with pytest.raises(expected) as caught:
            await client.messages.create(
                **{"model": USUAL, "max_tokens": 5, "messages": RAIN, **body}
            )
    assert caught.value.type == kind
    assert str(caught.value.api_message).startswith(words)


@pytest.mark.parametrize(
    ("headers", "content", "status", "words"),
    [
        ({}, b"{}", 401, "x-api-key header is required"),
        ({"x-api-key": "k"}, b"{}", 400, "anthropic-version: header is required"),
        ({"x-api-key": "k", "anthropic-version": "2024-01-01"}, b"{}", 400,
         'anthropic-version: "2024-01-01" is not a valid version'),
        ({"x-api-key": "k", "anthropic-version": VERSION}, b"{}", 400, "model: Field required"),
        ({"x-api-key": "k", "anthropic-version": VERSION}, b"", 400,
         "The request body is not valid JSON"),
        ({"x-api-key": "k", "anthropic-version": VERSION}, b"[1]", 400,
         "The request body is not valid JSON"),
        ({"x-api-key": "k", "anthropic-version": VERSION},
         b'{"model":"claude-opus-4-6","messages":[]}', 400, "max_tokens: Field required"),
    ],
)  # fmt: skip
async def test_headers_come_before_the_body(
    app: App, headers: dict[str, str], content: bytes, status: int, words: str
) -> None:
    async with httpx.AsyncClient() as http:
        for path in ("/v1/messages",):
            reply = await http.post(app.url + path, headers=headers, content=content)
            assert reply.status_code == status
            error = reply.json()
            assert error["type"] == "error"
            assert error["error"]["message"].startswith(words)
            assert reply.headers["request-id"] == error["request_id"]
