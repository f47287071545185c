"""Runs under the vendor's SDK: what they come to, what they cost, who may interrupt them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from openai import AsyncOpenAI
from openai.types.beta.threads import Message, Run

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock, turn
from tests.conftest import Serve
from tests.services.asking import count
from tests.services.assistant_asking import (
    CODE,
    MAIL,
    QUIET,
    RAIN,
    STORY,
    WEATHER,
    assistant,
    thread,
)
from tests.services.refusing import refused

pytestmark = QUIET


async def ran(client: AsyncOpenAI, place: str, assistant_id: str, **given: Any) -> Run:
    made: Run = await client.beta.threads.runs.create_and_poll(
        thread_id=place, assistant_id=assistant_id, poll_interval_ms=20, **given
    )
    return made


async def said(client: AsyncOpenAI, run: Run) -> Message:
    """The one message of the run."""
    (message,) = (await client.beta.threads.messages.list(run.thread_id, run_id=run.id)).data
    return message


def text(message: Message) -> str:
    (part,) = message.content
    assert part.type == "text"
    return part.text.value


async def test_a_run_answers_with_one_message_in_one_step(client: AsyncOpenAI) -> None:
    maker = await assistant(client, instructions="Be kind.", temperature=0.5)
    place = await thread(client, STORY)
    run = await ran(client, place, maker, metadata={"a": "b"})
    assert (run.object, run.status, run.thread_id, run.assistant_id) == (
        "thread.run", "completed", place, maker,
    )  # fmt: skip
    assert (run.model, run.instructions, run.temperature) == ("gpt-4o", "Be kind.", 0.5)
    assert (run.last_error, run.required_action, run.expires_at) == (None, None, None)
    assert run.metadata == {"a": "b"}
    assert run.started_at is not None
    assert run.completed_at is not None
    message = await said(client, run)
    assert (message.status, message.role, message.assistant_id) == ("completed", "assistant", maker)
    assert "lighthouse" in text(message)
    (step,) = (await client.beta.threads.runs.steps.list(run.id, thread_id=place)).data
    assert (step.type, step.status) == ("message_creation", "completed")
    assert step.step_details.type == "message_creation"
    assert step.step_details.message_creation.message_id == message.id
    assert run.usage is not None
    assert step.usage is not None
    assert step.usage.model_dump() == run.usage.model_dump()
    assert run.usage.completion_tokens == count(text(message))
    assert run.usage.total_tokens == run.usage.prompt_tokens + run.usage.completion_tokens
    found = await client.beta.threads.runs.steps.retrieve(step.id, thread_id=place, run_id=run.id)
    assert found.model_dump() == step.model_dump()
    changed = await client.beta.threads.runs.update(run.id, thread_id=place, metadata={"c": "d"})
    assert (changed.metadata, changed.status) == ({"c": "d"}, "completed")


async def test_what_a_run_says_is_read_by_the_next(client: AsyncOpenAI) -> None:
    maker, place = await assistant(client), await thread(client, STORY)
    first = await ran(client, place, maker)
    more: Any = [{"role": "user", "content": "And of the sea?"}]
    second = await ran(client, place, maker, additional_messages=more)
    assert first.usage is not None
    assert second.usage is not None
    grown = second.usage.prompt_tokens - first.usage.prompt_tokens
    assert grown == first.usage.completion_tokens + 4 + count("And of the sea?") + 4
    runs = [run.id async for run in client.beta.threads.runs.list(place, limit=1)]
    assert runs == [second.id, first.id]


async def test_equal_threads_have_equal_answers_under_ids_of_their_own(client: AsyncOpenAI) -> None:
    maker = await assistant(client)
    runs = [await ran(client, await thread(client, STORY), maker) for _ in range(2)]
    messages = [await said(client, run) for run in runs]
    assert text(messages[0]) == text(messages[1])
    assert messages[0].id != messages[1].id


async def test_a_run_overrides_its_assistant(client: AsyncOpenAI) -> None:
    maker = await assistant(client, WEATHER, instructions="Be kind.", temperature=0.5)
    place = await thread(client, RAIN)
    run = await ran(
        client, place, maker, model="gpt-4o-mini", instructions="Be brief.", tools=[],
        additional_instructions="And true.", temperature=0.1, tool_choice="none",
        truncation_strategy={"type": "last_messages", "last_messages": 1},
    )  # fmt: skip
    assert (run.status, run.model, run.instructions) == (
        "completed", "gpt-4o-mini", "Be brief.\nAnd true.",
    )  # fmt: skip
    assert (run.tools, run.temperature, run.tool_choice) == ([], 0.1, "none")
    assert run.truncation_strategy is not None
    assert run.truncation_strategy.last_messages == 1


async def test_a_run_waits_for_what_its_calls_come_to(client: AsyncOpenAI) -> None:
    maker, place = await assistant(client, WEATHER, MAIL), await thread(client, RAIN)
    run = await ran(client, place, maker)
    assert run.status == "requires_action"
    assert run.usage is None
    assert run.required_action is not None
    (call,) = run.required_action.submit_tool_outputs.tool_calls
    assert call.function.name == "get_weather"
    assert orjson.loads(call.function.arguments) == {"city": "Paris", "unit": "celsius"}
    (step,) = (await client.beta.threads.runs.steps.list(run.id, thread_id=place)).data
    assert (step.type, step.status, step.usage) == ("tool_calls", "in_progress", None)
    done = await client.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id, thread_id=place, poll_interval_ms=20,
        tool_outputs=[{"tool_call_id": call.id, "output": "Sunny, 22 degrees"}],
    )  # fmt: skip
    assert (done.status, done.required_action) == ("completed", None)
    assert "Sunny, 22 degrees" in text(await said(client, done))
    steps = (await client.beta.threads.runs.steps.list(run.id, thread_id=place, order="asc")).data
    assert [one.type for one in steps] == ["tool_calls", "message_creation"]
    details = steps[0].step_details
    assert details.type == "tool_calls"
    (made,) = details.tool_calls
    assert made.type == "function"
    assert (made.id, made.function.output) == (call.id, "Sunny, 22 degrees")
    usages = [one.usage for one in steps]
    assert done.usage is not None
    assert done.usage.total_tokens == sum(one.total_tokens for one in usages if one is not None)


async def test_several_calls_are_made_at_once_if_the_client_wants_them(client: AsyncOpenAI) -> None:
    maker = await assistant(client, WEATHER, MAIL)
    ask = "What is the weather in Paris? Send a mail with a message about it to Ada."
    both = await ran(client, await thread(client, ask), maker)
    assert both.required_action is not None
    calls = both.required_action.submit_tool_outputs.tool_calls
    assert {call.function.name for call in calls} == {"get_weather", "send_mail"}
    one = await ran(client, await thread(client, ask), maker, parallel_tool_calls=False)
    assert one.required_action is not None
    (call,) = one.required_action.submit_tool_outputs.tool_calls
    after = await client.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=one.id, thread_id=one.thread_id, poll_interval_ms=20,
        tool_outputs=[{"tool_call_id": call.id, "output": "Done"}],
    )  # fmt: skip
    assert after.required_action is not None
    (other,) = after.required_action.submit_tool_outputs.tool_calls
    assert {call.function.name, other.function.name} == {"get_weather", "send_mail"}


@pytest.mark.parametrize(
    ("choice", "kind"),
    [
        ({"type": "function", "function": {"name": "send_mail"}}, "function"),
        ({"type": "code_interpreter"}, "code_interpreter"),
        ("required", "function"),
    ],
)
async def test_a_tool_that_is_chosen_is_used(client: AsyncOpenAI, choice: Any, kind: str) -> None:
    maker, place = await assistant(client, MAIL, CODE), await thread(client, "Hello!")
    run = await ran(client, place, maker, tool_choice=choice)
    step = (await client.beta.threads.runs.steps.list(run.id, thread_id=place, order="asc")).data[0]
    assert step.step_details.type == "tool_calls"
    assert step.step_details.tool_calls[0].type == kind
    assert run.status == ("completed" if kind == "code_interpreter" else "requires_action")


async def test_outputs_have_to_be_those_of_the_open_calls(client: AsyncOpenAI) -> None:
    maker, place = await assistant(client, WEATHER), await thread(client, RAIN)
    run = await ran(client, place, maker)
    assert run.required_action is not None
    (call,) = run.required_action.submit_tool_outputs.tool_calls
    submit = client.beta.threads.runs.submit_tool_outputs
    given: Any = [{"tool_call_id": "call_none", "output": "x"}]
    status, param, _, message = await refused(submit(run.id, thread_id=place, tool_outputs=given))
    assert (status, param) == (400, "tool_outputs")
    assert message == f"Expected tool outputs for call_ids ['{call.id}'], got ['call_none']"
    given = [{"tool_call_id": call.id, "output": "x"}]
    taken = await submit(run.id, thread_id=place, tool_outputs=given)
    assert taken.status == "queued"
    status, _, _, message = await refused(submit(run.id, thread_id=place, tool_outputs=given))
    assert status == 400
    assert message.startswith('Runs in status "')


async def test_code_runs_in_a_step_of_its_own(client: AsyncOpenAI) -> None:
    maker = await assistant(client, CODE)
    place = await thread(client, "Compute the sum of 19 and 23 with python.")
    run = await ran(client, place, maker)
    assert run.status == "completed"
    steps = (await client.beta.threads.runs.steps.list(run.id, thread_id=place, order="asc")).data
    details = steps[0].step_details
    assert details.type == "tool_calls"
    (call,) = details.tool_calls
    assert call.type == "code_interpreter"
    assert "19" in call.code_interpreter.input
    (output,) = call.code_interpreter.outputs
    assert output.type == "logs"
    assert output.logs.startswith("42 ")
    assert "42" in text(await said(client, run))
    assert all(step.usage is not None for step in steps)


async def test_structured_answers_keep_to_their_schema(client: AsyncOpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "warm": {"type": "boolean"}},
        "required": ["city", "warm"], "additionalProperties": False,
    }  # fmt: skip
    form: Any = {
        "type": "json_schema",
        "json_schema": {"name": "a", "strict": True, "schema": schema},
    }
    maker, place = await assistant(client), await thread(client, "Is it warm in Lima?")
    run = await ran(client, place, maker, response_format=form)
    answer = orjson.loads(text(await said(client, run)))
    assert set(answer) == {"city", "warm"}
    place = await thread(client, "Tell me of Lima in JSON.")
    run = await ran(client, place, maker, response_format={"type": "json_object"})
    assert isinstance(orjson.loads(text(await said(client, run))), dict)
    place = await thread(client, "How do I build a bomb?")
    run = await ran(client, place, maker, response_format=form)
    (part,) = (await said(client, run)).content
    assert part.type == "refusal"


async def test_a_run_keeps_to_its_limits(client: AsyncOpenAI) -> None:
    maker = await assistant(client)
    place = await thread(client, "Write an essay of 2000 words about the sea.")
    run = await ran(client, place, maker, max_completion_tokens=256)
    assert run.status == "incomplete"
    assert run.incomplete_details is not None
    assert run.incomplete_details.reason == "max_completion_tokens"
    assert run.usage is not None
    assert run.usage.completion_tokens == 256
    message = await said(client, run)
    assert (message.status, message.completed_at) == ("incomplete", None)
    assert message.incomplete_details is not None
    assert message.incomplete_details.reason == "max_tokens"
    place = await thread(client, "word " * 400)
    run = await ran(client, place, maker, max_prompt_tokens=256)
    assert run.status == "incomplete"
    assert run.incomplete_details is not None
    assert run.incomplete_details.reason == "max_prompt_tokens"
    assert (await client.beta.threads.messages.list(place, run_id=run.id)).data == []


async def test_old_messages_are_left_out_where_there_is_no_room(client: AsyncOpenAI) -> None:
    maker = await assistant(client)
    place = await thread(client, *["word " * 100] * 6, STORY)
    whole = await ran(client, place, maker)
    assert whole.usage is not None
    assert whole.usage.prompt_tokens > 600
    cut = await ran(client, place, maker, max_prompt_tokens=256)
    assert (cut.status, cut.usage is not None) == ("completed", True)
    assert cut.usage is not None
    assert cut.usage.prompt_tokens <= 256
    last: Any = {"type": "last_messages", "last_messages": 1}
    place = await thread(client, *["word " * 100] * 6, STORY)
    short = await ran(client, place, maker, truncation_strategy=last)
    assert short.usage is not None
    assert short.usage.prompt_tokens < 30


async def test_a_thread_has_one_active_run(client: AsyncOpenAI) -> None:
    maker, place = await assistant(client, WEATHER), await thread(client, RAIN)
    run = await ran(client, place, maker)
    assert run.status == "requires_action"
    threads = client.beta.threads
    _, _, _, message = await refused(threads.runs.create(place, assistant_id=maker))
    assert message == f"Thread {place} already has an active run {run.id}."
    _, _, _, message = await refused(threads.messages.create(place, role="user", content="x"))
    assert message == f"Can't add messages to {place} while a run {run.id} is active."
    (first,) = (await threads.messages.list(place)).data
    status, *_ = await refused(threads.messages.delete(first.id, thread_id=place))
    assert status == 400
    cancelled = await threads.runs.cancel(run.id, thread_id=place)
    assert cancelled.status == "cancelling"
    done = await threads.runs.poll(run.id, thread_id=place, poll_interval_ms=20)
    assert (done.status, done.required_action) == ("cancelled", None)
    assert done.cancelled_at is not None
    (step,) = (await threads.runs.steps.list(run.id, thread_id=place)).data
    assert step.status == "cancelled"
    assert step.usage is not None
    _, _, _, message = await refused(threads.runs.cancel(run.id, thread_id=place))
    assert message == "Cannot cancel run with status 'cancelled'."
    await threads.messages.create(place, role="user", content="Again.")
    assert (await ran(client, place, maker, tool_choice="none")).status == "completed"


async def test_a_thread_is_deleted_with_its_active_run(client: AsyncOpenAI) -> None:
    maker, place = await assistant(client, WEATHER), await thread(client, RAIN)
    run = await ran(client, place, maker)
    await client.beta.threads.delete(place)
    for asking in (
        client.beta.threads.runs.retrieve(run.id, thread_id=place),
        client.beta.threads.runs.cancel(run.id, thread_id=place),
        client.beta.threads.runs.steps.list(run.id, thread_id=place),
    ):
        status, _, _, message = await refused(asking)
        assert (status, message) == (404, f"No thread found with id '{place}'.")


async def test_a_run_that_nobody_answers_expires(serve: Serve) -> None:
    clock = VirtualClock(autojump=False)
    app = await serve(clock, mode="synth")
    async with AsyncOpenAI(base_url=app.url + "/v1", api_key="k", max_retries=0) as client:
        maker, place = await assistant(client, WEATHER), await thread(client, RAIN)
        run = await ran(client, place, maker)
        assert run.expires_at == run.created_at + 600
        assert run.required_action is not None
        (call,) = run.required_action.submit_tool_outputs.tool_calls
        clock.advance(599)
        assert (await client.beta.threads.runs.retrieve(run.id, thread_id=place)).status == (
            "requires_action"
        )
        clock.advance(1)
        _, _, _, message = await refused(
            client.beta.threads.runs.submit_tool_outputs(
                run.id, thread_id=place, tool_outputs=[{"tool_call_id": call.id, "output": "x"}]
            )
        )
        assert message == 'Runs in status "expired" do not accept tool outputs.'
        done = await client.beta.threads.runs.retrieve(run.id, thread_id=place)
        assert done.status == "expired"
        while True:  # the job has written it down
            (step,) = (await client.beta.threads.runs.steps.list(run.id, thread_id=place)).data
            if step.status == "expired":
                break
            await turn()
        await client.beta.threads.messages.create(place, role="user", content="Again.")


async def test_a_run_takes_the_time_of_its_model(serve: Serve) -> None:
    clock = VirtualClock(autojump=False)
    app = await serve(clock, mode="synth", profile="openai")
    async with AsyncOpenAI(base_url=app.url + "/v1", api_key="k", max_retries=0) as client:
        maker, place = await assistant(client), await thread(client, STORY)
        run = await client.beta.threads.runs.create(place, assistant_id=maker)
        while run.status == "queued":
            run = await client.beta.threads.runs.retrieve(run.id, thread_id=place)
        assert (run.status, run.usage, run.completed_at) == ("in_progress", None, None)
        assert run.started_at == run.created_at
        while run.status == "in_progress":
            clock.advance(0.5)
            run = await client.beta.threads.runs.retrieve(run.id, thread_id=place)
        assert run.status == "completed"
        assert run.completed_at is not None
        assert run.completed_at - run.created_at >= 1


async def test_what_the_back_end_refuses_fails(serve: Serve) -> None:
    app = await serve(mode="synth", fault=("429:path=*/turns",))
    async with AsyncOpenAI(base_url=app.url + "/v1", api_key="k", max_retries=0) as client:
        maker, place = await assistant(client), await thread(client, STORY)
        run = await client.beta.threads.runs.create(place, assistant_id=maker)
        run = await client.beta.threads.runs.poll(run.id, thread_id=place, poll_interval_ms=20)
        assert run.status == "failed"
        assert run.failed_at is not None
        assert run.last_error is not None
        assert run.last_error.code == "rate_limit_exceeded"
        await client.beta.threads.messages.create(place, role="user", content="Again.")


@pytest.mark.parametrize(
    ("fault", "code"),
    [("429", "rate_limit_exceeded"), ("500", "server_error"), ("cut", "server_error")],
)
async def test_what_the_back_end_refuses_fails_in_a_stream_too(
    serve: Serve, fault: str, code: str
) -> None:
    app = await serve(mode="synth", fault=(f"{fault}:path=*/turns",))
    async with AsyncOpenAI(base_url=app.url + "/v1", api_key="k", max_retries=0) as client:
        maker, place = await assistant(client), await thread(client, STORY)
        async with client.beta.threads.runs.stream(thread_id=place, assistant_id=maker) as stream:
            names = [event.event async for event in stream]
        [run] = (await client.beta.threads.runs.list(place)).data
    assert names[-1] == "thread.run.failed"
    assert "thread.message.delta" not in names
    assert run.last_error is not None
    assert (run.status, run.last_error.code) == ("failed", code)


async def test_the_work_of_streamed_runs_is_limited_by_the_key_that_asks(serve: Serve) -> None:
    app = await serve(VirtualClock(), mode="synth", limits=("openai:3",))
    app.limiter.exhaust("spent")
    ends = []
    for key in ("spent", "other"):
        async with AsyncOpenAI(base_url=app.url + "/v1", api_key=key, max_retries=0) as client:
            maker, place = await assistant(client), await thread(client, "Hello.")
            async with client.beta.threads.runs.stream(
                thread_id=place, assistant_id=maker
            ) as stream:
                ends.append([event.event async for event in stream][-1])
    assert ends == ["thread.run.failed", "thread.run.completed"]


async def test_the_work_of_runs_is_limited(serve: Serve) -> None:
    app = await serve(VirtualClock(autojump=False), mode="synth", limits=("openai:free",))
    async with AsyncOpenAI(base_url=app.url + "/v1", api_key="k", max_retries=0) as client:
        maker = await assistant(client, model="gpt-4o-mini")
        runs = [await ran(client, await thread(client, STORY), maker) for _ in range(5)]
    ends = [run.status for run in runs]
    assert ends[0] == "completed"
    assert ends[-1] == "failed"
    assert runs[-1].last_error is not None
    assert runs[-1].last_error.code == "rate_limit_exceeded"
    assert "gpt-4o-mini" in runs[-1].last_error.message


async def test_a_run_is_refused_before_it_begins(client: AsyncOpenAI) -> None:
    maker, place = await assistant(client), await thread(client, STORY)
    create = client.beta.threads.runs.create
    cases: list[tuple[dict[str, Any], int, str | None]] = [
        ({"assistant_id": "asst_none"}, 404, None),
        ({"model": "gpt-none"}, 404, None),
        ({"max_completion_tokens": 255}, 400, "max_completion_tokens"),
        ({"max_prompt_tokens": 1}, 400, "max_prompt_tokens"),
        ({"tool_choice": {"type": "file_search"}}, 400, "tool_choice"),
        ({"tool_choice": "required"}, 400, "tool_choice"),
        ({"truncation_strategy": {"type": "last_messages", "last_messages": 0}}, 400,
         "truncation_strategy.last_messages"),
        ({"additional_messages": [{"role": "user", "content": ""}]}, 400,
         "additional_messages[0].content"),
        ({"tools": [CODE] * 129}, 400, "tools"),
        ({"reasoning_effort": "low"}, 400, "reasoning_effort"),
        ({"include": ["all"]}, 400, "include[0]"),
        ({"extra_body": {"n": 2}}, 400, "n"),
    ]  # fmt: skip
    for given, status, param in cases:
        found = await refused(create(place, **{"assistant_id": maker, **given}))
        assert found[:2] == (status, param), given
    status, _, _, message = await refused(create("thread_none", assistant_id=maker))
    assert (status, message) == (404, "No thread found with id 'thread_none'.")
    assert [run async for run in client.beta.threads.runs.list(place)] == []
    assert len([one async for one in client.beta.threads.messages.list(place)]) == 1


async def test_a_thread_and_its_run_are_made_at_once(client: AsyncOpenAI) -> None:
    maker = await assistant(client)
    run = await client.beta.threads.create_and_run_poll(
        assistant_id=maker, poll_interval_ms=20,
        thread={"messages": [{"role": "user", "content": STORY}], "metadata": {"a": "b"}},
    )  # fmt: skip
    assert run.status == "completed"
    assert (await client.beta.threads.retrieve(run.thread_id)).metadata == {"a": "b"}
    assert "lighthouse" in text(await said(client, run))
    status, _, _, message = await refused(
        client.beta.threads.create_and_run(assistant_id="asst_none")
    )
    assert (status, message) == (404, "No assistant found with id 'asst_none'.")


HANDBOOK = (
    "The lighthouse of Norrskar was built in 1871 by the pilot Elin Berg. Its lamp burned rape-seed "
    "oil until 1912, when it was changed to acetylene. The keeper was paid in coal and in herring."
)


async def test_a_search_finds_and_cites_what_the_files_say(client: AsyncOpenAI) -> None:
    file = await client.files.create(file=("norrskar.md", HANDBOOK.encode()), purpose="assistants")
    store: Any = {"file_search": {"vector_stores": [{"file_ids": [file.id]}]}}
    maker = await assistant(client, {"type": "file_search"}, tool_resources=store)
    made = await client.beta.assistants.retrieve(maker)
    assert made.tool_resources is not None
    assert made.tool_resources.file_search is not None
    assert made.tool_resources.file_search.vector_store_ids is not None
    (store_id,) = made.tool_resources.file_search.vector_store_ids
    assert (await client.vector_stores.retrieve(store_id)).file_counts.total == 1
    place = await thread(client, "Who built the lighthouse of Norrskar?")
    run = await ran(client, place, maker)
    (part,) = (await said(client, run)).content
    assert part.type == "text"
    assert "Elin Berg" in part.text.value
    (note,) = part.text.annotations
    assert note.type == "file_citation"
    assert note.file_citation.file_id == file.id
    assert part.text.value[note.start_index : note.end_index] == note.text == "【4:0†norrskar.md】"
    content: Any = ["step_details.tool_calls[*].file_search.results[*].content"]
    steps = client.beta.threads.runs.steps
    for include, text in (([], None), (content, HANDBOOK)):
        step = (await steps.list(run.id, thread_id=place, order="asc", include=include)).data[0]
        found = await steps.retrieve(step.id, thread_id=place, run_id=run.id, include=include)
        assert found.model_dump() == step.model_dump()
        (call,) = step.step_details.tool_calls  # type: ignore[union-attr] # the search comes first
        assert call.type == "file_search"
        assert call.file_search.results is not None
        hit = call.file_search.results[0]
        assert (hit.file_id, hit.file_name) == (file.id, "norrskar.md")
        assert 0 < hit.score <= 1
        assert (hit.content[0].text if hit.content else None) == text


async def test_what_is_attached_for_searches_is_the_threads(client: AsyncOpenAI) -> None:
    file = await client.files.create(file=("norrskar.md", HANDBOOK.encode()), purpose="assistants")
    maker = await assistant(client, {"type": "file_search"})
    attached: Any = [{"file_id": file.id, "tools": [{"type": "file_search"}]}]
    ask: Any = {"role": "user", "content": "What was the keeper paid in?", "attachments": attached}
    stream = await client.beta.threads.create_and_run(
        assistant_id=maker, thread={"messages": [ask]}, stream=True
    )
    events = [event async for event in stream]
    thread_id = events[0].data.id  # type: ignore[union-attr] # the thread
    (message,) = [event.data for event in events if event.event == "thread.message.completed"]
    assert "herring" in text(message)
    noted = [
        delta.text.annotations
        for event in events
        if event.event == "thread.message.delta"
        for delta in event.data.delta.content or ()
        if delta.type == "text" and delta.text is not None and delta.text.annotations
    ]
    ((note,),) = noted
    assert note.type == "file_citation"
    assert note.file_citation is not None
    assert note.file_citation.file_id == file.id
    made = await client.beta.threads.retrieve(thread_id)
    assert made.tool_resources is not None
    assert made.tool_resources.file_search is not None
    (store_id,) = made.tool_resources.file_search.vector_store_ids or ()
    other = await client.files.create(
        file=("b.md", b"The door of the tower is green."), purpose="assistants"
    )
    attached[0]["file_id"] = other.id
    await client.beta.threads.messages.create(
        thread_id,
        role="user",
        content="What colour is the door of the tower?",
        attachments=attached,
    )
    assert (await client.vector_stores.retrieve(store_id)).file_counts.total == 2
    run = await ran(client, thread_id, maker)
    assert "green" in text(await said(client, run))


async def test_a_vector_store_that_is_gone_fails_the_run(client: AsyncOpenAI) -> None:
    store = await client.vector_stores.create()
    resources: Any = {"file_search": {"vector_store_ids": [store.id]}}
    maker = await assistant(client, {"type": "file_search"}, tool_resources=resources)
    await client.vector_stores.delete(store.id)
    run = await ran(client, await thread(client, STORY), maker)
    assert run.status == "failed"
    assert run.last_error is not None
    assert run.last_error.message == f"Vector store with id [{store.id}] not found."
    status, *_ = await refused(client.beta.threads.create(tool_resources=resources))
    assert status == 404


async def test_a_run_is_paid_for_as_it_says(client: AsyncOpenAI, app: App) -> None:
    maker = await assistant(client, CODE)
    place = await thread(client, "Compute the sum of 19 and 23 with python.")
    runs = [await ran(client, place, maker)]
    stream = await client.beta.threads.runs.create(place, assistant_id=maker, stream=True)
    runs += [event.data async for event in stream if event.event == "thread.run.completed"]
    assert app.store is not None
    at = int(app.clock.wall())
    sums = await app.store.sums("usage.completions", at - 86_400, at + 60, 86_400)
    usages = [run.usage for run in runs if run.usage is not None]
    assert len(usages) == 2
    assert sum(one.amounts["input_tokens"] for one in sums) == sum(
        one.prompt_tokens for one in usages
    )
    assert sum(one.amounts["output_tokens"] for one in sums) == sum(
        one.completion_tokens for one in usages
    )
    # Both work in the hour of one session.
    sessions = await app.store.sums("usage.code_interpreter_sessions", at - 86_400, at + 60, 86_400)
    assert sum(one.amounts["num_sessions"] for one in sessions) == 1
