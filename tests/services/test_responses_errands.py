"""Tools whose calls a client carries out on its own machine, to the end of their loops."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from tests.services.asking import WEATHER, count
from tests.services.media import picture
from tests.services.test_responses import joined, kinds, told

PREVIEW: Any = {
    "type": "computer_use_preview", "display_width": 640, "display_height": 480,
    "environment": "linux",
}  # fmt: skip
SHELL: Any = {"type": "shell"}
SEEN = {"type": "computer_screenshot", "image_url": picture(1024, 768, "blue")}
RAN = [{"stdout": "seven files\n", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}]


def answer_to(call: Any) -> dict[str, Any]:
    kind = call.type
    output: dict[str, Any] = {"type": f"{kind}_output", "call_id": call.call_id}
    if kind == "computer_call":
        return {**output, "output": SEEN}
    if kind == "shell_call":
        return {**output, "output": RAN}
    if kind == "apply_patch_call":
        return {**output, "status": "completed", "output": "seven files"}
    return {"type": "local_shell_call_output", "id": call.call_id, "output": "seven files"}


LOOPS = [
    ({"type": "computer"}, "click the button on the screen", "computer_call", 2),
    (PREVIEW, "click the button on the screen", "computer_call", 2),
    ({"type": "local_shell"}, "run a command in the terminal", "local_shell_call", 1),
    (SHELL, "run a command in the terminal", "shell_call", 1),
    ({"type": "apply_patch"}, "edit the files with a patch", "apply_patch_call", 1),
]


@pytest.mark.parametrize("keeps", ["client", "server"])
@pytest.mark.parametrize(("tool", "ask", "kind", "steps"), LOOPS, ids=lambda v: str(v)[:24])
async def test_the_loop_ends_when_the_work_is_done(
    client: AsyncOpenAI, tool: Any, ask: str, kind: str, steps: int, keeps: str
) -> None:
    items: list[Any] = [{"role": "user", "content": ask}]
    history: dict[str, Any] = {}
    calls: list[Any] = []
    while len(calls) <= steps:
        answer = await client.responses.create(
            model="gpt-5-mini", input=items, tools=[tool], **history
        )
        made = [item for item in answer.output if item.type == kind]
        assert {item.type for item in answer.output} <= {"reasoning", kind, "message"}
        if not made:
            break
        assert [item.type for item in answer.output] == ["reasoning", kind]
        calls += made
        outputs = [answer_to(call) for call in made]
        if keeps == "server":
            items, history = outputs, {"previous_response_id": answer.id}
        else:
            items += [item.model_dump(exclude_none=True) for item in answer.output] + outputs
    assert len(calls) == steps
    assert len({call.call_id for call in calls}) == steps
    assert all(call.status == "completed" for call in calls)
    assert answer.output_text
    if kind != "computer_call":
        assert "seven files" in answer.output_text


async def test_a_screen_is_looked_at_before_it_is_touched(client: AsyncOpenAI) -> None:
    first = await client.responses.create(
        model="gpt-4o", input="click it", tools=[PREVIEW], tool_choice={"type": "computer_use"}
    )
    (look,) = first.output
    assert look.type == "computer_call"
    assert look.action is not None
    assert look.action.type == "screenshot"
    second = await client.responses.create(
        model="gpt-4o", input=[answer_to(look)], previous_response_id=first.id, tools=[PREVIEW]
    )  # fmt: skip
    (touch,) = second.output
    assert touch.type == "computer_call"
    assert touch.action is not None
    assert touch.action.type == "click"
    assert 0 <= touch.action.x < 640
    assert 0 <= touch.action.y < 480
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.input_tokens > first.usage.input_tokens + 700, "a picture was read"


async def test_every_call_is_answered(client: AsyncOpenAI) -> None:
    first = await client.responses.create(
        model="gpt-4o", input="x", tools=[SHELL], tool_choice={"type": "shell"}
    )
    with pytest.raises(openai.BadRequestError, match="No tool output found for shell call call_"):
        await client.responses.create(
            model="gpt-4o", input="So?", previous_response_id=first.id, tools=[SHELL]
        )
    stray: Any = {"type": "shell_call_output", "call_id": "call_x", "output": RAN}
    with pytest.raises(openai.BadRequestError, match="No tool call found for shell call output"):
        await client.responses.create(model="gpt-4o", input=[stray])


async def test_a_shell_in_a_container_runs_within_the_answer(client: AsyncOpenAI) -> None:
    tool: Any = {"type": "shell", "environment": {"type": "container_auto"}}
    events, last = await told(client, input="list the files in the terminal", tools=[tool])
    call, output, message = last.output
    assert call.type == "shell_call"
    assert output.type == "shell_call_output"
    assert message.type == "message"
    assert output.call_id == call.call_id
    assert output.output[0].outcome.type == "exit"
    command = joined(events, "response.shell_call_command.delta")
    assert [command] == call.action.commands
    assert [kind for kind in kinds(events) if "shell" in kind] == [
        "response.shell_call_command.added", "response.shell_call_command.delta",
        "response.shell_call_command.done", "response.shell_call_output_content.delta",
        "response.shell_call_output_content.done",
    ]  # fmt: skip
    added = [event.item for event in events if event.type == "response.output_item.added"]
    assert added[1].call_id == call.call_id
    assert last.usage is not None
    assert last.usage.output_tokens == count(command) + count(last.output_text)
    again = await client.responses.create(
        model="gpt-4o", input="And now?", previous_response_id=last.id
    )
    assert again.output_text


async def test_calls_are_asked_for_one_at_a_time_where_the_client_wants_it(
    client: AsyncOpenAI,
) -> None:
    weather: Any = {"type": "function", **WEATHER["function"]}
    ask = "Run a shell command, and what is the weather in Paris?"
    for parallel, expected in ((True, 2), (False, 1)):
        answer = await client.responses.create(
            model="gpt-4o", input=ask, tools=[SHELL, weather], parallel_tool_calls=parallel
        )
        assert len(answer.output) == expected


async def test_a_function_in_a_namespace_is_called_by_both_names(client: AsyncOpenAI) -> None:
    group: Any = {
        "type": "namespace", "name": "outdoors", "description": "What it is like outside",
        "tools": [{"type": "function", **WEATHER["function"]}],
    }  # fmt: skip
    answer = await client.responses.create(
        model="gpt-4o", input="What is the weather in Paris?", tools=[group],
        tool_choice={"type": "function", "name": "get_weather"},
    )  # fmt: skip
    (call,) = answer.output
    assert call.type == "function_call"
    assert (call.namespace, call.name) == ("outdoors", "get_weather")


@pytest.mark.parametrize(
    ("item", "param", "code"),
    [
        ({"type": "computer_call_output", "call_id": "c", "output": "seen"}, "input[0].output",
         "invalid_type"),
        ({"type": "shell_call_output", "output": RAN}, "input[0].call_id",
         "missing_required_parameter"),
        ({"type": "shell_call", "call_id": "c", "action": {}}, "input[0].action.commands",
         "missing_required_parameter"),
        ({"type": "apply_patch_call_output", "call_id": "c", "status": "maybe"},
         "input[0].status", "invalid_value"),
        ({"type": "local_shell_call_output", "output": "x"}, "input[0]", "invalid_value"),
    ],
    ids=str,
)  # fmt: skip
async def test_what_is_no_such_item_is_refused(
    client: AsyncOpenAI, item: Any, param: str, code: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.responses.create(model="gpt-4o", input=[item])
    error: Any = caught.value.body
    assert (error["param"], error["code"]) == (param, code)
