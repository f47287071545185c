"""What the tests of the chat room ask, and how they count."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from fakeai_proxy.generate.tokens import Tokens

ASK: list[Any] = [{"role": "user", "content": "Tell me about lighthouse keepers."}]
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The current weather in a city",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}
MAIL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "send_mail",
        "description": "Send a message to somebody",
        "parameters": {
            "type": "object",
            "properties": {"to": {"type": "string"}},
            "required": ["to"],
        },
    },
}


def count(text: str) -> int:
    return Tokens.load("o200k_base").count(text)


def question(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


RAIN = question("What is the weather in Paris, in celsius?")


async def refused(client: AsyncOpenAI, **body: Any) -> tuple[int, str | None, str | None, str]:
    """Status, param, code and message of the refusal."""
    with pytest.raises(openai.APIStatusError) as caught:
        await client.chat.completions.create(**{"model": "gpt-4o", "messages": ASK, **body})
    error = caught.value.body
    assert isinstance(error, dict)
    assert set(error) == {"message", "type", "param", "code"}
    return caught.value.status_code, error["param"], error["code"], error["message"]
