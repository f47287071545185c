"""What the tests of the chat room ask, and how they count."""

from __future__ import annotations

from typing import Any

from openai import AsyncOpenAI

from fakeai_proxy.generate.tokens import Tokens
from tests.services import refusing

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
    whole = {"model": "gpt-4o", "messages": ASK, **body}
    return await refusing.refused(client.chat.completions.create(**whole))
