"""Tools of the chat room under the official SDK."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from openai import AsyncOpenAI

from tests.services.asking import ASK, MAIL, RAIN, WEATHER, count, question


async def test_auto_calls_the_tool_that_the_prompt_speaks_of(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model="gpt-4o", messages=RAIN, tools=[MAIL, WEATHER]
    )
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    (call,) = choice.message.tool_calls or ()
    assert call.type == "function"
    assert call.id.startswith("call_")
    assert call.function.name == "get_weather"
    assert orjson.loads(call.function.arguments) == {"city": "Paris", "unit": "celsius"}
    other = await client.chat.completions.create(
        model="gpt-4o", messages=ASK, tools=[MAIL, WEATHER]
    )
    assert other.choices[0].finish_reason == "stop"


async def test_an_agent_loop_ends_with_the_result_in_the_answer(client: AsyncOpenAI) -> None:
    messages = list(RAIN)
    for _ in range(3):
        answer = await client.chat.completions.create(
            model="gpt-4o", messages=messages, tools=[WEATHER]
        )
        message = answer.choices[0].message
        if not message.tool_calls:
            break
        messages.append(message.model_dump(exclude_none=True))
        messages += [
            {"role": "tool", "tool_call_id": call.id, "content": "18 degrees and rain"}
            for call in message.tool_calls
        ]
    assert len(messages) == 3
    assert "18 degrees and rain" in str(message.content)
    assert answer.usage is not None
    assert answer.usage.completion_tokens == count(message.content or "")


@pytest.mark.parametrize(
    ("choice", "names", "finish"),
    [
        ("none", [], "stop"),
        ("auto", ["get_weather"], "tool_calls"),
        ("required", ["get_weather"], "tool_calls"),
        ({"type": "function", "function": {"name": "send_mail"}}, ["send_mail"], "stop"),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [
            {"type": "function", "function": {"name": "send_mail"}}]}}, ["send_mail"], "tool_calls"),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [
            {"type": "function", "function": {"name": "send_mail"}}]}}, [], "stop"),
    ],
    ids=str,
)  # fmt: skip
async def test_every_tool_choice(
    client: AsyncOpenAI, choice: Any, names: list[str], finish: str
) -> None:
    answer = await client.chat.completions.create(
        model="gpt-4o", messages=RAIN, tools=[WEATHER, MAIL], tool_choice=choice
    )
    calls = answer.choices[0].message.tool_calls or []
    assert [call.function.name for call in calls if call.type == "function"] == names
    assert answer.choices[0].finish_reason == finish


async def test_tool_calls_run_in_parallel_unless_forbidden(client: AsyncOpenAI) -> None:
    both = question("Send mail to Ada about the weather in Oslo")
    for parallel, expected in ((True, 2), (False, 1)):
        answer = await client.chat.completions.create(
            model="gpt-4o", messages=both, tools=[WEATHER, MAIL], parallel_tool_calls=parallel
        )
        calls = answer.choices[0].message.tool_calls or []
        assert len({call.id for call in calls}) == len(calls) == expected


async def test_streamed_tool_calls_assemble(client: AsyncOpenAI) -> None:
    async with client.chat.completions.stream(
        model="gpt-4o", messages=RAIN, tools=[WEATHER], stream_options={"include_usage": True}
    ) as stream:
        events = [event.type async for event in stream]
        final = await stream.get_final_completion()
    (call,) = final.choices[0].message.tool_calls or ()
    assert call.function.parsed_arguments == {"city": "Paris", "unit": "celsius"}
    assert "tool_calls.function.arguments.delta" in events
    assert final.usage is not None
    expected = count("get_weather") + count(call.function.arguments)
    assert final.usage.completion_tokens == expected


async def test_the_deprecated_functions_still_work(client: AsyncOpenAI) -> None:
    function = {key: value for key, value in WEATHER["function"].items() if key != "strict"}
    answer = await client.chat.completions.create(
        model="gpt-4o", messages=RAIN, functions=[function]
    )
    assert answer.choices[0].finish_reason == "function_call"
    called = answer.choices[0].message.function_call
    assert called is not None
    assert orjson.loads(called.arguments)["city"] == "Paris"
    name, arguments = "", ""
    async for chunk in await client.chat.completions.create(
        model="gpt-4o",
        messages=RAIN,
        functions=[function],
        function_call={"name": "get_weather"},
        stream=True,
    ):
        delta = chunk.choices[0].delta.function_call
        name += (delta.name or "") if delta else ""
        arguments += (delta.arguments or "") if delta else ""
    assert name == "get_weather"
    assert orjson.loads(arguments)["unit"] in ("celsius", "fahrenheit")


async def test_a_custom_tool_is_given_text(client: AsyncOpenAI) -> None:
    grammar = {"syntax": "regex", "definition": r"SELECT \w+ FROM [a-z]+"}
    form = {"type": "grammar", "grammar": grammar}
    tool: Any = {"type": "custom", "custom": {"name": "run", "format": form}}
    answer = await client.chat.completions.create(
        model="gpt-4o", messages=ASK, tools=[tool], tool_choice="required"
    )
    (call,) = answer.choices[0].message.tool_calls or ()
    assert call.type == "custom"
    assert call.custom.input.startswith("SELECT ")


async def test_arguments_are_cut_at_the_limit(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model="gpt-4o", messages=RAIN, tools=[WEATHER], max_tokens=5
    )
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 5
