"""Tools of the messages room under the official SDK."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest
from anthropic import beta_async_tool

from fakeai_proxy.app import App
from tests.services.asking import count
from tests.services.messages_asking import (
    ASK,
    MAIL,
    RAIN,
    USUAL,
    WEATHER,
    only_known_fields,
    sdk_at,
    text_of,
)


async def test_auto_calls_the_tool_that_the_prompt_speaks_of(app: App) -> None:
    async with sdk_at(app) as client:
        asked: dict[str, Any] = {"model": USUAL, "max_tokens": 300, "tools": [MAIL, WEATHER]}
        answer = await client.messages.create(messages=RAIN, **asked)
        other = await client.messages.create(messages=ASK, **asked)
    only_known_fields(answer)
    assert answer.stop_reason == "tool_use"
    said, call = answer.content
    assert said.type == "text"
    assert call.type == "tool_use"
    assert call.id.startswith("toolu_01")
    assert (call.name, call.input) == ("get_weather", {"city": "Paris", "unit": "celsius"})
    expected = count(said.text) + count("get_weather") + count('{"city":"Paris","unit":"celsius"}')
    assert answer.usage.output_tokens == expected
    assert other.stop_reason == "end_turn"


@pytest.mark.parametrize(
    ("choice", "names", "stop"),
    [
        ({"type": "none"}, [], "end_turn"),
        ({"type": "auto"}, ["get_weather"], "tool_use"),
        ({"type": "any"}, ["get_weather"], "tool_use"),
        ({"type": "tool", "name": "send_mail"}, ["send_mail"], "tool_use"),
    ],
    ids=str,
)
async def test_every_tool_choice(app: App, choice: Any, names: list[str], stop: str) -> None:
    async with sdk_at(app) as client:
        answer = await client.messages.create(
            model=USUAL, max_tokens=300, messages=RAIN, tools=[WEATHER, MAIL], tool_choice=choice
        )
    assert [block.name for block in answer.content if block.type == "tool_use"] == names
    assert answer.stop_reason == stop


@pytest.mark.parametrize("kind", ["auto", "any"])
async def test_tools_are_called_in_parallel_unless_forbidden(app: App, kind: Any) -> None:
    both: list[Any] = [{"role": "user", "content": "Send mail to Ada about the weather in Oslo"}]
    async with sdk_at(app) as client:
        for forbidden, expected in ((False, 2), (True, 1)):
            answer = await client.messages.create(
                model=USUAL, max_tokens=300, messages=both, tools=[WEATHER, MAIL],
                tool_choice={"type": kind, "disable_parallel_tool_use": forbidden},
            )  # fmt: skip
            calls = [block.id for block in answer.content if block.type == "tool_use"]
            assert len(set(calls)) == len(calls) == expected


async def test_an_agent_loop_ends_with_the_result_in_the_answer(app: App) -> None:
    messages = list(RAIN)
    async with sdk_at(app) as client:
        for _ in range(3):
            answer = await client.messages.create(
                model=USUAL, max_tokens=500, messages=messages, tools=[WEATHER]
            )
            calls = [block for block in answer.content if block.type == "tool_use"]
            if not calls:
                break
            messages.append({"role": "assistant", "content": answer.content})
            messages.append({"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": call.id, "content": "18 degrees and rain"}
                for call in calls
            ]})  # fmt: skip
    assert len(messages) == 3
    assert answer.stop_reason == "end_turn"
    assert "18 degrees and rain" in text_of(answer)


async def test_the_tool_runner_of_the_sdk_comes_to_its_end(app: App) -> None:
    asked: list[str] = []

    @beta_async_tool
    async def get_weather(city: str) -> str:
        """The current weather in a city.

        Args:
            city: Its name.
        """
        asked.append(city)
        return "sunny"

    async with anthropic.AsyncAnthropic(base_url=app.url, api_key="k", max_retries=0) as client:
        runner = client.beta.messages.tool_runner(
            model=USUAL, max_tokens=500, messages=RAIN, tools=[get_weather]
        )
        final = await runner.until_done()
    assert asked == ["Paris"]
    assert final.stop_reason == "end_turn"


async def test_input_is_cut_at_the_limit_and_still_an_object(app: App) -> None:
    async with sdk_at(app) as client:
        asked: dict[str, Any] = {
            "model": USUAL, "max_tokens": 6, "messages": RAIN, "tools": [WEATHER],
            "tool_choice": {"type": "any"},
        }  # fmt: skip
        answer = await client.messages.create(**asked)
        async with client.messages.stream(**asked) as stream:
            streamed = await stream.get_final_message()
    assert answer.stop_reason == streamed.stop_reason == "max_tokens"
    assert answer.usage.output_tokens == 6
    (call,), (again,) = answer.content, streamed.content
    assert call.type == again.type == "tool_use"
    assert isinstance(call.input, dict)
    assert call.input == again.input


async def test_the_vendors_own_client_tools_are_called_by_what_they_take(app: App) -> None:
    question: list[Any] = [{"role": "user", "content": "Open a terminal and list the files"}]
    async with sdk_at(app) as client:
        answer = await client.messages.create(
            model=USUAL, max_tokens=300, messages=question,
            tools=[{"type": "bash_20250124", "name": "bash"},
                   {"type": "web_search_20250305", "name": "web_search"}],
        )  # fmt: skip
    call = answer.content[-1]
    assert call.type == "tool_use"
    assert call.name == "bash"
    assert isinstance(call.input["command"], str)


async def test_a_handoff_that_the_system_prompt_names_is_made(app: App) -> None:
    tools: Any = [
        {"name": f"transfer_to_{name}", "input_schema": {"type": "object", "properties": {}}}
        for name in ("refunds", "sales")
    ]
    async with sdk_at(app) as client:
        answer = await client.messages.create(
            model=USUAL, max_tokens=100, tools=tools, messages=RAIN,
            system="You are the front desk. Hand every question about the weather to refunds.",
        )  # fmt: skip
    assert [block.name for block in answer.content if block.type == "tool_use"] == [
        "transfer_to_refunds"
    ]
