"""Record real clients against a server that we did not write, die, and replay it to the byte."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path

import httpx
import pytest
import zstandard

from tests.clients.conftest import (
    ANTHROPIC,
    OPENAI,
    Launch,
    Node,
    node_client,
    python_client,
)
from tests.doubles.foreign import CAPITAL, ForeignServer
from tests.doubles.internet import Internet
from tests.doubles.upstream import HANG, FakeUpstream, json_reply, sse_reply
from tests.doubles.wire_client import post

QUESTION = "What is the capital of France?"


def _call(question: str, **more: object) -> dict[str, object]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": question}], **more}


def test_what_unmodified_clients_saw_is_replayed_after_a_kill_9(
    launch: Launch, internet: Internet, foreign_upstream: ForeignServer,
    node: Node, npm_packages: Path, tmp_path: Path,
) -> None:  # fmt: skip
    internet.route(OPENAI, foreign_upstream.url).route(ANTHROPIC, foreign_upstream.url)
    cassette = ("--cassette", str(tmp_path / "clients.fcz"))

    def everybody(environ: dict[str, str]) -> tuple[object, ...]:
        return (
            python_client("openai_sdk", environ, QUESTION),
            node_client(node, "openai", environ, QUESTION),
            python_client("anthropic_sdk", environ, QUESTION),
        )

    program = launch("--mode", "record", *cassette, *internet.flags)
    recorded = everybody(program.client_environment())
    assert recorded[0]["sync_stream"] == recorded[1]["stream"] == CAPITAL
    program.kill()
    visits = len(internet.visits)

    program = launch("--mode", "replay", *cassette)
    assert everybody(program.client_environment()) == recorded, "ids and all"
    assert len(internet.visits) == visits


def test_a_replay_is_the_same_on_the_wire(
    launch: Launch, internet: Internet, foreign_upstream: ForeignServer, tmp_path: Path
) -> None:
    internet.route(OPENAI, foreign_upstream.url)
    cassette = ("--cassette", str(tmp_path / "wire.fcz"))
    calls = (
        _call(QUESTION),
        _call(QUESTION, stream=True),
        _call("weather", stream=True, stream_options={"include_usage": True}),
        _call("too fast"),
    )

    def ask(environ: dict[str, str]) -> list[bytes]:
        return [post(environ, OPENAI, "/v1/chat/completions", call) for call in calls]

    program = launch("--mode", "record", *cassette, *internet.flags)
    recorded = ask(program.client_environment())
    program.kill()
    assert recorded[1].count(b"data: ") > 5
    assert b"tool_calls" in recorded[2]
    assert recorded[3].startswith(b"HTTP/1.1 429 Too Many Requests\r\n")

    program = launch("--mode", "replay", "--timing", "none", "--no-explain-hits", *cassette)
    assert ask(program.client_environment()) == recorded


def test_a_miss_is_not_retried_by_unmodified_clients(
    launch: Launch, internet: Internet, foreign_upstream: ForeignServer,
    node: Node, npm_packages: Path, tmp_path: Path,
) -> None:  # fmt: skip
    internet.route(OPENAI, foreign_upstream.url)
    cassette = ("--cassette", str(tmp_path / "miss.fcz"))
    program = launch("--mode", "record", *cassette, *internet.flags)
    post(program.client_environment(), OPENAI, "/v1/chat/completions", _call(QUESTION))
    program.stop()

    program = launch("--mode", "replay", *cassette)
    environ = program.client_environment()
    said = node_client(node, "openai", environ, "What is the capital of Italy?")
    assert (said["error"], said["code"]) == ("NotFoundError", "cassette_miss")
    said = node_client(node, "anthropic", environ, "What is the capital of Italy?")
    assert said["error"] == "NotFoundError"
    program.stop()
    assert [line["host"] for line in program.exchanges()] == [OPENAI, ANTHROPIC]


def test_repeated_requests_are_replayed_in_the_order_in_which_they_were_recorded(
    launch: Launch, internet: Internet, foreign_upstream: ForeignServer, tmp_path: Path
) -> None:
    internet.route(OPENAI, foreign_upstream.url)
    cassette = ("--cassette", str(tmp_path / "order.fcz"))

    def ask(environ: dict[str, str]) -> list[bytes]:
        call = _call("draw a number")
        return [post(environ, OPENAI, "/v1/chat/completions", call) for _ in range(3)]

    program = launch("--mode", "record", *cassette, *internet.flags)
    recorded = ask(program.client_environment())
    program.stop()
    for answer, number in zip(recorded, (b"first", b"second", b"third"), strict=True):
        assert number in answer
    program = launch("--mode", "replay", "--no-explain-hits", *cassette)
    assert ask(program.client_environment()) == recorded


def test_no_secret_of_a_client_reaches_the_disk(
    launch: Launch, internet: Internet, foreign_upstream: ForeignServer, tmp_path: Path
) -> None:
    internet.route(OPENAI, foreign_upstream.url)
    cassette = tmp_path / "secret.fcz"
    program = launch("--mode", "record", "--cassette", str(cassette), *internet.flags)
    post(program.client_environment(), OPENAI, "/v1/chat/completions", _call(QUESTION))
    program.stop()
    # Read as a stranger would, with zstdcat.
    files = [path for path in cassette.rglob("*") if path.is_file()]
    text = b""
    for path in files:
        data = path.read_bytes()
        text += data
        if path.name.endswith(".zst"):
            with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as plain:
                text += plain.read()
    assert b"capital of France" in text, "it is recorded"
    assert b"sk-test-wire" not in text


async def test_a_kill_9_within_a_stream_takes_that_stream_alone(
    launch: Launch, tmp_path: Path
) -> None:
    cassette = ("--cassette", str(tmp_path / "torn.fcz"))
    async with FakeUpstream() as upstream, httpx.AsyncClient(timeout=30) as client:
        upstream.on("POST", "/v1/chat/completions", *[json_reply({"n": n}) for n in range(20)],
                    sse_reply([b"data: half\n\n", HANG]))  # fmt: skip
        program = await asyncio.to_thread(
            launch, "--mode", "record", *cassette, "--upstream", upstream.url
        )

        def ask(number: int) -> Awaitable[httpx.Response]:
            return client.post(f"{program.base_url}/chat/completions", json=_call(str(number)))

        answers = [(await ask(number)).content for number in range(20)]
        url = f"{program.base_url}/chat/completions"
        async with client.stream("POST", url, json=_call("20")) as reply:
            pieces = reply.aiter_bytes()
            assert await anext(pieces) == b"data: half\n\n"
            program.kill()
            with pytest.raises(httpx.RemoteProtocolError):
                await anext(pieces)
        program = await asyncio.to_thread(launch, "--mode", "replay", *cassette)
        assert [(await ask(number)).content for number in range(20)] == answers
        assert (await ask(20)).json()["error"]["code"] == "cassette_miss"
