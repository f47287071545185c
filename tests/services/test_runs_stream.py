"""Streamed runs: the events in their order, the SDK's event handlers, and what is in the store by then."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import openai
import orjson
import pytest
from openai import AssistantEventHandler, AsyncAssistantEventHandler, AsyncOpenAI, OpenAI
from PIL import Image
from typing_extensions import override

from fakeai_proxy.clock import VirtualClock
from tests.conftest import Ended, Serve
from tests.services.assistant_asking import (
    CODE,
    QUIET,
    RAIN,
    STORY,
    WEATHER,
    assistant,
    thread,
)

pytestmark = QUIET

_DELTAS = ("thread.message.delta", "thread.run.step.delta")
_MESSAGE = [
    "thread.run.step.created", "thread.run.step.in_progress", "thread.message.created",
    "thread.message.in_progress", "thread.message.delta", "thread.message.completed",
    "thread.run.step.completed",
]  # fmt: skip
_BEGUN = ["thread.run.created", "thread.run.queued", "thread.run.in_progress"]


def names(events: list[Any]) -> list[str]:
    """Their names, deltas in a row as one."""
    found: list[str] = []
    for event in events:
        if not (event.event in _DELTAS and found and found[-1] == event.event):
            found.append(event.event)
    return found


def said(events: list[Any]) -> str:
    deltas = [event.data.delta.content[0] for event in events if event.event == _DELTAS[0]]
    return "".join([delta.text.value for delta in deltas])


async def streamed(client: AsyncOpenAI, place: str, maker: str, **given: Any) -> list[Any]:
    stream = await client.beta.threads.runs.create(place, assistant_id=maker, stream=True, **given)
    return [event async for event in stream]


async def test_a_stream_tells_all_in_its_order(client: AsyncOpenAI) -> None:
    maker, place = await assistant(client), await thread(client, STORY)
    events = await streamed(client, place, maker)
    assert names(events) == [*_BEGUN, *_MESSAGE, "thread.run.completed"]
    by_name = {event.event: event.data for event in events}
    run = await client.beta.threads.runs.retrieve(by_name["thread.run.created"].id, thread_id=place)
    assert run.model_dump() == by_name["thread.run.completed"].model_dump()
    (message,) = (await client.beta.threads.messages.list(place, run_id=run.id)).data
    assert message.model_dump() == by_name["thread.message.completed"].model_dump()
    (step,) = (await client.beta.threads.runs.steps.list(run.id, thread_id=place)).data
    assert step.model_dump() == by_name["thread.run.step.completed"].model_dump()
    assert message.content[0].text.value == said(events)  # type: ignore[union-attr] # a text
    assert run.usage is not None
    assert run.usage.completion_tokens == sum(event.event == _DELTAS[0] for event in events)


async def test_the_bytes_of_a_stream_are_those_of_the_vendor(client: AsyncOpenAI) -> None:
    maker, place = await assistant(client), await thread(client, STORY)
    raw = client.beta.threads.runs.with_streaming_response
    async with raw.create(place, assistant_id=maker, stream=True) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        text = (await answer.read()).decode()
    frames = text.split("\n\n")
    assert frames[-2:] == ["event: done\ndata: [DONE]", ""]
    for frame in frames[:-2]:
        event, data = frame.split("\n")
        assert event.startswith("event: thread.")
        assert orjson.loads(data.removeprefix("data: "))["object"].startswith("thread")


async def test_streamed_and_whole_answers_are_the_same(client: AsyncOpenAI) -> None:
    maker, place = await assistant(client), await thread(client, STORY)
    events = await streamed(client, place, maker)
    run = await client.beta.threads.runs.create_and_poll(
        thread_id=await thread(client, STORY), assistant_id=maker, poll_interval_ms=20
    )
    (message,) = (await client.beta.threads.messages.list(run.thread_id, run_id=run.id)).data
    assert message.content[0].text.value == said(events)  # type: ignore[union-attr] # a text


class Heard(AsyncAssistantEventHandler):
    """Remembers which of its callbacks were called."""

    def __init__(self) -> None:
        super().__init__()
        self.called: list[str] = []
        self.text = ""
        self.tools: list[str] = []

    @override
    async def on_text_created(self, text: Any) -> None:
        self.called.append("text_created")

    @override
    async def on_text_delta(self, delta: Any, snapshot: Any) -> None:
        self.text = snapshot.value

    @override
    async def on_text_done(self, text: Any) -> None:
        self.called.append("text_done")

    @override
    async def on_tool_call_created(self, tool_call: Any) -> None:
        self.called.append(f"{tool_call.type}_created")

    @override
    async def on_tool_call_done(self, tool_call: Any) -> None:
        self.tools.append(tool_call.type)

    @override
    async def on_message_done(self, message: Any) -> None:
        self.called.append("message_done")


async def test_the_sdks_event_handler_goes_through_a_loop_of_tools(client: AsyncOpenAI) -> None:
    maker = await assistant(client, WEATHER, CODE)
    place = await thread(client, f"{RAIN} And compute the sum of 3 and 4 with python.")
    first = Heard()
    async with client.beta.threads.runs.stream(
        thread_id=place, assistant_id=maker, event_handler=first
    ) as stream:
        events = [event async for event in stream]
        run = await stream.get_final_run()
        steps = await stream.get_final_run_steps()
    assert run.status == "requires_action"
    assert names(events)[-1] == "thread.run.requires_action"
    # The SDK tells calls apart by their place in a step, so that it sees one in these two steps.
    assert first.called == ["code_interpreter_created"]
    assert [step.step_details.type for step in steps] == ["tool_calls"] * 2
    (code,) = steps[0].step_details.tool_calls  # type: ignore[union-attr] # as asserted
    assert code.type == "code_interpreter"
    kept = await client.beta.threads.runs.steps.retrieve(
        steps[0].id, thread_id=place, run_id=run.id
    )
    (stored,) = kept.step_details.tool_calls  # type: ignore[union-attr] # as asserted
    assert stored.code_interpreter.input == code.code_interpreter.input  # type: ignore[union-attr] # as asserted
    assert run.required_action is not None
    (call,) = run.required_action.submit_tool_outputs.tool_calls
    (function,) = steps[1].step_details.tool_calls  # type: ignore[union-attr] # as asserted
    assert function.function.arguments == call.function.arguments  # type: ignore[union-attr] # as asserted
    second = Heard()
    async with client.beta.threads.runs.submit_tool_outputs_stream(
        thread_id=place, run_id=run.id, event_handler=second,
        tool_outputs=[{"tool_call_id": call.id, "output": "Sunny, 22"}],
    ) as more:  # fmt: skip
        events = [event async for event in more]
        run = await more.get_final_run()
        (message,) = await more.get_final_messages()
    assert names(events) == [
        "thread.run.step.completed", "thread.run.queued", "thread.run.in_progress", *_MESSAGE,
        "thread.run.completed",
    ]  # fmt: skip
    assert run.status == "completed"
    assert second.called == ["text_created", "text_done", "message_done"]
    assert second.text == message.content[0].text.value  # type: ignore[union-attr] # a text
    assert "Sunny, 22" in second.text


def test_a_blocking_event_handler_hears_it_too(app_url: str) -> None:
    with OpenAI(
        base_url=app_url + "/v1", api_key="k", max_retries=0, _strict_response_validation=True
    ) as client:
        maker = client.beta.assistants.create(model="gpt-4o").id
        with client.beta.threads.create_and_run_stream(
            assistant_id=maker, thread={"messages": [{"role": "user", "content": STORY}]},
            event_handler=AssistantEventHandler(),
        ) as stream:  # fmt: skip
            text = "".join(stream.text_deltas)
            run = stream.get_final_run()
        assert run.status == "completed"
        (message,) = client.beta.threads.messages.list(run.thread_id, run_id=run.id).data
        assert message.content[0].text.value == text  # type: ignore[union-attr] # a text


async def test_a_thread_that_is_made_with_its_run_is_told_first(client: AsyncOpenAI) -> None:
    maker = await assistant(client)
    stream = await client.beta.threads.create_and_run(assistant_id=maker, stream=True)
    events = [event async for event in stream]
    assert names(events) == ["thread.created", *_BEGUN, *_MESSAGE, "thread.run.completed"]


async def test_an_answer_that_is_cut_is_incomplete(client: AsyncOpenAI) -> None:
    place = await thread(client, "Write an essay of 2000 words about the sea.")
    events = await streamed(client, place, await assistant(client), max_completion_tokens=256)
    assert names(events)[-3:] == [
        "thread.message.incomplete", "thread.run.step.completed", "thread.run.incomplete",
    ]  # fmt: skip


async def test_a_run_that_cannot_be_fails_within_its_stream(client: AsyncOpenAI) -> None:
    place = await thread(client)
    shown: Any = [{"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}]
    await client.beta.threads.messages.create(place, role="user", content=shown)
    events = await streamed(client, place, await assistant(client, model="gpt-3.5-turbo"))
    assert names(events) == [*_BEGUN, "thread.run.failed"]
    assert events[-1].data.last_error.code == "invalid_prompt"


async def test_a_stream_asks_the_back_end_for_what_it_says(serve: Serve) -> None:
    ended = Ended()
    app = await serve(VirtualClock(), ended, mode="synth", profile="openai")
    async with AsyncOpenAI(base_url=app.url + "/v1", api_key="k", max_retries=0) as client:
        place = await thread(client, STORY)
        events = await streamed(client, place, await assistant(client))
        usage = events[-1].data.usage
    exchange = next(one for one in ended.exchanges if one.request.path.endswith("/runs"))
    assert exchange.reply is not None
    assert exchange.reply.workload is not None
    assert exchange.reply.workload.output_tokens == usage.completion_tokens
    assert exchange.reply.workload.prompt_tokens == usage.prompt_tokens
    assert exchange.finished_at is not None
    assert exchange.finished_at - exchange.arrived_at > 0.5


class Slow:
    """A stream whose time passes as told, and no faster than the store gets on."""

    def __init__(self, client: AsyncOpenAI, clock: VirtualClock, stream: Any) -> None:
        self._client = client
        self._clock = clock
        self._stream = stream
        self.events: list[Any] = []
        self._reading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        async for event in self._stream:
            self.events.append(event)

    async def until(self, deltas: int) -> None:
        while sum(event.event == _DELTAS[0] for event in self.events) < deltas:
            await self._go_on()

    async def to_the_end(self) -> None:
        while not self._reading.done():
            await self._go_on()
        await self._reading

    async def _go_on(self) -> None:
        self._clock.advance(0.05)
        await self._client.files.list()

    async def leave(self) -> None:
        self._reading.cancel()
        await asyncio.wait((self._reading,))
        await self._stream.close()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(autojump=False)


@pytest.fixture
async def slowly(serve: Serve, clock: VirtualClock) -> Any:
    app = await serve(clock, mode="synth", profile="openai")
    async with AsyncOpenAI(base_url=app.url + "/v1", api_key="k", max_retries=0) as client:
        yield client


async def test_a_run_that_is_cancelled_ends_its_stream(
    slowly: AsyncOpenAI, clock: VirtualClock
) -> None:
    place = await thread(slowly, STORY)
    runs = slowly.beta.threads.runs
    stream = Slow(
        slowly, clock, await runs.create(place, assistant_id=await assistant(slowly), stream=True)
    )
    await stream.until(5)
    (live,) = (await runs.list(place)).data
    assert live.status == "in_progress"
    (message,) = (await slowly.beta.threads.messages.list(place, run_id=live.id)).data
    assert message.status == "in_progress"
    (step,) = (await runs.steps.list(live.id, thread_id=place)).data
    assert step.status == "in_progress"
    await runs.cancel(live.id, thread_id=place)
    await stream.to_the_end()
    assert names(stream.events)[-3:] == [
        "thread.message.incomplete", "thread.run.step.cancelled", "thread.run.cancelled",
    ]  # fmt: skip
    (message,) = (await slowly.beta.threads.messages.list(place, run_id=live.id)).data
    assert message.status == "incomplete"
    assert message.incomplete_details is not None
    assert message.incomplete_details.reason == "run_cancelled"
    deltas = [
        one.data.delta.content for one in stream.events if one.event == "thread.message.delta"
    ]
    went_out = "".join(content[0].text.value for content in deltas)
    assert [part.text.value for part in message.content] == [went_out]
    (step,) = (await runs.steps.list(live.id, thread_id=place)).data
    assert step.status == "cancelled"


async def test_a_run_whose_client_leaves_is_completed_once(
    slowly: AsyncOpenAI, clock: VirtualClock
) -> None:
    place = await thread(slowly, STORY)
    runs = slowly.beta.threads.runs
    stream = Slow(
        slowly, clock, await runs.create(place, assistant_id=await assistant(slowly), stream=True)
    )
    await stream.until(5)
    await stream.leave()
    (live,) = (await runs.list(place)).data
    while live.status == "in_progress":
        clock.advance(0.2)
        live = await runs.retrieve(live.id, thread_id=place)
    assert live.status == "completed"
    (message,) = (await slowly.beta.threads.messages.list(place, run_id=live.id)).data
    assert message.status == "completed"
    assert message.content[0].text.value.startswith(said(stream.events))  # type: ignore[union-attr] # a text
    (step,) = (await runs.steps.list(live.id, thread_id=place)).data
    assert step.status == "completed"


async def test_a_thread_that_is_deleted_ends_its_stream(
    slowly: AsyncOpenAI, clock: VirtualClock
) -> None:
    place = await thread(slowly, STORY)
    stream = Slow(
        slowly,
        clock,
        await slowly.beta.threads.runs.create(
            place, assistant_id=await assistant(slowly), stream=True
        ),
    )
    await stream.until(5)
    await slowly.beta.threads.delete(place)
    with pytest.raises(openai.APIError, match="No run found"):
        await stream.to_the_end()


async def test_a_chart_is_a_file_that_the_message_shows(client: AsyncOpenAI) -> None:
    maker = await assistant(client, CODE)
    ask = "Plot a bar chart of 3, 1, 4 and 15 with python."
    place = await thread(client, ask)
    events = await streamed(client, place, maker)
    by_name = {event.event: event.data for event in events}
    drawn, words = by_name["thread.message.completed"].content
    assert (drawn.type, words.type) == ("image_file", "text")
    file = await client.files.retrieve(drawn.image_file.file_id)
    assert (file.purpose, file.filename) == ("assistants_output", "chart.png")
    content = await client.files.content(file.id)
    assert Image.open(io.BytesIO(content.read())).size == (640, 480)
    told = [event.data.delta.content[0] for event in events if event.event == _DELTAS[0]]
    assert told[0].image_file.file_id == file.id
    assert {delta.index for delta in told[1:]} == {1}
    assert "".join([delta.text.value for delta in told[1:]]) == words.text.value
    run = by_name["thread.run.completed"]
    steps = (await client.beta.threads.runs.steps.list(run.id, thread_id=place, order="asc")).data
    (call,) = steps[0].step_details.tool_calls  # type: ignore[union-attr] # the code comes first
    assert "[3, 1, 4, 15]" in call.code_interpreter.input  # type: ignore[union-attr] # as asked
    (output,) = call.code_interpreter.outputs  # type: ignore[union-attr] # as asked
    assert output.image.file_id == file.id  # type: ignore[union-attr] # no logs
    # Whoever goes on from it, or does not stream, has it too.
    whole = await client.beta.threads.create_and_run_poll(
        assistant_id=maker, thread={"messages": [{"role": "user", "content": ask}]},
        poll_interval_ms=20,
    )  # fmt: skip
    assert whole.status == "completed"
    (message,) = (await client.beta.threads.messages.list(whole.thread_id, run_id=whole.id)).data
    assert message.content[0].type == "image_file"
    assert message.content[0].image_file.file_id != file.id
    again = await client.beta.threads.runs.create_and_poll(
        thread_id=place, assistant_id=maker, model="gpt-3.5-turbo", poll_interval_ms=20
    )
    assert (again.status, again.last_error) == ("completed", None)
