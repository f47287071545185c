"""What the tests of the messages room ask, and how they look at the answers."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import pytest
from anthropic import AsyncAnthropic
from anthropic.types import Message
from pydantic import BaseModel

from fakeai_proxy.app import App
from tests.services import asking

#: Neither thinks by default; the first lets an answer be begun, the second does not.
OLDER, USUAL, NEWEST = "claude-opus-4-5", "claude-sonnet-4-6", "claude-opus-5-5"
VERSION = "2023-06-01"
ASK, RAIN = asking.ASK, asking.RAIN


def _as_claude_has_it(tool: dict[str, Any]) -> dict[str, Any]:
    said = tool["function"]
    return {{"parameters": "input_schema"}.get(name, name): value for name, value in said.items()}


WEATHER, MAIL = _as_claude_has_it(asking.WEATHER), _as_claude_has_it(asking.MAIL)


@asynccontextmanager
async def sdk_at(app: App, **options: Any) -> AsyncIterator[AsyncAnthropic]:
    given: dict[str, Any] = {"api_key": "any", "max_retries": 0, **options}
    async with AsyncAnthropic(
        base_url=app.url, _strict_response_validation=True, **given
    ) as client:
        yield client


def only_known_fields(value: object) -> None:
    """Everything in it is a field that the SDK knows."""
    if isinstance(value, BaseModel):
        assert not value.model_extra, (type(value), value.model_extra)
        for name in type(value).model_fields:
            only_known_fields(getattr(value, name))
    elif isinstance(value, (list, tuple)):
        for item in value:
            only_known_fields(item)


def text_of(message: Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def input_tokens(message: Message) -> int:
    usage = message.usage
    return (
        usage.input_tokens
        + (usage.cache_read_input_tokens or 0)
        + (usage.cache_creation_input_tokens or 0)
    )


def png(width: int, height: int) -> str:
    """A grey picture, as base64."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\x80" * width) * height)
    pieces = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", head), (b"IDAT", rows), (b"IEND", b""))
    )
    return b64encode(b"\x89PNG\r\n\x1a\n" + pieces).decode()


async def refused(client: AsyncAnthropic, **body: Any) -> str:
    """The message of a refusal with 400."""
    given: dict[str, Any] = {"model": USUAL, "max_tokens": 2000, "messages": ASK, **body}
    with pytest.raises(anthropic.BadRequestError) as caught:
        await client.messages.create(**given)
    error: Any = caught.value.body
    assert error["type"] == "error"
    assert set(error["error"]) == {"type", "message"}
    assert error["error"]["type"] == "invalid_request_error"
    assert caught.value.request_id == error["request_id"]
    return str(error["error"]["message"])


def conversation() -> list[Any]:
    """One with every kind of block."""
    pdf = "JVBERi0xLjQKMSAwIG9iago8PCAvVHlwZSAvUGFnZSA+PgplbmRvYmoK"
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png",
                                           "data": png(300, 200)}}  # fmt: skip
    return [
        {"role": "user", "content": [
            picture,
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a.jpg"}},
            {"type": "document", "title": "T", "source": {
                "type": "text", "media_type": "text/plain", "data": "Some text"}},
            {"type": "document", "source": {
                "type": "base64", "media_type": "application/pdf", "data": pdf}},
            {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
            {"type": "document", "source": {"type": "content", "content": [picture]}},
            {"type": "search_result", "source": "s", "title": "t",
             "content": [{"type": "text", "text": "found"}]},
            {"type": "text", "text": "What is the weather?", "cache_control": {"type": "ephemeral"}},
        ]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "Hm", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "ZGF0YQ=="},
            {"type": "text", "text": "Let me see."},
            {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Rome"}},
            {"type": "tool_use", "id": "toolu_2", "name": "get_weather", "input": {}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": "18 degrees"},
            {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": True,
             "content": [{"type": "text", "text": "no such city"}, picture]},
        ]},
    ]  # fmt: skip
