"""What the Responses room remembers: conversations, stored responses and their items."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.services.records import Records
from tests.conftest import Serve
from tests.doubles.fleets import toml
from tests.services.asking import MAIL, count
from tests.services.test_responses import ASK, joined, told

SEND_MAIL: Any = {"type": "function", **MAIL["function"]}


async def missing(client: AsyncOpenAI, response_id: str) -> str:
    with pytest.raises(openai.NotFoundError) as caught:
        await client.responses.retrieve(response_id)
    return caught.value.message


async def test_a_conversation_goes_on_from_the_previous_response(client: AsyncOpenAI) -> None:
    first = await client.responses.create(model="gpt-4o", input=ASK, instructions="Be kind.")
    second = await client.responses.create(
        model="gpt-4o", input="Why?", previous_response_id=first.id
    )
    assert second.previous_response_id == first.id
    assert second.instructions is None
    assert first.usage is not None
    assert second.usage is not None
    # The first without its instructions, its answer, and a message of 3 + 1 tokens and its own.
    instructions = 4 + count("Be kind.")
    turn = first.usage.output_tokens + 1 + 4 + count("Why?")
    expected = first.usage.input_tokens - instructions + turn + 3
    assert second.usage.input_tokens == expected
    spelled_out: list[Any] = [
        {"role": "user", "content": ASK},
        *[item.model_dump(exclude_none=True) for item in first.output],
        {"role": "user", "content": "Why?"},
    ]
    counted = await client.responses.input_tokens.count(model="gpt-4o", input=spelled_out)
    assert counted.input_tokens == second.usage.input_tokens
    counted = await client.responses.input_tokens.count(
        model="gpt-4o", input="Why?", previous_response_id=first.id
    )
    assert counted.input_tokens == second.usage.input_tokens


async def test_what_is_stored_can_be_had_again_until_it_is_deleted(client: AsyncOpenAI) -> None:
    made = await client.responses.create(model="gpt-4o", input=ASK)
    again = await client.responses.retrieve(made.id)
    assert again == made
    await client.responses.delete(made.id)
    assert f"Response with id '{made.id}' not found." in await missing(client, made.id)
    with pytest.raises(openai.BadRequestError) as caught:
        await client.responses.create(model="gpt-4o", input="?", previous_response_id=made.id)
    assert caught.value.code == "previous_response_not_found"
    unstored = await client.responses.create(model="gpt-4o", input=ASK, store=False)
    await missing(client, unstored.id)


async def test_an_equal_request_notices_that_its_history_is_gone(client: AsyncOpenAI) -> None:
    made = await client.responses.create(model="gpt-4o", input=ASK)
    body: dict[str, Any] = {"model": "gpt-4o", "input": "?", "previous_response_id": made.id}
    await client.responses.create(**body)
    await client.responses.delete(made.id)
    with pytest.raises(openai.BadRequestError):
        await client.responses.create(**body)


async def test_a_stream_can_be_read_again_from_where_it_broke_off(client: AsyncOpenAI) -> None:
    events, last = await told(client)
    again = await client.responses.retrieve(last.id, stream=True, starting_after=7)
    rest = [event async for event in again]
    assert rest == events[8:]
    whole = [event async for event in await client.responses.retrieve(last.id, stream=True)]
    assert joined(whole, "response.output_text.delta") == last.output_text
    assert await client.responses.retrieve(last.id) == last


async def test_input_items_are_listed_in_pages(client: AsyncOpenAI) -> None:
    items: list[Any] = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "x"},
        {"role": "user", "content": [{"type": "input_text", "text": "five"}]},
    ]
    made = await client.responses.create(model="gpt-4o", input=items)
    found = [item async for item in client.responses.input_items.list(made.id, limit=2)]
    assert [item.type for item in found] == [
        "message", "function_call_output", "function_call", "message", "message",
    ]  # fmt: skip
    assert len({item.id for item in found}) == 5
    page = await client.responses.input_items.list(made.id, order="asc", limit=2)
    assert (page.first_id, page.last_id, page.has_more) == (
        found[-1].id, found[-2].id, True,
    )  # fmt: skip
    rest = await client.responses.input_items.list(made.id, order="asc", after=page.last_id)
    assert [item.id for item in rest.data] == [item.id for item in found[2::-1]]
    assert not rest.has_more
    for query in ({"limit": 0}, {"limit": 101}, {"order": "up"}):
        with pytest.raises(openai.BadRequestError):
            await client.responses.input_items.list(made.id, **query)  # type: ignore[arg-type]  # wrong on purpose


async def test_an_item_can_be_referred_to(client: AsyncOpenAI) -> None:
    made = await client.responses.create(model="gpt-4o", input=ASK)
    reference: Any = [
        {"type": "item_reference", "id": made.output[0].id},
        {"role": "user", "content": "Go on."},
    ]
    counted = await client.responses.input_tokens.count(model="gpt-4o", input=reference)
    assert counted.input_tokens > count(made.output_text)
    reference[0]["id"] = "msg_unknown"
    with pytest.raises(openai.NotFoundError):
        await client.responses.create(model="gpt-4o", input=reference)


async def test_every_call_needs_its_output_and_every_output_its_call(client: AsyncOpenAI) -> None:
    asked = await client.responses.create(
        model="gpt-4o", input="Send mail to Ada", tools=[SEND_MAIL]
    )
    (call,) = asked.output
    assert call.type == "function_call"
    for items, said in (
        ([{"role": "user", "content": "?"}], f"No tool output found for function call {call.call_id}."),
        ([{"type": "function_call_output", "call_id": "call_x", "output": ""}],
         "No tool call found for function call output with call_id call_x."),
    ):  # fmt: skip
        with pytest.raises(openai.BadRequestError) as caught:
            await client.responses.create(
                model="gpt-4o", input=items, previous_response_id=asked.id  # type: ignore[arg-type]  # a list of TypedDicts
            )  # fmt: skip
        assert said in caught.value.message
        assert caught.value.param == "input"


async def test_a_conversation_that_is_too_long_is_refused_or_truncated(
    client: AsyncOpenAI,
) -> None:
    long: list[Any] = [{"role": "user", "content": "tea " * 70_000}] * 2
    items = [*long, {"role": "user", "content": "Go on."}]
    with pytest.raises(openai.BadRequestError) as caught:
        await client.responses.create(model="gpt-4o", input=items)
    assert caught.value.code == "context_length_exceeded"
    answer = await client.responses.create(model="gpt-4o", input=items, truncation="auto")
    assert answer.usage is not None
    assert 70_000 < answer.usage.input_tokens < 70_100


# --- in the background --------------------------------------------------------------------------


@pytest.fixture
async def later(serve: Serve) -> tuple[App, VirtualClock]:
    clock = VirtualClock(autojump=False)
    return await serve(clock, mode="synth"), clock


async def test_a_background_response_is_queued_then_works_then_is_done(
    later: tuple[App, VirtualClock],
) -> None:
    app, clock = later
    async with AsyncOpenAI(
        base_url=app.url + "/v1", api_key="k", max_retries=0, _strict_response_validation=True
    ) as client:
        made = await client.responses.create(
            model="gpt-4o", input="Write 900 words about tea.", background=True,
            text={"verbosity": "high"},
        )  # fmt: skip
        assert (made.status, made.output, made.usage) == ("queued", [], None)
        seen = ["queued"]
        for _ in range(60):
            clock.advance(1.0)
            made = await client.responses.retrieve(made.id)
            if made.status != seen[-1]:
                seen.append(str(made.status))
        assert seen == ["queued", "in_progress", "completed"]
        assert made.usage is not None
        assert made.usage.output_tokens == count(made.output_text)
        assert made.completed_at is not None
        assert made.completed_at > made.created_at
        assert await client.responses.cancel(made.id) == made


async def test_a_background_response_can_be_cancelled_twice(
    later: tuple[App, VirtualClock],
) -> None:
    app, clock = later
    async with AsyncOpenAI(base_url=app.url + "/v1", api_key="k", max_retries=0) as client:
        made = await client.responses.create(model="gpt-4o", input=ASK, background=True)
        for _ in range(2):
            cancelled = await client.responses.cancel(made.id)
            assert (cancelled.status, cancelled.output) == ("cancelled", [])
        clock.advance(100.0)
        assert (await client.responses.retrieve(made.id)).status == "cancelled"
        told_of = [event async for event in await client.responses.retrieve(made.id, stream=True)]
        assert [event.type for event in told_of][2:] == [
            "response.in_progress", "response.incomplete",
        ]  # fmt: skip
        foreground = await client.responses.create(model="gpt-4o", input=ASK)
        with pytest.raises(openai.BadRequestError, match="Cannot cancel a synchronous response"):
            await client.responses.cancel(foreground.id)


async def test_a_background_response_can_be_streamed(client: AsyncOpenAI) -> None:
    events, last = await told(client, background=True)
    assert [event.type for event in events[:3]] == [
        "response.created", "response.queued", "response.in_progress",
    ]  # fmt: skip
    assert last.status == "completed"
    with pytest.raises(openai.BadRequestError):
        await client.responses.create(model="gpt-4o", input=ASK, background=True, store=False)


# --- compaction ---------------------------------------------------------------------------------


async def test_a_conversation_is_compacted_and_goes_on(app: App) -> None:
    async with AsyncOpenAI(base_url=app.url + "/v1", api_key="k", max_retries=0) as client:
        first = await client.responses.create(model="gpt-4o", input=ASK)
        short = await client.responses.compact(model="gpt-4o", previous_response_id=first.id)
        assert short.object == "response.compaction"
        assert [item.type for item in short.output] == ["message", "compaction"]
        assert short.usage.input_tokens > count(ASK)
        items: Any = [item.model_dump(exclude_none=True, warnings=False) for item in short.output]
        items.append({"role": "user", "content": "Why?"})
        answer = await client.responses.create(model="gpt-4o", input=items)
        assert answer.status == "completed"


# --- the fleet ----------------------------------------------------------------------------------


async def test_the_second_turn_finds_the_first_in_the_cache(serve: Serve, tmp_path: Path) -> None:
    """The prompt and the answer of the first turn, whole blocks of them."""
    app = await serve(VirtualClock(), mode="synth", profile=toml(tmp_path))
    headers = {"authorization": "Bearer k"}
    async with httpx.AsyncClient(base_url=app.url + "/v1", headers=headers, timeout=None) as http:
        body: dict[str, Any] = {"model": "llama-3.1-8b", "input": "Tell me more. " * 60}
        first = (await http.post("/responses", json=body)).json()
        assert first["usage"]["input_tokens_details"]["cached_tokens"] == 0
        follow = {**body, "input": "Why?", "previous_response_id": first["id"]}
        second = (await http.post("/responses", json=follow)).json()
        total = first["usage"]["total_tokens"]
        cached = second["usage"]["input_tokens_details"]["cached_tokens"]
        assert cached == (total - 1) // 16 * 16
        kept = (await http.get(f"/responses/{second['id']}")).json()
        assert kept == second
        assert second["completed_at"] >= second["created_at"]


async def test_a_stream_leaves_at_the_steps_of_the_engine(serve: Serve, tmp_path: Path) -> None:
    clock = VirtualClock()
    app = await serve(clock, mode="synth", profile=toml(tmp_path))
    body = {"model": "llama-3.1-8b", "input": ASK, "stream": True, "max_output_tokens": 40}
    instants: list[float] = []
    text = ""
    async with (
        httpx.AsyncClient(base_url=app.url + "/v1", timeout=None) as http,
        http.stream("POST", "/responses", json=body, headers={"authorization": "Bearer k"}) as got,
    ):
        async for piece in got.aiter_raw():
            instants.append(clock.now())
            text += piece.decode()
    deltas = text.count("event: response.output_text.delta")
    assert deltas > 20
    assert len(set(instants)) == deltas
    assert instants == sorted(instants)


# --- the records --------------------------------------------------------------------------------


def test_the_longest_unused_records_are_forgotten_first() -> None:
    records = Records(bytes_max=10, count_max=3)
    for name in "abc":
        records.keep("x", name, name.upper(), 3)
    assert records.find("x", "a") == "A"
    records.keep("x", "d", "D", 3)
    assert [records.find("x", name) for name in "abcd"] == ["A", None, "C", "D"]
    records.keep("y", "d", "other", 9)
    assert records.find("x", "d") is None
    assert records.find("y", "d") == "other"
    records.forget("y", "d")
    records.forget("y", "d")
    assert records.find("y", "d") is None
