"""Tools of the Responses room under the official SDK."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from openai import AsyncOpenAI

from tests.services.asking import MAIL, WEATHER, count
from tests.services.pictures_asking import picture_in
from tests.services.test_responses import ASK, joined, kinds, told

RAIN = "What is the weather in Paris, in celsius?"
GET_WEATHER: Any = {"type": "function", **WEATHER["function"]}
SEND_MAIL: Any = {"type": "function", **MAIL["function"]}


async def test_auto_calls_the_tool_that_the_prompt_speaks_of(client: AsyncOpenAI) -> None:
    answer = await client.responses.create(
        model="gpt-4o", input=RAIN, tools=[SEND_MAIL, GET_WEATHER]
    )
    (call,) = answer.output
    assert call.type == "function_call"
    assert call.call_id.startswith("call_")
    assert (call.id or "").startswith("fc_")
    assert call.name == "get_weather"
    assert orjson.loads(call.arguments) == {"city": "Paris", "unit": "celsius"}
    assert answer.usage is not None
    assert answer.usage.output_tokens == count("get_weather") + count(call.arguments)
    other = await client.responses.create(model="gpt-4o", input=ASK, tools=[SEND_MAIL, GET_WEATHER])
    assert [item.type for item in other.output] == ["message"]


async def test_an_agent_loop_ends_with_the_result_in_the_answer(client: AsyncOpenAI) -> None:
    """With the history kept by the server, and by the client."""
    for kept in (True, False):
        items: list[Any] = [{"role": "user", "content": RAIN}]
        history: dict[str, Any] = {}
        asked = 0
        while asked < 3:
            asked += 1
            answer = await client.responses.create(
                model="gpt-4o", input=items, tools=[GET_WEATHER], **history
            )
            calls = [item for item in answer.output if item.type == "function_call"]
            if not calls:
                break
            outputs = [
                {"type": "function_call_output", "call_id": call.call_id,
                 "output": "18 degrees and rain"}
                for call in calls
            ]  # fmt: skip
            if kept:
                items, history = outputs, {"previous_response_id": answer.id}
            else:
                items += [item.model_dump(exclude_none=True) for item in answer.output] + outputs
        assert asked == 2
        assert "18 degrees and rain" in answer.output_text


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("none", []),
        ("auto", ["get_weather"]),
        ("required", ["get_weather"]),
        ({"type": "function", "name": "send_mail"}, ["send_mail"]),
        ({"type": "custom", "name": "note"}, ["note"]),
        ({"type": "allowed_tools", "mode": "required",
          "tools": [{"type": "function", "name": "send_mail"}]}, ["send_mail"]),
        ({"type": "allowed_tools", "mode": "auto",
          "tools": [{"type": "function", "name": "send_mail"}]}, []),
        ({"type": "web_search_preview"}, ["web_search_call"]),
        ({"type": "mcp", "server_label": "docs"}, ["mcp_call"]),
    ],
    ids=str,
)  # fmt: skip
async def test_every_tool_choice(client: AsyncOpenAI, choice: Any, names: list[str]) -> None:
    tools: list[Any] = [
        GET_WEATHER, SEND_MAIL, {"type": "custom", "name": "note"}, {"type": "web_search"},
        {"type": "mcp", "server_label": "docs", "server_url": "https://example.com/mcp",
         "require_approval": "never"},
    ]  # fmt: skip
    if choice in ("auto", "required"):
        tools = tools[:3]  # weather is what one searches the web for, too
    answer = await client.responses.create(
        model="gpt-4o", input=RAIN, tools=tools, tool_choice=choice
    )
    used = [
        item.name if item.type in ("function_call", "custom_tool_call") else item.type
        for item in answer.output
        if item.type not in ("message", "mcp_list_tools")
    ]
    assert used == names


async def test_tool_calls_run_in_parallel_unless_forbidden(client: AsyncOpenAI) -> None:
    for parallel, expected in ((True, 2), (False, 1)):
        answer = await client.responses.create(
            model="gpt-4o", input="Send mail to Ada about the weather in Oslo",
            tools=[GET_WEATHER, SEND_MAIL], parallel_tool_calls=parallel,
        )  # fmt: skip
        calls = {item.call_id for item in answer.output if item.type == "function_call"}
        assert len(calls) == len(answer.output) == expected


async def test_streamed_calls_assemble(client: AsyncOpenAI) -> None:
    events, last = await told(client, input=RAIN, tools=[GET_WEATHER])
    (call,) = last.output
    assert call.type == "function_call"
    assert joined(events, "response.function_call_arguments.delta") == call.arguments
    assert kinds(events)[2:] == [
        "response.output_item.added", "response.function_call_arguments.delta",
        "response.function_call_arguments.done", "response.output_item.done", "response.completed",
    ]  # fmt: skip
    assert events[2].item.arguments == ""
    assert next(e for e in events if e.type.endswith("arguments.done")).name == "get_weather"
    async with client.responses.stream(model="gpt-4o", input=RAIN, tools=[GET_WEATHER]) as stream:
        final = await stream.get_final_response()
    (parsed,) = final.output
    assert parsed.type == "function_call"
    assert parsed.parsed_arguments == {"city": "Paris", "unit": "celsius"}


@pytest.mark.parametrize(
    ("syntax", "definition"),
    [
        ("regex", r"SELECT \w+ FROM [a-z]+"),
        ("lark", 'start: "SELECT " /[a-z]{1,9}/ " FROM " /[a-z]{1,9}/'),
    ],
)
async def test_a_custom_tool_is_given_text_by_its_grammar(
    client: AsyncOpenAI, syntax: str, definition: str
) -> None:
    form = {"type": "grammar", "syntax": syntax, "definition": definition}
    tool: Any = {"type": "custom", "name": "run", "format": form}
    events, last = await told(client, tools=[tool], tool_choice="required")
    (call,) = last.output
    assert call.type == "custom_tool_call"
    assert call.input.startswith("SELECT ")
    assert joined(events, "response.custom_tool_call_input.delta") == call.input


async def test_arguments_are_cut_at_the_limit(client: AsyncOpenAI) -> None:
    wide = {f"field_{k}": {"type": "string"} for k in range(12)}
    tool: Any = {
        "type": "function", "name": "fill_form", "strict": False,
        "parameters": {"type": "object", "properties": wide, "required": list(wide)},
    }  # fmt: skip
    answer = await client.responses.create(
        model="gpt-4o", input=ASK, tools=[tool], tool_choice="required", max_output_tokens=16
    )
    (call,) = answer.output
    assert call.type == "function_call"
    assert (call.status, answer.status) == ("incomplete", "incomplete")
    assert answer.usage is not None
    assert answer.usage.output_tokens == 16


@pytest.mark.parametrize(
    ("tool", "ask", "events"),
    [
        ({"type": "web_search"}, "the latest news about tea",
         ["web_search_call.in_progress", "web_search_call.searching", "web_search_call.completed"]),
        ({"type": "code_interpreter", "container": {"type": "auto"}},
         "calculate the average of 3, 5 and 10 with python",
         ["code_interpreter_call.in_progress", "code_interpreter_call_code.delta",
          "code_interpreter_call_code.done", "code_interpreter_call.interpreting",
          "code_interpreter_call.completed"]),
        ({"type": "image_generation", "partial_images": 2}, "draw a picture of a lighthouse",
         ["image_generation_call.in_progress", "image_generation_call.generating",
          "image_generation_call.partial_image", "image_generation_call.completed"]),
        ({"type": "mcp", "server_label": "docs", "server_url": "https://example.com/mcp",
          "require_approval": "never"}, "search docs for tea",
         ["mcp_call.in_progress", "mcp_call_arguments.delta", "mcp_call_arguments.done",
          "mcp_call.completed"]),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else "",
)  # fmt: skip
async def test_the_vendors_own_tools_work_within_the_answer(
    client: AsyncOpenAI, tool: Any, ask: str, events: list[str]
) -> None:
    seen, last = await told(
        client, input=ask, tools=[tool],
        include=["code_interpreter_call.outputs", "file_search_call.results",
                 "web_search_call.action.sources"],
    )  # fmt: skip
    name = events[0].partition(".")[0]
    types = [item.type for item in last.output]
    assert types[-2:] == [name, "message"]
    told_of = [kind.removeprefix("response.") for kind in kinds(seen)]
    assert [kind for kind in told_of if kind.startswith(name)] == events
    # Every item was announced as it ended.
    done = [event.item for event in seen if event.type == "response.output_item.done"]
    assert done == last.output
    assert last.usage is not None
    assert last.usage.output_tokens > count(last.output_text) > 0


@pytest.mark.parametrize("form", ["png", "webp", "jpeg"])
async def test_an_image_is_a_picture_of_the_asked_size_and_format(
    client: AsyncOpenAI, form: Any
) -> None:
    answer = await client.responses.create(
        model="gpt-4o", input="draw a lighthouse",
        tools=[{"type": "image_generation", "size": "1024x1536", "output_format": form}],
        tool_choice={"type": "image_generation"},
    )  # fmt: skip
    picture = answer.output[0]
    assert picture.type == "image_generation_call"
    drawn = picture_in(picture.result)
    assert (drawn.format, drawn.size) == (form.upper(), (1024, 1536))
    assert picture.output_format == form


async def test_code_says_what_it_computes(client: AsyncOpenAI) -> None:
    answer = await client.responses.create(
        model="gpt-4o", input="calculate the average of 3, 5 and 10 with python",
        tools=[{"type": "code_interpreter", "container": {"type": "auto"}}],
        include=["code_interpreter_call.outputs"],
    )  # fmt: skip
    work = answer.output[0]
    assert work.type == "code_interpreter_call"
    assert "[3, 5, 10]" in (work.code or "")
    (output,) = work.outputs or ()
    assert output.type == "logs"
    assert output.logs == "18 6.0\n"


async def test_what_was_found_is_cited(client: AsyncOpenAI) -> None:
    answer = await client.responses.create(
        model="gpt-4o", input="the latest news about tea", tools=[{"type": "web_search"}]
    )
    message = answer.output[-1]
    assert message.type == "message"
    part = message.content[0]
    assert part.type == "output_text"
    (cited,) = part.annotations
    assert cited.type == "url_citation"
    assert 0 <= cited.start_index < cited.end_index <= len(part.text)


async def test_max_tool_calls_bounds_the_vendors_tools(client: AsyncOpenAI) -> None:
    store = await client.vector_stores.create(name="documents")
    tools: list[Any] = [
        {"type": "web_search"},
        {"type": "file_search", "vector_store_ids": [store.id]},
    ]
    ask = "the latest news, and what my documents say about it"
    for most, expected in ((None, 2), (1, 1)):
        answer = await client.responses.create(
            model="gpt-4o", input=ask, tools=tools, max_tool_calls=most
        )
        assert len(answer.output) == expected + 1


async def test_an_mcp_call_waits_for_its_approval(client: AsyncOpenAI) -> None:
    tool: Any = {"type": "mcp", "server_label": "docs", "server_url": "https://example.com/mcp"}
    asked = await client.responses.create(model="gpt-4o", input="search docs for tea", tools=[tool])
    assert [item.type for item in asked.output] == ["mcp_list_tools", "mcp_approval_request"]
    request = asked.output[-1]
    for approve, expected in ((True, ["mcp_call", "message"]), (False, ["message"])):
        reply: Any = {
            "type": "mcp_approval_response", "approval_request_id": request.id, "approve": approve,
        }  # fmt: skip
        answer = await client.responses.create(
            model="gpt-4o", input=[reply], previous_response_id=asked.id, tools=[tool]
        )
        assert [item.type for item in answer.output] == expected
        if approve:
            assert answer.output[0].type == "mcp_call"
            assert answer.output[0].approval_request_id == request.id
