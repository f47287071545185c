"""Realtime sessions through sockets, under the vendor's own SDK and a plain WebSocket client."""

from __future__ import annotations

import asyncio
import json
import warnings
from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncAzureOpenAI, AsyncOpenAI, OpenAI
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock
from tests.conftest import Ended, Serve
from tests.services.realtime_driving import WEATHER, silence, tone
from tests.services.threaded import threaded_app

KEY = {"Authorization": "Bearer sk-test"}
EVENT: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
TEXT: Any = {"type": "realtime", "output_modalities": ["text"]}
OWLS: Any = {
    "type": "message",
    "role": "user",
    "content": [{"type": "input_text", "text": "Tell me about owls."}],
}


def dial(app: App, target: str = "/v1/realtime?model=gpt-realtime", **options: Any) -> connect:
    options.setdefault("additional_headers", KEY)
    return connect(app.url.replace("http", "ws", 1) + target, max_size=None, proxy=None, **options)


async def send(socket: ClientConnection, kind: str, **fields: Any) -> None:
    await socket.send(json.dumps({"type": kind, **fields}))


async def until(socket: ClientConnection, *kinds: str) -> list[dict[str, Any]]:
    events = []
    while True:
        events.append(json.loads(await socket.recv()))
        if events[-1]["type"] in kinds:
            return events


# --- the SDK


async def test_the_sdk_has_a_written_conversation(client: AsyncOpenAI) -> None:
    async with client.realtime.connect(model="gpt-realtime") as connection:
        assert (await connection.recv()).type == "session.created"
        await connection.session.update(session=TEXT)
        await connection.conversation.item.create(item=OWLS)
        await connection.response.create()
        said = ""
        async for event in connection:
            # What the SDK builds without looking is what it says that there is.
            EVENT.validate_python(event.to_dict())
            if event.type == "response.output_text.delta":
                said += event.delta
            elif event.type == "response.output_text.done":
                assert event.text == said
            elif event.type == "response.done":
                break
        assert event.response.status == "completed"
        usage = event.response.usage
        assert usage is not None
        assert usage.output_tokens


async def test_the_sdk_speaks_and_calls(client: AsyncOpenAI) -> None:
    async with client.realtime.connect(model="gpt-realtime-mini") as connection:
        session: Any = {"type": "realtime", "tools": [WEATHER], "output_modalities": ["audio"]}
        await connection.session.update(session=session)
        sound = b64encode(silence(200) + tone(600) + silence(700)).decode()
        await connection.input_audio_buffer.append(audio=sound)
        heard = []
        async for event in connection:
            EVENT.validate_python(event.to_dict())
            heard.append(event.type)
            if event.type == "response.done":
                break
        assert "input_audio_buffer.speech_started" in heard
        assert "response.output_audio.delta" in heard
        await connection.response.create(response={"tool_choice": "required"})
        async for event in connection:
            EVENT.validate_python(event.to_dict())
            if event.type == "response.function_call_arguments.done":
                assert event.name == "get_weather"
                assert "city" in json.loads(event.arguments)
            if event.type == "response.done":
                break


def test_the_sdk_that_blocks() -> None:
    with threaded_app() as url, OpenAI(base_url=url + "/v1", api_key="sk-test") as client:
        with client.realtime.connect(model="gpt-realtime") as connection:
            connection.session.update(session=TEXT)
            connection.conversation.item.create(item=OWLS)
            connection.response.create()
            told = []
            for event in connection:
                told.append(event.type)
                if event.type == "response.done":
                    break
        assert "response.output_text.delta" in told


async def test_the_sdk_for_the_protocol_before(app: App) -> None:
    # Left to itself this one knows TLS only.
    websockets = app.url.replace("http", "ws", 1) + "/v1"
    client = AsyncOpenAI(
        base_url=app.url + "/v1", websocket_base_url=websockets, api_key="sk-test", max_retries=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        manager = client.beta.realtime.connect(model="gpt-4o-realtime-preview")
    async with manager as connection:
        await connection.session.update(session={"modalities": ["text"]})
        await connection.conversation.item.create(item=OWLS)
        await connection.response.create()
        told = []
        async for event in connection:
            told.append(event.type)
            if event.type == "response.done":
                break
        assert told[:4] == [
            "session.created", "conversation.created", "session.updated",
            "conversation.item.created",
        ]  # fmt: skip
        assert "response.text.delta" in told
        assert event.response.modalities == ["text"]


async def test_the_sdk_for_azure(app: App) -> None:
    sockets = app.url.replace("http", "ws", 1) + "/openai"
    client = AsyncAzureOpenAI(
        azure_endpoint=app.url, api_key="key", api_version="2025-04-01-preview",
        websocket_base_url=sockets,
    )  # fmt: skip
    async with client, client.realtime.connect(model="gpt-4o-realtime-preview") as connection:
        assert (await connection.recv()).type == "session.created"
        assert (await connection.recv()).type == "conversation.created"
    target = "/openai/v1/realtime?model=gpt-realtime"
    async with dial(app, target, additional_headers={"api-key": "key"}) as socket:
        opened = (await until(socket, "session.created"))[0]["session"]
        assert opened["audio"]["input"]["format"]["type"] == "audio/pcm"
    target = "/openai/realtime?api-version=2024-10-01-preview&deployment=gpt-4o-realtime-preview"
    async with dial(app, f"{target}&api-key=key", additional_headers={}) as socket:
        events = await until(socket, "conversation.created")
        assert events[0]["session"]["input_audio_format"] == "pcm16"


# --- who may come in


@pytest.mark.parametrize(
    ("target", "headers", "status", "code"),
    [
        ("?model=gpt-realtime", {}, 401, None),
        ("?model=gpt-realtime", {"Authorization": "Bearer sk-invalid"}, 401, "invalid_api_key"),
        ("?model=gpt-unheard-of", KEY, 404, "model_not_found"),
        ("?model=gpt-4o", KEY, 404, None),
        ("", KEY, 400, "missing_required_parameter"),
        ("?call_id=rtc_1", KEY, 404, "webrtc_unserved"),
        ("?model=gpt-realtime", {**KEY, "x-fakeai-fault": "429"}, 429, "rate_limit_exceeded"),
    ],
)
async def test_who_is_refused_is_told_over_http(
    app: App, target: str, headers: dict[str, str], status: int, code: str | None
) -> None:
    with pytest.raises(InvalidStatus) as caught:
        async with dial(app, f"/v1/realtime{target}", additional_headers=headers):
            pass
    response = caught.value.response
    assert response.status_code == status
    assert json.loads(response.body or b"")["error"]["code"] == code


async def test_without_a_handshake_there_is_no_session(app: App) -> None:
    async with httpx.AsyncClient(base_url=app.url, headers=KEY) as http:
        answer = await http.get("/v1/realtime?model=gpt-realtime")
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "websocket_required"
        answer = await http.post("/v1/realtime/calls", content=b"v=0")
        assert answer.json()["error"]["code"] == "webrtc_unserved"
        assert "/v1/realtime?model=" in answer.json()["error"]["message"]


async def test_what_is_in_no_cassette_is_answered_by_the_room(serve: Serve) -> None:
    cassette = (str(Path(__file__).parents[2] / "cassettes/quickstart.jsonl"),)
    app = await serve(mode="hybrid", cassette=cassette)
    async with dial(app) as socket:
        await send(socket, "session.update", session=TEXT)
        await send(socket, "response.create")
        assert (await until(socket, "response.done"))[-1]["response"]["status"] == "completed"
    app = await serve(mode="replay", cassette=cassette)
    with pytest.raises(InvalidStatus) as caught:
        async with dial(app):
            pass
    assert caught.value.response.status_code == 404


async def test_a_page_gives_its_key_as_a_subprotocol(app: App) -> None:
    offered = [Subprotocol("realtime"), Subprotocol("openai-insecure-api-key.sk-test")]
    async with dial(app, subprotocols=offered, additional_headers={}) as socket:
        assert socket.subprotocol == "realtime"
        await until(socket, "session.created")


async def test_a_client_secret_opens_the_session_that_it_was_made_for(
    serve: Serve,
) -> None:
    clock = VirtualClock(autojump=False)
    app = await serve(clock, mode="synth")
    session: Any = {"type": "realtime", "model": "gpt-realtime-mini", "instructions": "Be brief."}
    async with AsyncOpenAI(
        base_url=app.url + "/v1", api_key="sk-test", max_retries=0, _strict_response_validation=True
    ) as client:
        made = await client.realtime.client_secrets.create(
            session=session, expires_after={"anchor": "created_at", "seconds": 60}
        )
    assert made.value.startswith("ek_")
    assert made.expires_at == int(clock.wall()) + 60
    headers = {"Authorization": f"Bearer {made.value}"}
    async with dial(app, "/v1/realtime", additional_headers=headers) as socket:
        opened = (await until(socket, "session.created"))[0]["session"]
    assert (opened["model"], opened["instructions"]) == ("gpt-realtime-mini", "Be brief.")
    clock.advance(61)
    with pytest.raises(InvalidStatus) as caught:
        async with dial(app, "/v1/realtime", additional_headers=headers):
            pass
    assert caught.value.response.status_code == 401


async def test_secrets_of_the_protocol_before(client: AsyncOpenAI, app: App) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        made = await client.beta.realtime.sessions.create(
            model="gpt-4o-realtime-preview", modalities=["text"]
        )
        heard = await client.beta.realtime.transcription_sessions.create(
            input_audio_transcription={"model": "whisper-1"}
        )
    assert made.modalities == ["text"]
    assert heard.input_audio_transcription is not None
    headers = {"Authorization": f"Bearer {made.client_secret.value}"}
    async with dial(app, additional_headers=headers) as socket:
        await until(socket, "conversation.created")
    headers = {"Authorization": f"Bearer {heard.client_secret.value}"}
    async with dial(app, "/v1/realtime?intent=transcription", additional_headers=headers) as socket:
        await until(socket, "transcription_session.created")


async def test_a_bad_session_is_refused_over_http(client: AsyncOpenAI) -> None:
    session: Any = {"type": "realtime", "output_modalities": ["smell"]}
    with pytest.raises(openai.BadRequestError) as caught:
        await client.realtime.client_secrets.create(session=session)
    assert caught.value.param == "session.output_modalities[0]"


# --- time, limits, ends


async def test_an_answer_comes_at_the_pace_of_the_profile(serve: Serve) -> None:
    for profile, worker in (("openai", ""), ("quick", "any")):
        ended = Ended()
        clock = VirtualClock()
        app = await serve(clock, ended, mode="synth", profile=profile)
        async with dial(app) as socket:
            await send(socket, "session.update", session=TEXT)
            await send(socket, "conversation.item.create", item=OWLS)
            await send(socket, "response.create")
            told = await until(socket, "response.done")
        made = told[-1]["response"]["usage"]["output_tokens"]
        spent = [one for one in ended.exchanges if one.request.method == "WS"]
        assert len(spent) == 1
        exchange = spent[0]
        assert exchange.first_byte_at is not None
        assert exchange.finished_at is not None
        assert exchange.arrived_at < exchange.first_byte_at
        per_token_s = (exchange.finished_at - exchange.first_byte_at) / made
        assert 0.0005 < per_token_s < 0.2, (profile, per_token_s)
        assert bool(exchange.admission.worker) is bool(worker)
        assert exchange.reply is not None
        assert exchange.reply.workload is not None
        assert exchange.reply.workload.output_tokens == made


async def test_a_cancelled_answer_gives_its_place_back(serve: Serve) -> None:
    app = await serve(VirtualClock(), mode="synth", profile="quick")
    async with dial(app) as socket:
        await send(socket, "session.update", session=TEXT)
        await send(socket, "conversation.item.create", item=OWLS)
        await send(socket, "response.create")
        await until(socket, "response.output_text.delta")
        await send(socket, "response.cancel")
        events = await until(socket, "response.done")
        assert events[-1]["response"]["status"] == "cancelled"
        assert app.fleet is not None
        assert not any(worker.engine.running for worker in app.fleet.cluster.workers)
        await send(socket, "response.create")
        events = await until(socket, "response.done")
        assert events[-1]["response"]["status"] == "completed"


async def test_a_response_beyond_the_limit_fails_and_the_session_goes_on(serve: Serve) -> None:
    app = await serve(VirtualClock(autojump=False), mode="synth", limits=("openai:free",))
    async with dial(app) as socket:
        await send(socket, "session.update", session=TEXT)
        await send(socket, "conversation.item.create", item=OWLS)
        failed: dict[str, Any] = {}
        for _ in range(20):
            await send(socket, "response.create")
            events = await until(socket, "response.done")
            response = events[-1]["response"]
            if response["status"] == "failed":
                failed = response
                break
            rates = [event for event in events if event["type"] == "rate_limits.updated"]
            assert rates[0]["rate_limits"][0]["name"] == "requests"
            assert rates[0]["rate_limits"][0]["remaining"] < rates[0]["rate_limits"][0]["limit"]
        assert failed["status_details"]["error"]["code"] == "rate_limit_exceeded"
        await send(socket, "session.update", session=TEXT)
        await until(socket, "session.updated")
    with pytest.raises(InvalidStatus) as caught:
        async with dial(app):
            pass
    assert caught.value.response.status_code == 429


async def test_sessions_and_responses_are_in_the_journal(serve: Serve) -> None:
    ended = Ended()
    app = await serve(observer=ended, mode="synth")
    async with dial(app) as socket:
        await send(socket, "session.update", session=TEXT)
        await send(socket, "response.create")
        await until(socket, "response.done")
    async with httpx.AsyncClient(base_url=app.url) as http:
        while len(ended.exchanges) < 2:
            await http.get("/_fakeai/v1/journal")
        rows = (await http.get("/_fakeai/v1/journal")).json()["data"]
    session, response = rows
    assert (session["method"], session["status"], session["end"]) == ("GET", 101, "ok")
    assert (response["method"], response["model"], response["end"]) == ("WS", "gpt-realtime", "ok")
    assert response["id"].startswith(session["id"])
    assert response["output_tokens"] > 0


async def test_a_client_that_vanishes_leaves_nothing_behind(serve: Serve) -> None:
    ended = Ended()
    app = await serve(VirtualClock(autojump=False), ended, mode="synth", profile="quick")
    socket = await dial(app)
    await send(socket, "response.create")
    await until(socket, "response.created")
    socket.transport.abort()
    async with httpx.AsyncClient(base_url=app.url) as http:
        while len(ended.exchanges) < 2:
            await http.get("/_fakeai/v1/journal")
    assert {exchange.end for exchange in ended.exchanges} == {"client_gone"}
    assert app.fleet is not None
    assert not any(worker.engine.running for worker in app.fleet.cluster.workers)


async def test_a_message_that_is_too_large_ends_the_session(app: App) -> None:
    async with dial(app) as socket:
        await until(socket, "session.created")
        with suppress(ConnectionClosed):  # which may come while it is sent
            await socket.send("x" * (22 << 20))
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 1009


async def test_a_large_sound_is_taken_whole(app: App) -> None:
    async with dial(app) as socket:
        update: Any = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
        await send(socket, "session.update", session=update)
        sound = tone(100_000)
        await send(socket, "input_audio_buffer.append", audio=b64encode(sound).decode())
        await send(socket, "input_audio_buffer.commit")
        events = await until(socket, "input_audio_buffer.committed", "error")
        await send(socket, "conversation.item.retrieve", item_id=events[-1]["item_id"])
        kept = (await until(socket, "conversation.item.retrieved"))[-1]
        assert kept["item"]["content"][0]["audio"] == b64encode(sound).decode()


async def test_a_session_that_is_over_is_closed(serve: Serve) -> None:
    clock = VirtualClock(autojump=False)
    app = await serve(clock, mode="synth")
    async with dial(app) as socket:
        await until(socket, "session.created")
        clock.advance(3601)
        events = await until(socket, "error")
        assert events[-1]["error"]["code"] == "session_expired"
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 1001


async def test_who_does_not_read_is_not_listened_to(app: App) -> None:
    """What a client asks for and never reads does not pile up here."""
    async with dial(app, max_queue=1) as socket:
        await until(socket, "session.created")
        item: Any = {**OWLS, "id": "big"}
        item["content"] = [{"type": "input_text", "text": "x" * 200_000}]
        await send(socket, "conversation.item.create", item=item)

        async def pour() -> None:
            for _ in range(400):
                await send(socket, "conversation.item.retrieve", item_id="big")

        pouring = asyncio.create_task(pour())
        async with httpx.AsyncClient(base_url=app.url) as http:
            for _ in range(200):
                await http.get("/_fakeai/v1/journal")
        held = [
            connection.transport.get_write_buffer_size()
            for connection in app._server.connections
            if connection.transport is not None
        ]
        assert max(held) < 4 << 20, "80 MB were asked for"
        read = 0
        while read < 400:
            events = await until(socket, "conversation.item.retrieved")
            read += events[-1]["type"] == "conversation.item.retrieved"
        await pouring
