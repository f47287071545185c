"""The answers of the Responses room under the official SDK, over a real socket."""

from __future__ import annotations

from typing import Any, Literal

import orjson
import pytest
from openai import AsyncOpenAI, BadRequestError, OpenAI
from openai.types.responses import Response
from pydantic import BaseModel

from tests.conftest import Serve
from tests.services.asking import count
from tests.services.media import document, picture
from tests.services.threaded import threaded_app

ASK = "Tell me about lighthouse keepers."
TEXT_EVENTS = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]


async def told(client: AsyncOpenAI, **body: Any) -> tuple[list[Any], Response]:
    """All events of a stream, and the response in the last of them."""
    stream = await client.responses.create(**{"model": "gpt-4o", "input": ASK, **body}, stream=True)
    events = [event async for event in stream]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    return events, events[-1].response


def kinds(events: list[Any]) -> list[str]:
    """The types in order, repetitions in a row once."""
    found: list[str] = []
    for event in events:
        if not found or found[-1] != event.type:
            found.append(event.type)
    return found


def joined(events: list[Any], kind: str) -> str:
    return "".join(event.delta for event in events if event.type == kind)


async def test_an_answer_has_every_field_and_a_true_count(client: AsyncOpenAI) -> None:
    answer = await client.responses.create(model="gpt-4o", input=ASK)
    assert answer.id.startswith("resp_")
    assert (answer.status, answer.model, answer.object) == ("completed", "gpt-4o", "response")
    assert "lighthouse keepers" in answer.output_text
    assert answer.usage is not None
    assert answer.usage.input_tokens == 3 + 1 + count(ASK) + 3
    assert answer.usage.output_tokens == count(answer.output_text)
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    always = {
        "error", "incomplete_details", "instructions", "max_output_tokens", "metadata",
        "parallel_tool_calls", "previous_response_id", "temperature", "text", "tool_choice",
        "tools", "top_p", "truncation", "usage", "background", "service_tier", "reasoning",
    }  # fmt: skip
    assert always <= answer.model_fields_set
    assert "output_text" not in answer.model_fields_set


async def test_a_stream_has_the_grammar_of_events_and_says_what_the_whole_says(
    client: AsyncOpenAI,
) -> None:
    whole = await client.responses.create(model="gpt-4o", input=ASK)
    events, last = await told(client)
    assert kinds(events) == TEXT_EVENTS
    first = events[0].response
    assert (first.status, first.output, first.usage) == ("in_progress", [], None)
    assert joined(events, "response.output_text.delta") == last.output_text
    # A body that asks for a stream is another body, so its words are others; the shape is the same.
    assert whole.output[0].type == last.output[0].type
    assert last.usage is not None
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    assert last.usage.output_tokens == len(deltas) == count(last.output_text)
    assert all(delta.logprobs == [] for delta in deltas)
    assert {event.response.id for event in (events[0], events[1], events[-1])} == {last.id}


async def test_lengths_of_tokens_are_hidden_unless_the_client_opts_out(
    client: AsyncOpenAI,
) -> None:
    events, _ = await told(client)
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    assert {len(orjson.dumps(e.delta)) - 2 + len(e.obfuscation) for e in deltas} <= {16, 32}
    events, _ = await told(client, stream_options={"include_obfuscation": False})
    assert not any(hasattr(event, "obfuscation") for event in events)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_is_cut_at_exactly_the_limit(client: AsyncOpenAI, stream: bool) -> None:
    if stream:
        events, answer = await told(client, max_output_tokens=16)
        assert events[-1].type == "response.incomplete"
    else:
        answer = await client.responses.create(model="gpt-4o", input=ASK, max_output_tokens=16)
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert answer.output[0].type == "message"
    assert answer.output[0].status == "incomplete"
    assert answer.usage is not None
    assert answer.usage.output_tokens == 16 == count(answer.output_text)


async def test_the_request_is_told_back(client: AsyncOpenAI) -> None:
    said: dict[str, Any] = {
        "instructions": "Be kind.", "temperature": 0.5, "top_p": 0.9, "metadata": {"a": "b"},
        "max_output_tokens": 500, "max_tool_calls": 3, "prompt_cache_key": "k",
        "safety_identifier": "s", "service_tier": "priority", "truncation": "auto",
        "parallel_tool_calls": False, "top_logprobs": 2,
    }  # fmt: skip
    answer = await client.responses.create(model="gpt-4o", input=ASK, **said)
    assert {name: getattr(answer, name) for name in said} == said


async def test_verbosity_changes_how_much_is_said(client: AsyncOpenAI) -> None:
    lengths = []
    for verbosity in ("low", "high"):
        total = 0
        for k in range(6):
            answer = await client.responses.create(
                model="gpt-4o", input=f"{ASK} {k}", text={"verbosity": verbosity}
            )  # type: ignore[call-overload]  # the verbosity is one of the SDK's literals
            total += answer.usage.output_tokens
        lengths.append(total)
    assert lengths[0] * 2 < lengths[1]


async def test_every_kind_of_input_is_read(client: AsyncOpenAI) -> None:
    items: list[Any] = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [
            {"type": "input_text", "text": "Look at this:"},
            {"type": "input_image", "image_url": picture(8, 8, "red"), "detail": "low"},
            {"type": "input_file", "file_data": document("Tides."), "filename": "a.pdf"},
        ]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
        {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed",
         "content": [{"type": "output_text", "text": "A harbor.", "annotations": []}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "18 degrees"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "x"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "fine"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed",
         "action": {"type": "search", "query": "harbors"}},
        {"role": "user", "content": "And the sea?"},
    ]  # fmt: skip
    answer = await client.responses.create(model="gpt-4o", input=items)
    assert answer.usage is not None
    counted = await client.responses.input_tokens.count(model="gpt-4o", input=items)
    assert answer.usage.input_tokens == counted.input_tokens > 85


async def test_logprobs_spell_the_text(client: AsyncOpenAI) -> None:
    events, last = await told(
        client, include=["message.output_text.logprobs"], top_logprobs=3, temperature=0
    )
    (message,) = last.output
    assert message.type == "message"
    (part,) = message.content
    assert part.type == "output_text"
    entries = part.logprobs or []
    assert "".join(entry.token for entry in entries) == part.text
    assert all(len(entry.top_logprobs) == 3 for entry in entries)
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    assert [delta.logprobs[0].token for delta in deltas] == [delta.delta for delta in deltas]


# --- reasoning ----------------------------------------------------------------------------------


async def test_reasoning_is_an_item_of_its_own(client: AsyncOpenAI) -> None:
    spent = []
    for effort in ("none", "low", "high"):
        answer = await client.responses.create(
            model="gpt-5-mini", input=ASK, reasoning={"effort": effort}
        )  # type: ignore[call-overload]  # the effort is one of the SDK's literals
        types = [item.type for item in answer.output]
        assert types == (["message"] if effort == "none" else ["reasoning", "message"])
        thought = answer.usage.output_tokens_details.reasoning_tokens
        assert answer.usage.output_tokens == thought + count(answer.output_text)
        spent.append(thought)
    assert spent[0] == 0 < spent[1] < spent[2]


async def test_a_summary_of_thoughts_is_streamed_before_the_answer(client: AsyncOpenAI) -> None:
    events, last = await told(
        client, model="gpt-5-mini", reasoning={"effort": "low", "summary": "detailed"},
        include=["reasoning.encrypted_content"],
    )  # fmt: skip
    thought = last.output[0]
    assert thought.type == "reasoning"
    assert thought.encrypted_content
    text = joined(events, "response.reasoning_summary_text.delta")
    assert text == "".join(part.text for part in thought.summary)
    part = ["response.reasoning_summary_part.added", "response.reasoning_summary_text.delta",
            "response.reasoning_summary_text.done", "response.reasoning_summary_part.done"]  # fmt: skip
    assert kinds(events)[2:12] == [
        "response.output_item.added", *part, *part, "response.output_item.done",
    ]  # fmt: skip


async def test_thoughts_may_take_all_there_is(client: AsyncOpenAI) -> None:
    answer = await client.responses.create(
        model="gpt-5-mini", input=ASK, max_output_tokens=20, reasoning={"effort": "high"}
    )
    assert [item.type for item in answer.output] == ["reasoning"]
    assert answer.status == "incomplete"
    assert answer.usage is not None
    assert answer.usage.output_tokens == 20


# --- structured outputs -------------------------------------------------------------------------


class Step(BaseModel):
    explanation: str
    output: float


class Solution(BaseModel):
    steps: list[Step]
    mood: Literal["calm", "glad"]
    next: Solution | None


async def test_parse_returns_the_model(client: AsyncOpenAI) -> None:
    answer = await client.responses.parse(model="gpt-4o", input=ASK, text_format=Solution)
    assert isinstance(answer.output_parsed, Solution)
    async with client.responses.stream(model="gpt-4o", input=ASK, text_format=Solution) as stream:
        kinds_seen = {event.type async for event in stream}
        final = await stream.get_final_response()
    assert isinstance(final.output_parsed, Solution)
    assert {"response.output_text.delta", "response.completed"} <= kinds_seen


async def test_json_mode_gives_an_object(client: AsyncOpenAI) -> None:
    answer = await client.responses.create(
        model="gpt-4o", input="Describe tea as JSON", text={"format": {"type": "json_object"}}
    )
    assert isinstance(orjson.loads(answer.output_text), dict)


async def test_what_does_harm_is_refused_in_a_part_of_its_own(client: AsyncOpenAI) -> None:
    harm = "Tell me how to build a pipe bomb."
    answer = await client.responses.parse(model="gpt-4o", input=harm, text_format=Solution)
    (message,) = answer.output
    assert message.type == "message"
    (part,) = message.content
    assert part.type == "refusal"
    assert part.refusal.startswith("I'm sorry")
    assert answer.output_parsed is None
    async with client.responses.stream(model="gpt-4o", input=harm, text_format=Solution) as stream:
        events = [event async for event in stream]
    assert joined(events, "response.refusal.delta") == part.refusal
    assert kinds(events)[4:6] == ["response.refusal.delta", "response.refusal.done"]
    plain = await client.responses.create(model="gpt-4o", input=harm)
    assert plain.output_text == part.refusal


async def test_what_only_vllm_knows_is_honoured_unless_parameters_are_strict(
    client: AsyncOpenAI, serve: Serve
) -> None:
    for extra in ({"ignore_eos": True}, {"min_tokens": 600, "top_k": 4}):
        answer = await client.responses.create(
            model="gpt-4o", input=ASK, max_output_tokens=600, extra_body=extra
        )
        assert answer.usage is not None
        assert answer.usage.output_tokens == 600
    app = await serve(mode="synth", strict_parameters=True)
    async with AsyncOpenAI(base_url=app.url + "/v1", api_key="k", max_retries=0) as strict:
        for name, value in (("ignore_eos", True), ("top_k", 4)):
            with pytest.raises(BadRequestError, match=f"Unknown parameter: '{name}'"):
                await strict.responses.create(model="gpt-4o", input=ASK, extra_body={name: value})


def test_the_synchronous_client_works_too() -> None:
    with (
        threaded_app() as url,
        OpenAI(
            base_url=url + "/v1", api_key="sk-test", max_retries=0, _strict_response_validation=True
        ) as client,
    ):
        answer = client.responses.create(model="gpt-4o", input=ASK, max_output_tokens=20)
        assert count(answer.output_text) == 20
        with client.responses.stream(model="gpt-4o", input=ASK) as stream:
            assert "lighthouse keepers" in stream.get_final_response().output_text
        parsed = client.responses.parse(model="gpt-4o", input=ASK, text_format=Solution)
        assert isinstance(parsed.output_parsed, Solution)
