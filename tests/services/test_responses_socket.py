"""Responses over a WebSocket, under the vendor's own SDK and a plain client."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.responses import ResponsesServerEvent
from pydantic import TypeAdapter
from websockets.asyncio.client import ClientConnection, connect

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.services.responses.dialogue import DURATION_S
from tests.conftest import Serve
from tests.services.threaded import threaded_app

EVENT: TypeAdapter[Any] = TypeAdapter(ResponsesServerEvent)
ASK = "Tell me about lighthouse keepers."
LAST = ("response.completed", "response.incomplete", "error")


def dial(app: App) -> connect:
    return connect(
        app.url.replace("http", "ws", 1) + "/v1/responses",
        additional_headers={"Authorization": "Bearer sk-test"}, max_size=None, proxy=None,
    )  # fmt: skip


async def ask(socket: ClientConnection, **fields: Any) -> None:
    event = {"type": "response.create", "model": "gpt-4o", "input": ASK, **fields}
    await socket.send(json.dumps(event))


async def until_last(socket: ClientConnection) -> list[dict[str, Any]]:
    events = []
    while True:
        events.append(json.loads(await socket.recv()))
        if events[-1]["type"] in LAST:
            return events


async def test_the_sdk_is_told_what_a_stream_is_told(client: AsyncOpenAI) -> None:
    kinds, said = [], ""
    async with client.responses.connect() as connection:
        await connection.response.create(model="gpt-4o", input=ASK)
        async for event in connection:
            # What the SDK builds without looking is what it says that there is.
            EVENT.validate_python(event.to_dict())
            assert event.sequence_number == len(kinds)
            kinds.append(event.type)
            if event.type == "response.output_text.delta":
                said += event.delta
            elif event.type == "response.completed":
                break
    assert event.response.output_text == said
    streamed = await client.responses.create(model="gpt-4o", input=ASK, stream=True)
    names = [each.type async for each in streamed]
    assert list(dict.fromkeys(kinds)) == list(dict.fromkeys(names))
    kept = await client.responses.retrieve(event.response.id)
    assert kept.output_text == said


def test_the_synchronous_client_works_too() -> None:
    with threaded_app() as url, OpenAI(base_url=f"{url}/v1", api_key="k") as client:
        with client.responses.connect() as connection:
            connection.response.create(model="gpt-4o", input=ASK, max_output_tokens=16)
            events = []
            for event in connection:
                events.append(event)
                if event.type in LAST:
                    break
        assert event.type == "response.incomplete"
        assert event.response.usage is not None
        assert event.response.usage.output_tokens == 16


@pytest.mark.parametrize("store", [True, False])
async def test_a_connection_goes_on_from_its_last_response(app: App, store: bool) -> None:
    async with dial(app) as socket:
        await ask(socket, store=store)
        first = (await until_last(socket))[-1]["response"]
        await ask(socket, store=store, input="And then?", previous_response_id=first["id"])
        second = (await until_last(socket))[-1]["response"]
    assert second["previous_response_id"] == first["id"]
    read = first["usage"]["input_tokens"] + first["usage"]["output_tokens"]
    assert second["usage"]["input_tokens"] > read
    assert first["id"] != second["id"]
    async with dial(app) as socket:
        await ask(socket, input="And then?", previous_response_id=first["id"])
        last = (await until_last(socket))[-1]
    if store:
        assert last["type"] == "response.completed"
    else:
        assert (last["type"], last["status"]) == ("error", 400)
        assert last["error"]["code"] == "previous_response_not_found"


async def test_a_lane_is_answered_in_its_order_and_lanes_side_by_side(app: App) -> None:
    async with dial(app) as socket:
        for lane, text in (("a", "one"), ("b", "two"), ("a", "three")):
            await ask(socket, stream_id=lane, input=f"Say {text}.", metadata={"text": text})
        events = []
        while sum(event["type"] == "response.completed" for event in events) < 3:
            events.append(json.loads(await socket.recv()))
    told = [
        event["response"]["metadata"]["text"]
        for event in events
        if event["stream_id"] == "a" and "response" in event
    ]
    assert told == ["one"] * 3 + ["three"] * 3
    assert {event["stream_id"] for event in events} == {"a", "b"}


async def test_a_prompt_may_be_read_without_an_answer(app: App) -> None:
    async with dial(app) as socket:
        await ask(socket, generate=False)
        warm = (await until_last(socket))[-1]
        assert warm["type"] == "response.completed"
        assert (warm["response"]["output"], warm["response"]["usage"]["output_tokens"]) == ([], 0)
        await ask(socket, input="Go on.", previous_response_id=warm["response"]["id"])
        told = (await until_last(socket))[-1]["response"]
    assert told["usage"]["input_tokens"] > warm["response"]["usage"]["input_tokens"]


@pytest.mark.parametrize(
    ("event", "status", "param"),
    [
        ({"type": "response.create", "model": "gpt-4o"}, 400, None),
        ({"type": "response.create", "model": "nobody", "input": "x"}, 404, None),
        ({"type": "response.create", "model": "gpt-4o", "input": 3}, 400, "input"),
        ({"type": "response.create", "model": "gpt-4o", "input": "x", "bogus": 1}, 400, "bogus"),
        ({"type": "response.create", "model": "gpt-4o", "input": "x", "background": True}, 400,
         "background"),
        ({"type": "response.dance"}, 400, "type"),
        ({}, 400, "type"),
        ([], 400, None),
    ],
)  # fmt: skip
async def test_what_cannot_be_answered_is_an_error_and_the_connection_goes_on(
    app: App, event: Any, status: int, param: str | None
) -> None:
    async with dial(app) as socket:
        await socket.send(json.dumps(event))
        told = json.loads(await socket.recv())
        assert (told["type"], told["status"]) == ("error", status)
        if param is not None:
            assert told["error"]["param"] == param
        EVENT.validate_python(told)
        await ask(socket)
        assert (await until_last(socket))[-1]["type"] == "response.completed"


async def test_a_connection_lasts_an_hour(serve: Serve) -> None:
    clock = VirtualClock()
    app = await serve(clock=clock, mode="synth")
    async with dial(app) as socket:
        await clock.sleep_until(clock.now() + DURATION_S + 1)
        told = json.loads(await socket.recv())
        assert told["error"]["code"] == "websocket_connection_limit_reached"
        await socket.wait_closed()
        assert socket.close_code == 1000


async def test_without_an_upgrade_it_is_refused(app: App) -> None:
    async with httpx.AsyncClient() as plain:
        got = await plain.get(f"{app.url}/v1/responses", headers={"authorization": "Bearer k"})
    assert got.status_code == 400
    assert got.json()["error"]["code"] == "websocket_required"
