"""The same clients where there is a live back end: a server that we did not write answers for the
real host names, behind TLS, through the proxy in pass mode."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve

from tests.clients.conftest import (
    ANTHROPIC,
    OPENAI,
    Launch,
    Node,
    node_client,
    python_client,
)
from tests.doubles.foreign import CAPITAL, ForeignServer
from tests.doubles.internet import Internet, LoopThread

QUESTION = "What is the capital of France?"


@pytest.fixture
def passed(launch: Launch, internet: Internet, foreign_upstream: ForeignServer) -> dict[str, str]:
    """The environment of clients of a program that forwards."""
    internet.route(OPENAI, foreign_upstream.url).route(ANTHROPIC, foreign_upstream.url)
    return launch("--mode", "pass", *internet.flags).client_environment()


def test_the_python_sdks(passed: dict[str, str], internet: Internet) -> None:
    said = python_client("openai_sdk", passed, QUESTION)
    assert {said[key] for key in ("sync", "async", "sync_stream", "async_stream")} == {CAPITAL}
    assert said["sync_id"] != said["async_id"], "nobody has stored anything"
    said = python_client("anthropic_sdk", passed, QUESTION)
    assert (said["text"], said["stream"]) == (CAPITAL, CAPITAL)
    assert set(internet.visits) == {OPENAI, ANTHROPIC}


def test_the_npm_packages(node: Node, npm_packages: Path, passed: dict[str, str]) -> None:
    said = node_client(node, "openai", passed, QUESTION)
    assert (said["text"], said["stream"]) == (CAPITAL, CAPITAL)
    assert node_client(node, "anthropic", passed, QUESTION)["text"] == CAPITAL


@pytest.fixture
def echo(loop_thread: LoopThread) -> Iterator[str]:
    """A WebSocket server that says everything back until it is told to close."""

    async def answer(socket: ServerConnection) -> None:
        async for message in socket:
            if message == "close with 4001":
                await socket.close(4001, "as asked")
            else:
                await socket.send(message)

    async def start() -> Server:
        return await serve(answer, "127.0.0.1", 0, subprotocols=["realtime"], max_size=None)

    server = loop_thread.run(start())
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    loop_thread.loop.call_soon_threadsafe(server.close)


def test_a_websocket_client_through_connect(launch: Launch, internet: Internet, echo: str) -> None:
    internet.route(OPENAI, echo)
    environ = launch("--mode", "pass", *internet.flags).client_environment()
    said = python_client("websockets_wss", environ)
    assert said == {"protocol": "realtime", "text": "hello", "same": True, "close_code": 4001}
