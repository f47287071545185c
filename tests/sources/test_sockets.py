"""WebSockets recorded through sockets and replayed without their upstream."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from fakeai_proxy.app import App
from fakeai_proxy.cassette.format import Interaction
from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.profiles.price import Usage, bill
from fakeai_proxy.services.catalogue import Catalogue, CatalogueSettings
from tests.cassette.made import held, opened
from tests.conftest import DATA, serving
from tests.doubles.echo import Handler, websocket_server
from tests.doubles.internet import Internet, LoopThread
from tests.doubles.program import Program

TARGET = "/v1/realtime?model=gpt-realtime"
KEY = "sk-proj-abcdefghijklmnopqrstuvwxyz"
TEXT: Any = {"type": "realtime", "output_modalities": ["text"]}
OWLS: Any = {
    "type": "message",
    "role": "user",
    "content": [{"type": "input_text", "text": "Tell me about owls."}],
}


def dial(app: App, target: str = TARGET, **options: Any) -> connect:
    options.setdefault("additional_headers", {"Authorization": f"Bearer {KEY}"})
    return connect(app.url.replace("http", "ws", 1) + target, max_size=None, proxy=None, **options)


def dial_through(app: App, url: str) -> connect:
    """With the app as HTTPS_PROXY."""
    trust = ssl.create_default_context(cafile=Path(DATA.name) / "ca" / "root.pem")
    key = {"Authorization": f"Bearer {KEY}"}
    return connect(url, proxy=app.url, ssl=trust, additional_headers=key)


async def said(socket: ClientConnection) -> list[str | bytes]:
    """All that still comes."""
    found = []
    with suppress(ConnectionClosed):
        while True:
            found.append(await socket.recv())
    return found


def only(path: Path) -> Interaction:
    [(record, _, _)] = held(path)
    return record


def shown(record: Interaction) -> list[tuple[str, str, bytes]]:
    assert record.response is not None
    return [(one.sender, one.op, one.data) for one in record.response.messages]


@asynccontextmanager
async def recording(
    path: Path, handler: Handler, subprotocols: list[Subprotocol] | None = None, **settings: object
) -> AsyncIterator[App]:
    async with (
        websocket_server(handler, subprotocols) as upstream,
        serving(mode="record", upstream=upstream, cassette=(path,), **settings) as app,
    ):
        yield app


def replaying(path: Path, **settings: object) -> Any:
    return serving(mode="replay", cassette=(path,), timing="none", **settings)


async def reciting(socket: ServerConnection) -> None:
    """Answers each question by what it is."""
    await socket.send(json.dumps({"type": "session.created", "session": {"id": "sess_1"}}))
    async for message in socket:
        asked = json.loads(message)
        told = {"type": "told", "of": asked["type"], "item": asked.get("item")}
        await socket.send(json.dumps(told))
        if asked["type"] == "end":
            await socket.close(4000, "enough")


async def talk(app: App, *events: dict[str, Any], url: str = "") -> list[dict[str, Any]]:
    """What comes back for these events, said one after the other."""
    async with dial_through(app, url) if url else dial(app) as socket:
        heard = [json.loads(await socket.recv())]
        for event in events:
            await socket.send(json.dumps(event))
            heard.append(json.loads(await socket.recv()))
            if heard[-1]["type"] == "error":
                break
        return heard


# --- the vendor's own SDK


async def converse(url: str) -> list[dict[str, Any]]:
    """A conversation by the SDK: all that it is told."""
    told = []
    async with (
        AsyncOpenAI(base_url=url + "/v1", api_key=KEY, max_retries=0) as client,
        client.realtime.connect(model="gpt-realtime") as connection,
    ):
        told.append((await connection.recv()).to_dict())
        await connection.session.update(session=TEXT)
        await connection.conversation.item.create(item=OWLS)
        await connection.response.create()
        async for event in connection:
            told.append(event.to_dict())
            if event.type == "response.done":
                break
        sound = b64encode(bytes(4800)).decode()
        await connection.input_audio_buffer.append(audio=sound)
        await connection.input_audio_buffer.clear()
        told.append((await connection.recv()).to_dict())
    return told


@pytest.mark.parametrize("name", ["c.fcz", "c.jsonl"])
async def test_what_the_sdk_heard_it_hears_again(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    async with (
        serving(mode="synth") as upstream,
        serving(mode="record", upstream=upstream.url, cassette=(path,)) as app,
    ):
        told = await converse(app.url)
    async with replaying(path) as app:
        assert await converse(app.url) == told
    record = only(path)
    assert (record.request.method, record.request.target) == ("WS", TARGET)
    assert record.view["model"] == "gpt-realtime"
    assert record.view["usage"]["completion_tokens"] > 0
    assert record.end == "eof"


async def test_auto_records_once_and_hybrid_makes_up_what_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "c.fcz"
    async with (
        serving(mode="synth") as upstream,
        serving(mode="auto", upstream=upstream.url, cassette=(path,), timing="none") as app,
    ):
        told = await converse(app.url)
    async with serving(mode="auto", upstream=upstream.url, cassette=(path,), timing="none") as app:
        assert await converse(app.url) == told
    async with serving(mode="hybrid", cassette=(path,), timing="none") as app:
        assert await converse(app.url) == told
        async with dial(app, "/v1/realtime?model=gpt-realtime-mini") as socket:
            assert json.loads(await socket.recv())["type"] == "session.created"


# --- what is recorded


async def test_everything_that_passed_is_in_the_record(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"

    async def speak(socket: ServerConnection) -> None:
        await socket.send("\N{OWL} one")
        await socket.send(b"\x00\xff" * 50_000)
        await socket.send(["in ", "three ", "parts"])
        assert await socket.recv() == "text"
        assert await socket.recv() == b"\x80" * 200_000
        assert await socket.recv() == "ab"
        await (await socket.ping(b"there?"))
        await socket.close(4008, "session \N{OWL} expired")

    async with recording(path, speak) as app, dial(app) as socket:
        heard = [await socket.recv() for _ in range(3)]
        await socket.send("text")
        await socket.send(b"\x80" * 200_000)
        await socket.send(["a", "b"])
        heard += await said(socket)
        assert (socket.close_code, socket.close_reason) == (4008, "session \N{OWL} expired")
    record = only(path)
    assert shown(record)[-3:-1] == [("server", "ping", b"there?"), ("client", "pong", b"there?")]
    close = shown(record)[-1]
    assert close == ("server", "close", b"\x0f\xa8" + "session \N{OWL} expired".encode())
    assert record.response is not None
    cuts = [one.cuts for one in record.response.messages if one.cuts]
    assert cuts == [(3, 6, 5, 0), (1, 1, 0)]  # as the client library ends them
    async with replaying(path) as app, dial(app) as socket:
        again = [await socket.recv() for _ in range(3)]
        await socket.send("text")
        await socket.send(b"\x80" * 200_000)
        await socket.send("ab")
        again += await said(socket)
        assert again == heard
        assert (socket.close_code, socket.close_reason) == (4008, "session \N{OWL} expired")


async def test_no_secret_of_any_message_reaches_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    other = "sk-ant-api03-" + "z" * 40

    async def leak(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(json.dumps({"type": "told", "key": KEY}))
        for piece in (other[:9], other[9:30], other[30:]):
            await socket.send(json.dumps({"type": "delta", "delta": piece}))
        await socket.close(4000, f"bad key {KEY}")

    offered = [Subprotocol("realtime"), Subprotocol("openai-insecure-api-key.ek_0123456789abcdef")]
    event = {
        "type": "session.update",
        "tools": [{"authorization": other}],
        "x": "ek_0123456789abcdef",
    }
    async with recording(path, leak, offered[:1]) as app, dial(app, subprotocols=offered) as socket:
        assert socket.subprotocol == "realtime"
        await socket.send(json.dumps(event))
        heard = await said(socket)
    assert KEY in str(heard[0])
    kept = path.read_text()
    for secret in (KEY, other, "ek_0123456789abcdef", other[9:30]):
        assert secret not in kept
    # The same question, with another secret in its place, is the same question.
    event["tools"] = [{"authorization": "sk-ant-api03-" + "y" * 40}]
    async with replaying(path) as app, dial(app, subprotocols=offered) as socket:
        assert socket.subprotocol == "realtime"
        await socket.send(json.dumps(event))
        assert len(await said(socket)) == len(heard)


async def test_a_client_that_vanishes_leaves_a_recording_that_can_be_replayed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "c.jsonl"
    async with recording(path, reciting) as app:
        socket = await dial(app)
        await socket.recv()
        await socket.send('{"type": "a"}')
        told = await socket.recv()
        socket.transport.abort()
        while not path.exists() or b'"close"' not in path.read_bytes():
            await asyncio.get_running_loop().run_in_executor(None, lambda: None)
    assert only(path).end == "client_gone"
    async with replaying(path) as app, dial(app) as socket:
        await socket.recv()
        await socket.send('{"type": "a"}')
        assert await socket.recv() == told


async def test_an_upstream_that_vanished_does_so_again_where_that_is_asked_for(
    tmp_path: Path,
) -> None:
    path = tmp_path / "c.jsonl"

    async def vanish(socket: ServerConnection) -> None:
        await socket.send("first")
        await socket.recv()
        socket.transport.abort()

    async with recording(path, vanish) as app, dial(app) as socket:
        await socket.recv()
        await socket.send("x")
        assert await said(socket) == []
        assert socket.close_code == 1006
    assert only(path).end == "reset"
    async with replaying(path) as app:
        with pytest.raises(InvalidStatus):
            await dial(app)
    async with replaying(path, replay_interrupted=True) as app, dial(app) as socket:
        assert await socket.recv() == "first"
        await socket.send("x")
        assert await said(socket) == []
        assert socket.close_code == 1006


async def test_what_is_no_frame_passes_and_is_not_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "c.jsonl"
    monkeypatch.setattr("fakeai_proxy.sources.overheard.SOCKET_BYTES_MAX", 1000)

    async def much(socket: ServerConnection) -> None:
        for _ in range(3):
            await socket.send("y" * 600)

    async with recording(path, much) as app, dial(app) as socket:
        assert len(await said(socket)) == 3
    assert "is not recorded any further" in caplog.text
    record = only(path)
    assert record.response is not None
    assert record.response.withheld
    async with replaying(path) as app:
        with pytest.raises(InvalidStatus):
            await dial(app)


async def test_a_socket_to_an_intercepted_host_is_recorded_and_replayed(tmp_path: Path) -> None:
    path, url = tmp_path / "c.jsonl", f"wss://api.openai.com{TARGET}"
    thread = LoopThread()
    try:
        internet = Internet(thread, tmp_path, ["api.openai.com"])
        async with websocket_server(reciting) as upstream:
            internet.route("api.openai.com", upstream)
            way = {"upstream_proxy": internet.proxy_url, "upstream_ca": internet.ca}
            async with serving(mode="record", cassette=(path,), **way) as app:
                told = await talk(app, {"type": "a"}, url=url)
        internet.close()
    finally:
        thread.close()
    assert only(path).upstream == "https://api.openai.com"
    async with replaying(path) as app:
        assert await talk(app, {"type": "a"}, url=url) == told
        assert await talk(app, {"type": "a"}) == told  # as a base URL, too


def test_a_killed_recorder_has_every_socket_whose_end_was_seen(tmp_path: Path) -> None:
    path = tmp_path / "c.fcz"

    async def talks(program: Program) -> None:
        for _ in range(3):
            async with connect(program.url.replace("http", "ws", 1), proxy=None) as socket:
                await socket.recv()
                await socket.send('{"type": "end"}')
                assert len(await said(socket)) == 1
        unfinished = await connect(program.url.replace("http", "ws", 1), proxy=None)
        await unfinished.recv()
        os.kill(program.pid, signal.SIGKILL)
        await said(unfinished)

    async def all_of_it() -> None:
        async with websocket_server(reciting) as upstream:
            chosen = ("--mode", "record", "--upstream", upstream, "--cassette", str(path))
            program = await asyncio.to_thread(Program, tmp_path, *chosen)
            await talks(program)
            await asyncio.to_thread(program.kill)

    asyncio.run(all_of_it())
    assert [record.end for record, _, _ in held(path)] == ["eof"] * 3
    library = opened(path)
    assert len(library.index.opened) == 1
    library.close()


# --- when it is replayed


async def test_messages_leave_at_their_recorded_gaps_after_what_came_before(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    gap_s = 0.125
    clock = VirtualClock(autojump=False)

    async def slow(socket: ServerConnection) -> None:
        for number in range(2):
            for _ in range(3):
                clock.advance(gap_s)
                await socket.send(f"n{number}")
                await socket.recv()  # so that each is seen at its own instant
            await socket.recv()

    async with (
        websocket_server(slow) as upstream,
        serving(clock, mode="record", upstream=upstream, cassette=(path,)) as app,
        dial(app) as socket,
    ):
        for _ in range(2):
            for _ in range(3):
                await socket.recv()
                await socket.send("ack")
            clock.advance(5.0)
            await socket.send("go on")
        await said(socket)
    response = only(path).response
    assert response is not None
    gaps = [one.dt_us for one in response.messages if one.sender == "server" and one.op == "text"]
    assert gaps == [125_000] * 6
    for speed in (1.0, 4.0):
        at = await _heard_at(path, speed)
        steps = [
            round((after - before) * 1e6) for before, after in zip([0.0, *at], at, strict=False)
        ]
        assert steps == [round(gap_s / speed * 1e6)] * 6


async def _heard_at(path: Path, speed: float) -> list[float]:
    """When each message came, on a clock that moves for nothing else."""
    clock, heard = VirtualClock(), []
    async with (
        serving(clock, mode="replay", cassette=(path,), speed=speed) as app,
        dial(app) as socket,
    ):
        for _ in range(2):
            for _ in range(3):
                await socket.recv()
                heard.append(clock.now())
                await socket.send("ack")
            await socket.send("go on")
    return heard


# --- what is the same


async def test_ids_that_the_client_makes_up_are_renamed_in_what_the_server_says(
    tmp_path: Path,
) -> None:
    path = tmp_path / "c.jsonl"

    def events(run: str) -> list[dict[str, Any]]:
        return [
            {"type": "item", "event_id": f"evt_{run}", "item": {"id": f"item_{run}", "text": "hi"}},
            {"type": "item", "item": {"id": f"next_{run}"}, "previous_item_id": f"item_{run}"},
            {"type": "use", "session_id": "sess_1"},
        ]

    async with recording(path, reciting) as app:
        told = await talk(app, *events("old"))
    async with replaying(path) as app:
        again = await talk(app, *events("new"))
        assert json.dumps(again) == json.dumps(told).replace("_old", "_new")
        # An id that refers to something else, and one that the server gave out, have to be right.
        wrong = [*events("new")[:1], events("old")[1]]
        assert (await talk(app, *wrong))[-1]["type"] == "error"
        wrong = [*events("new")[:2], {"type": "use", "session_id": "sess_2"}]
        assert "session_id" in (await talk(app, *wrong))[-1]["error"]["message"]


async def test_another_layout_is_the_same_and_another_word_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "c.jsonl"
    async with recording(path, reciting) as app:
        told = await talk(app, {"type": "ask", "item": {"text": "Tell me about owls."}})
    record = only(path)
    async with replaying(path) as app, dial(app) as socket:
        await socket.recv()
        await socket.send('{ "item" : {"text":"Tell me about owls."} ,"type":"ask" }')
        assert json.loads(await socket.recv()) == told[-1]
    async with replaying(path) as app, dial(app) as socket:
        await socket.recv()
        await socket.send(
            '{"type": "ask", "event_id": "e1", "item": {"text": "Tell me about cats."}}'
        )
        error = json.loads(await socket.recv())
        assert (error["type"], error["error"]["code"]) == ("error", "cassette_miss")
        assert error["error"]["event_id"] == "e1"
        for word in (record.id, "item.text", "owls", "cats"):
            assert word in error["error"]["message"]
        assert await said(socket) == []
        assert socket.close_code == 1008
        assert "owls" in (socket.close_reason or "")
    assert "cats" in caplog.text


async def test_a_socket_on_which_something_else_is_said_is_a_miss(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    async with recording(path, reciting) as app:
        await talk(app, {"type": "owls"})
    async with replaying(path) as app:
        await talk(app, {"type": "owls"})
        assert (await talk(app, {"type": "cats"}))[-1]["type"] == "error"
        await app.close()
        assert app.outcomes is not None
        found = await app.outcomes.verdict()
    assert found.counts == {"HIT": 1, "MISS": 1}
    assert found.failures(["miss"]) == ["MISS"]


@pytest.mark.parametrize(
    ("settings", "event"),
    [
        ({"match": "agent"}, {"type": "ask", "item": {"text": "see call_zzz999zzz of 2026-02-03"}}),
        ({"match_ignore": ("$.item.text",)}, {"type": "ask", "item": {"text": "anything"}}),
        ({"match_pattern": ("call_\\w+ of [0-9-]+",)}, {"type": "ask", "item": {"text": "see call_q of 1"}}),
        ({"match": "loose"}, {"type": "ask", "item": {"text": "whatever"}, "more": 1}),
    ],
)  # fmt: skip
async def test_what_is_said_is_matched_as_leniently_as_bodies_are(
    tmp_path: Path, settings: dict[str, object], event: dict[str, Any]
) -> None:
    path = tmp_path / "c.jsonl"
    async with recording(path, reciting) as app:
        told = await talk(
            app, {"type": "ask", "item": {"text": "see call_aaa111aaa of 2025-01-01"}}
        )
    async with replaying(path) as app:
        assert (await talk(app, event))[-1]["type"] == "error"
    async with replaying(path, **settings) as app:
        assert await talk(app, event) == told


def sound(audio: bytes) -> str:
    return json.dumps({"type": "input_audio_buffer.append", "audio": b64encode(audio).decode()})


async def listening(socket: ServerConnection) -> None:
    """Says when it has heard so much, and what it was in the end."""
    heard = 0
    async for message in socket:
        event = json.loads(message)
        heard += len(event.get("audio", ""))
        if event["type"] == "commit":
            await socket.send("committed")


@pytest.mark.parametrize("match", ["exact", "loose"])
async def test_sound_is_one_however_it_is_cut(tmp_path: Path, match: str) -> None:
    path = tmp_path / "c.jsonl"
    audio = bytes(range(256)) * 30
    commit = '{"type": "commit"}'

    async def speak(app: App, *pieces: bytes) -> str:
        async with dial(app) as socket:
            for piece in pieces:
                await socket.send(sound(piece))
            await socket.send(commit)
            return str(await socket.recv())

    async with recording(path, listening) as app:
        await speak(app, audio[:960], audio[960:1920], audio[1920:])
    async with replaying(path, match=match) as app:
        assert (
            await speak(app, audio[:100], audio[100:3000], audio[3000:3001], audio[3001:])
            == "committed"
        )
        for pieces in ((audio[:-1],), (audio, b"more"), (bytes(len(audio)),)):
            answer = await speak(app, *pieces)
            assert (answer == "committed") is (match == "loose"), answer


async def test_sockets_with_one_handshake_are_replayed_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    async with recording(path, reciting) as app:
        for name in ("a", "b"):
            await talk(app, {"type": name})
    async with replaying(path, repeat="error") as app:
        for name in ("a", "b"):
            assert (await talk(app, {"type": name}))[-1]["of"] == name
        with pytest.raises(InvalidStatus) as missed:
            await dial(app)
        response = missed.value.response
        assert response.status_code == 404
        assert b"cassette_miss" in (response.body or b"")


async def test_a_refused_handshake_is_recorded_and_refused_again(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    async with (
        serving(mode="synth", auth="required") as upstream,
        serving(mode="record", upstream=upstream.url, cassette=(path,)) as app,
    ):
        with pytest.raises(InvalidStatus) as first:
            await dial(app, additional_headers={})
    async with replaying(path) as app:
        with pytest.raises(InvalidStatus) as second:
            await dial(app, additional_headers={})
    responses = first.value.response, second.value.response
    assert [response.status_code for response in responses] == [401, 401]
    assert responses[0].body == responses[1].body


async def test_what_a_session_used_is_saved_and_spent_in_dollars(tmp_path: Path) -> None:
    async def answering(socket: ServerConnection) -> None:
        await socket.send(json.dumps({"type": "session.created", "session": {"id": "sess_1"}}))
        async for _ in socket:
            read = {"text_tokens": 1000, "audio_tokens": 1000}
            said = {"text_tokens": 0, "audio_tokens": 500}
            usage = {"input_tokens": 2000, "output_tokens": 500, "input_token_details": read,
                     "output_token_details": said}  # fmt: skip
            await socket.send(json.dumps({"type": "response.done", "response": {"usage": usage}}))

    path, asked = tmp_path / "c.fcz", ({"type": "response.create"}, {"type": "response.create"})
    price = Catalogue.shipped(CatalogueSettings()).priced("gpt-realtime")
    assert price is not None
    assert price.price is not None
    used = Usage(input_tokens=2000, output_tokens=500, audio_input_tokens=1000,
                 audio_output_tokens=500)  # fmt: skip
    dollars = float(round(2 * bill(price.price, used), 6))
    assert dollars > 0.05
    async with recording(path, answering) as app:
        await talk(app, *asked)
        assert await verdict(app) == {"NEW": 1, "saved": 0.0, "spent": dollars}
    async with replaying(path) as app:
        await talk(app, *asked)
        assert await verdict(app) == {"HIT": 1, "saved": dollars, "spent": 0.0}


async def verdict(app: App) -> dict[str, float]:
    """Once the session is over."""
    assert app.outcomes is not None
    found: dict[str, Any] = {"counts": {}}
    while not any(found["counts"].values()):
        found = (await app.outcomes.verdict()).as_json()
    counts = {word: count for word, count in found["counts"].items() if count}
    return {**counts, "saved": found["saved_usd"], "spent": found["spent_usd"]}
