"""What the tests of assistants ask, and how they wait."""

from __future__ import annotations

from typing import Any

import pytest
from openai import AsyncOpenAI

from tests.services.asking import MAIL, WEATHER

CODE: dict[str, Any] = {"type": "code_interpreter"}
#: What the vendor says of its own API, at every call.
QUIET = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
RAIN = "What is the weather in Paris, in celsius?"
STORY = "Tell me about lighthouse keepers."

__all__ = ["CODE", "MAIL", "QUIET", "RAIN", "STORY", "WEATHER", "assistant", "thread"]


async def assistant(client: AsyncOpenAI, *tools: Any, **given: Any) -> str:
    """Its id."""
    made = await client.beta.assistants.create(**{"model": "gpt-4o", "tools": tools, **given})
    return made.id


async def thread(client: AsyncOpenAI, *said: str) -> str:
    """The id of a thread in which a user has said that."""
    messages: Any = [{"role": "user", "content": text} for text in said]
    return (await client.beta.threads.create(messages=messages)).id
