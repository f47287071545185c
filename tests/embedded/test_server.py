"""`fakeai_proxy.serve`: started, asked and ended inside this process."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import anthropic
import httpx
import openai
import pytest

import fakeai_proxy
from fakeai_proxy.embedded import witness
from fakeai_proxy.errors import ConfigError
from tests.conftest import DATA
from tests.doubles.program import ROOT, bare_environment
from tests.doubles.upstream import FakeUpstream, bytes_reply, json_reply, sse_reply

QUICKSTART = ROOT / "cassettes/quickstart.jsonl"
LIGHTHOUSES = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Tell me about lighthouses"}],
    "max_tokens": 60,
}
REPLAY = {"mode": "replay", "cassette": QUICKSTART, "timing": "none", "data": DATA.name}
SYNTH = {"mode": "synth", "profile": "none", "data": DATA.name, "store": "memory"}
KEY = "sk-abcdefghijklmnopqrstuvwxyz123456"


def client(base_url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=base_url, api_key=KEY, max_retries=0)


def ask(base_url: str, text: str = "Tell me about lighthouses") -> str:
    with client(base_url) as sdk:
        answer = sdk.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": text}], max_tokens=60
        )
    return answer.choices[0].message.content or ""


def test_a_synchronous_test_is_answered_from_a_cassette() -> None:
    with fakeai_proxy.serve(**REPLAY) as server:
        assert server.base_url == server.url + "/v1"
        said = ask(server.base_url)
        call = server.calls.assert_called_once(model="gpt-4o-mini", contains="lighthouses")
    assert (call.method, call.path, call.status, call.source) == (
        "POST", "/v1/chat/completions", 200, "HIT",
    )  # fmt: skip
    assert call.messages == LIGHTHOUSES["messages"]
    assert call.prompt == "Tell me about lighthouses"
    assert call.answer == said
    assert call.duration_s is not None
    assert call.duration_s > 0
    assert call.cassette.startswith("hit; id=3cf90e9524a7e244")


async def test_with_works_inside_a_running_loop() -> None:
    with fakeai_proxy.serve(**REPLAY) as server:
        assert await asyncio.to_thread(ask, server.base_url)
        assert len(server.calls) == 1


async def test_async_with_serves_on_the_callers_own_loop() -> None:
    before = threading.enumerate()
    async with (
        fakeai_proxy.serve(**REPLAY) as server,
        openai.AsyncOpenAI(base_url=server.base_url, api_key="x") as sdk,
    ):
        answer = await sdk.chat.completions.create(**LIGHTHOUSES)
        assert not [thread for thread in threading.enumerate() if thread.name == "fakeai-proxy"]
        assert server.calls.assert_called_once().answer == answer.choices[0].message.content
        server.reset()
        assert not server.calls
    assert set(threading.enumerate()) - set(before) <= {
        thread for thread in threading.enumerate() if thread.name.startswith("asyncio")
    }


def test_nothing_is_left_behind() -> None:
    def left() -> tuple[set[str], list[str]]:
        return {thread.name for thread in threading.enumerate()}, os.listdir("/proc/self/fd")

    with fakeai_proxy.serve(**REPLAY) as server:  # what is loaded once is loaded now
        ask(server.base_url)
    before = left()
    held = httpx.Client()
    with fakeai_proxy.serve(**REPLAY) as server:
        held.post(server.base_url + "/chat/completions", json=LIGHTHOUSES)
        address = server.url.removeprefix("http://").split(":")
    held.close()
    assert left()[0] == before[0]
    assert len(left()[1]) == len(before[1])
    with socket.socket() as again, pytest.raises(ConnectionRefusedError):
        again.connect((address[0], int(address[1])))


def test_it_can_be_ended_while_a_stream_is_on() -> None:
    with fakeai_proxy.serve(**{**SYNTH, "fault": "stall"}) as server:
        asked = {**LIGHTHOUSES, "stream": True, "max_tokens": 4000}
        http = httpx.Client()
        stream = http.stream("POST", server.base_url + "/chat/completions", json=asked,
                             headers={"authorization": "Bearer x"})  # fmt: skip
        reply = stream.__enter__()
        pieces = reply.iter_bytes()
        assert next(pieces)
        assert server.calls[0].status == 0
        assert "not answered yet" in str(server.calls)
    with pytest.raises(httpx.HTTPError):
        list(pieces)
    http.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "fakeai-proxy"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"mode": "replay", "cassette": "nowhere.jsonl"},
            "nowhere.jsonl: there is no such cassette",
        ),
        ({"mode": "rewind"}, "mode=: Input should be 'synth'"),
        ({"matcher": "agent"}, "matcher=: there is no such setting. Did you mean match="),
        ({**REPLAY, "match_pattern": "("}, "("),
    ],
)
def test_errors_at_the_start_are_the_callers(settings: dict[str, object], words: str) -> None:
    def start() -> None:
        with fakeai_proxy.serve(**settings):
            pytest.fail("it started")

    with pytest.raises(ConfigError) as told:
        start()
    assert words in str(told.value)
    assert not [thread for thread in threading.enumerate() if thread.name == "fakeai-proxy"]


def test_a_port_that_is_taken_is_an_error_of_the_caller() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        server = fakeai_proxy.serve(**REPLAY, listen=listen)
        with pytest.raises(ConfigError, match="cannot listen"):
            server.__enter__()


def test_it_can_be_started_again_and_not_twice() -> None:
    server = fakeai_proxy.serve(**REPLAY)
    with pytest.raises(RuntimeError, match="does not run"):
        _ = server.url
    for _ in range(2):
        with server:
            assert ask(server.base_url)
            with pytest.raises(RuntimeError, match="runs already"):
                asyncio.run(server.__aenter__())


def test_the_environment_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKEAI_PROXY_MODE", "nonsense")
    with fakeai_proxy.serve(**REPLAY) as server:
        assert ask(server.base_url)


def test_the_variables_lead_sdks_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "mine")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with fakeai_proxy.serve(**SYNTH) as server:
        variables = server.environment()
        assert "ANTHROPIC_API_KEY" not in variables
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with openai.OpenAI() as sdk:
            assert sdk.models.list().data
        with anthropic.Anthropic() as claude:
            told = claude.messages.create(
                model="claude-sonnet-4-5", max_tokens=30, system="Be brief.",
                messages=[{"role": "user", "content": [{"type": "text", "text": "Hello there"}]}],
            )  # fmt: skip
        call = server.calls.to("/v1/messages").assert_called_once(contains="Hello there")
    assert call.prompt == "Be brief.\nHello there"
    assert told.content[0].type == "text"
    assert call.answer == told.content[0].text


def test_the_variables_lead_through_it_as_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with fakeai_proxy.serve(**SYNTH) as server:
        variables = server.environment(proxy=True)
        assert variables["HTTPS_PROXY"] == server.url
        assert Path(variables["SSL_CERT_FILE"]).exists()
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with openai.OpenAI() as sdk:
            assert sdk.models.retrieve("gpt-4o").id == "gpt-4o"
        call = server.calls.assert_called_once(host="api.openai.com", method="get")
    assert call.path == "/v1/models/gpt-4o"


def test_failures_are_readable() -> None:
    with fakeai_proxy.serve(**SYNTH) as server:
        server.calls.assert_not_called()
        with pytest.raises(AssertionError, match="nothing was asked at all"):
            server.calls.assert_called(path="/v1/embeddings")
        for text in ("one", "two"):
            ask(server.base_url, text)
        calls = server.calls
    with pytest.raises(AssertionError) as none:
        calls.assert_called(path="/v1/chat/*", model="gpt-5", contains="one")
    assert str(none.value).splitlines() == [
        "Expected a call with path='/v1/chat/*', model='gpt-5', contains='one', but there was none "
        "among 2 calls:",
        '  1. POST /v1/chat/completions gpt-4o-mini -> 200 SYNTH "one"',
        "     (model is 'gpt-4o-mini')",
        '  2. POST /v1/chat/completions gpt-4o-mini -> 200 SYNTH "two"',
        "     (model is 'gpt-4o-mini'; its prompt does not contain 'one')",
    ]
    with pytest.raises(AssertionError, match="Expected exactly one call with model='gpt-4o-mini', "
                       "but there were 2 among 2 calls"):  # fmt: skip
        calls.assert_called_once(model="gpt-4o-mini")
    with pytest.raises(
        AssertionError, match=r"Expected no call with contains='two', but there was one"
    ):
        calls.assert_not_called(contains="two")
    with pytest.raises(TypeError, match="calls have no 'prompt'"):
        calls.assert_called(prompt="two")  # type: ignore[call-arg] # what this is about
    assert len(calls.assert_called_times(2, status=200, source="synth")) == 2
    assert [call.prompt for call in calls] == ["one", "two"]
    assert calls[-1].prompt == "two"
    assert len(calls[:1].to("/v1/chat/completions")) == 1


def test_what_is_not_on_the_cassette_is_a_call_too() -> None:
    with fakeai_proxy.serve(**REPLAY) as server:
        with pytest.raises(openai.NotFoundError):
            ask(server.base_url, "Tell me about something else")
        call = server.calls.assert_called_once(source="MISS", status=404)
    assert "Nearest: 3cf90e9524a7e244" in call.error


def test_what_the_server_does_by_itself_is_no_call() -> None:
    line = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": LIGHTHOUSES}
    with fakeai_proxy.serve(**SYNTH) as server, client(server.base_url) as sdk:
        file = sdk.files.create(file=("in.jsonl", json.dumps(line).encode()), purpose="batch")
        batch = sdk.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        while batch.status not in ("completed", "failed"):
            batch = sdk.batches.retrieve(batch.id)
        assert batch.request_counts is not None
        assert batch.request_counts.completed == 1
        server.calls.to("/v1/batches").assert_called_once()
        server.calls.assert_not_called(path="/v1/chat/*")


def test_no_secret_is_shown() -> None:
    with fakeai_proxy.serve(**SYNTH) as server:
        httpx.post(server.base_url + "/chat/completions?api_key=" + KEY, headers={
            "authorization": f"Bearer {KEY}", "x-note": f"mine is {KEY}", "cookie": "a=b", "x-team": "red",
        }, json={**LIGHTHOUSES, "messages": [{"role": "user", "content": f"My key is {KEY}"}]})  # fmt: skip
        call = server.calls[0]
    assert call.headers["authorization"] == "REDACTED"
    assert call.headers["cookie"] == "REDACTED"
    assert call.headers["x-team"] == "red"
    assert KEY not in f"{call.headers}{call.query}{call}{server.witness.calls}"


def test_what_was_asked_can_be_forgotten_and_begins_anew(tmp_path: Path) -> None:
    tape = tmp_path / "two.jsonl"
    answers = [json_reply({"object": "list", "data": [], "n": n}) for n in (1, 2)]
    with fakeai_proxy.serve(**SYNTH):  # a server may stand beside another
        record_two(tape, answers)
    with fakeai_proxy.serve(mode="replay", cassette=str(tape), timing="none") as server:
        url = server.base_url + "/models"
        assert [httpx.get(url).json()["n"] for _ in range(3)] == [1, 2, 2]
        server.reset()
        assert not server.calls
        assert httpx.get(url).json()["n"] == 1


def record_two(tape: Path, answers: list[object]) -> None:
    async def record() -> None:
        async with FakeUpstream() as up:
            up.on("GET", "/v1/models", *answers)  # type: ignore[arg-type] # answers, as given
            settings = {"mode": "record", "upstream": up.url, "cassette": tape, "data": DATA.name}
            async with fakeai_proxy.serve(**settings) as server, httpx.AsyncClient() as http:
                for _ in answers:
                    await http.get(server.base_url + "/models")
                assert [call.source for call in server.calls] == ["LIVE", "LIVE"]

    asyncio.run(record())


async def test_bodies_of_any_framing_are_kept_and_streams_are_read() -> None:
    frames = [b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % word
              for word in (b"Good ", b"day")]  # fmt: skip

    async def chunked() -> object:
        yield b'{"model":"m","input":'
        yield b'[{"role":"user","content":[{"type":"input_text","text":"hi"}]}]}'

    async with FakeUpstream() as up:
        up.on("POST", "/v1/responses", sse_reply([*frames, b"data: [DONE]\n\n"]))
        settings = {"mode": "pass", "upstream": up.url, "data": DATA.name}
        async with fakeai_proxy.serve(**settings) as server, httpx.AsyncClient() as http:
            await http.post(server.base_url + "/responses", content=chunked())  # type: ignore[arg-type] # an async generator
            call = server.calls.assert_called_once(model="m", contains="hi", source="LIVE")
    assert call.answer == "Good day"


async def test_bodies_are_kept_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witness, "BODY_BYTES_MAX", 1000)
    monkeypatch.setattr(witness, "KEPT_BYTES_MAX", 1500)
    async with FakeUpstream() as up:
        up.on("POST", "*", bytes_reply(b"y" * 600, ((b"content-type", b"text/plain"),)))
        up.on("POST", "/v1/large", bytes_reply(b"y" * 1001, ((b"content-type", b"text/plain"),)))
        settings = {"mode": "pass", "upstream": up.url, "data": DATA.name}
        async with fakeai_proxy.serve(**settings) as server, httpx.AsyncClient() as http:
            for n in range(3):
                body = {"model": f"m{n}", "input": "x" * 300}
                await http.post(server.base_url + f"/{n}", json=body)
            await http.post(server.base_url + "/large", content=b"x" * 1001)
            calls = server.calls
    assert [len(call.body or b"") > 0 for call in calls] == [False, False, True, False]
    assert [call.model for call in calls] == ["m0", "m1", "m2", ""]
    assert [call.answer for call in calls] == ["", "", "y" * 600, ""]


def test_the_plain_server_is_cheap_to_name() -> None:
    code = ("import sys, fakeai_proxy; fakeai_proxy.serve; "
            "print([name for name in ('aiohttp', 'pydantic', 'numpy') if name in sys.modules])")  # fmt: skip
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env=bare_environment(PYTHONPATH=str(ROOT)))  # fmt: skip
    assert said.stdout.strip() == "[]"
