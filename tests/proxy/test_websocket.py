"""WebSockets through the real gateway, with a client and servers that are not ours."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from fakeai_proxy.clock import turn
from tests.doubles.authority import Authority
from tests.doubles.connect_proxy import ConnectProxy
from tests.doubles.echo import Handler, echo, websocket_server
from tests.doubles.live_proxy import live_proxy
from tests.doubles.upstream import HANG, Answer, FakeUpstream, json_reply


@asynccontextmanager
async def relayed(
    handler: Handler = echo, subprotocols: list[Subprotocol] | None = None
) -> AsyncIterator[str]:
    """The URL of a proxy before a WebSocket server."""
    async with (
        websocket_server(handler, subprotocols) as upstream,
        live_proxy(upstream=upstream) as proxy,
    ):
        yield f"ws://127.0.0.1:{proxy.port}"


def dial(url: str, **options: object) -> connect:
    return connect(url, max_size=None, proxy=None, **options)  # type: ignore[arg-type]


async def test_messages_of_any_size_go_both_ways() -> None:
    async with relayed() as url, dial(url + "/v1/realtime?model=m") as socket:
        for message in ("hello", b"\x00\xff", "", "é" * 10, b"x" * (3 << 20), "y" * (3 << 20)):
            await socket.send(message)
            assert await socket.recv() == message


async def test_fragments_pings_and_pongs_are_passed_through() -> None:
    async with relayed() as url, dial(url) as socket:
        await socket.send(["a", "b", "c"])
        assert await socket.recv() == "abc"
        await (await socket.ping(b"are you there"))


async def test_the_upstream_sees_the_request_and_picks_the_subprotocol() -> None:
    seen: list[ServerConnection] = []

    async def remember(socket: ServerConnection) -> None:
        seen.append(socket)
        await echo(socket)

    async with relayed(remember, [Subprotocol("openai-beta.realtime-v1")]) as url:
        offered = [Subprotocol("realtime"), Subprotocol("openai-beta.realtime-v1")]
        headers = {"Authorization": "Bearer sk-1"}
        async with dial(
            url + "/v1/realtime?model=m", subprotocols=offered, additional_headers=headers
        ) as socket:
            assert socket.subprotocol == "openai-beta.realtime-v1"
            await socket.send("x")
            await socket.recv()
    request = seen[0].request
    assert request is not None
    assert request.path == "/v1/realtime?model=m"
    assert request.headers["Authorization"] == "Bearer sk-1"
    assert request.headers["Sec-WebSocket-Protocol"] == "realtime, openai-beta.realtime-v1"
    assert "Sec-WebSocket-Extensions" not in request.headers


async def test_the_code_and_reason_of_the_upstreams_close_arrive() -> None:
    async def leave(socket: ServerConnection) -> None:
        await socket.send("last words")
        await socket.close(4008, "session expired")

    async with relayed(leave) as url, dial(url) as socket:
        assert await socket.recv() == "last words"
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert (socket.close_code, socket.close_reason) == (4008, "session expired")


async def test_the_code_and_reason_of_the_clients_close_arrive() -> None:
    closed: asyncio.Future[tuple[int | None, str | None]] = asyncio.Future()

    async def wait(socket: ServerConnection) -> None:
        await socket.wait_closed()
        closed.set_result((socket.close_code, socket.close_reason))

    async with relayed(wait) as url, dial(url) as socket:
        await socket.close(4001, "bye")
        assert await closed == (4001, "bye")


async def test_a_client_that_vanishes_is_gone_upstream_too() -> None:
    closed: asyncio.Future[int | None] = asyncio.Future()

    async def wait(socket: ServerConnection) -> None:
        await socket.wait_closed()
        closed.set_result(socket.close_code)

    async with relayed(wait) as url:
        socket = await dial(url)
        socket.transport.abort()
        assert await closed == 1006


async def test_an_upstream_that_vanishes_is_gone_for_the_client() -> None:
    async def vanish(socket: ServerConnection) -> None:
        await socket.recv()
        socket.transport.abort()

    async with relayed(vanish) as url, dial(url) as socket:
        await socket.send("x")
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 1006


async def test_a_slow_reader_holds_the_other_side_back() -> None:
    sent = 0
    done = asyncio.Event()

    async def pour(socket: ServerConnection) -> None:
        nonlocal sent
        for _ in range(64):
            await socket.send(b"x" * (1 << 20))
            sent += 1
        done.set()

    async with relayed(pour) as url, dial(url, max_queue=1) as socket:
        first = await socket.recv()
        assert len(first) == 1 << 20
        for _ in range(3000):  # whatever can still move does
            await turn()
        assert not done.is_set(), "64 MB are held somewhere"
        for _ in range(63):
            assert await socket.recv() == first
        assert done.is_set()


async def test_a_refusal_comes_back_with_its_status_and_body() -> None:
    refusal = {"error": {"message": "Incorrect API key", "code": "invalid_api_key"}}
    async with FakeUpstream() as up, live_proxy(upstream=up.url) as proxy:
        up.on("GET", "/v1/realtime", json_reply(refusal, 401, {"x-request-id": "req_1"}))
        with pytest.raises(InvalidStatus) as caught:
            await dial(f"ws://127.0.0.1:{proxy.port}/v1/realtime")
        response = caught.value.response
        assert response.status_code == 401
        assert response.headers["x-request-id"] == "req_1"
        assert b"invalid_api_key" in (response.body or b"")


async def test_an_unreachable_upstream_is_a_502() -> None:
    async with FakeUpstream() as gone:
        dead = gone.url
    async with live_proxy(upstream=dead) as proxy:
        with pytest.raises(InvalidStatus) as caught:
            await dial(f"ws://127.0.0.1:{proxy.port}/v1/realtime")
        assert caught.value.response.status_code == 502
        assert b"upstream_unreachable" in (caught.value.response.body or b"")


async def test_an_upgrade_without_its_connection_header_is_a_400() -> None:
    async with FakeUpstream() as up, live_proxy(upstream=up.url) as proxy:
        answer = await proxy.exchange(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: close\r\n\r\n"
        )
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert not up.requests


async def test_bytes_that_follow_the_handshake_at_once_are_not_lost() -> None:
    """A client may send its first frame before the 101, an upstream its first one with it."""
    key = base64.b64encode(b"0123456789abcdef")
    hello = (
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: x\r\n\r\n\x81\x05hello"
    )
    async with FakeUpstream() as up, live_proxy(upstream=up.url) as proxy:
        up.on("GET", "/", Answer(steps=[hello, HANG], framing="raw"))
        reader, writer = await proxy.connect()
        writer.write(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n\x81\x80mask" % key
        )
        assert await reader.readexactly(len(hello)) == hello
        seen = await up.request()
        await seen.gone.wait()  # the frame: the double takes any byte for the end
        writer.close()
        assert seen.header(b"sec-websocket-key") == key


async def test_tls_and_a_parent_proxy_are_used_for_websockets_too(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with (
        websocket_server(tls=authority.server("127.0.0.1")) as upstream,
        ConnectProxy("user:pass") as parent,
        live_proxy(
            upstream=upstream,
            upstream_ca=authority.pem,
            upstream_proxy=parent.url("user:pass"),
        ) as proxy,
        dial(f"ws://127.0.0.1:{proxy.port}") as socket,
    ):
        await socket.send("through")
        assert await socket.recv() == "through"
        assert len(parent.heads) == 1
