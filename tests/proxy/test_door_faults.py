"""Faults before a request is known: connections that are refused, hang, or fail in their handshake."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress

import pytest

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock, turn
from tests.conftest import Ended, Serve

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
HOST = "api.openai.com"


async def connected(app: App) -> Stream:
    host, _, port = app.url.removeprefix("http://").rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def tunnel(app: App, host: str = HOST) -> tuple[bytes, Stream]:
    """The status line of a CONNECT, and the connection."""
    reader, writer = await connected(app)
    writer.write(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    line = await reader.readline()
    return line, (reader, writer)


async def get(stream: Stream) -> bytes:
    reader, writer = stream
    writer.write(b"GET /v1/models HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n"
                 b"Authorization: Bearer any\r\n\r\n" % HOST.encode())  # fmt: skip
    answer = await reader.read()
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return answer


async def secured(app: App, host: str = HOST) -> Stream:
    """TLS with the host through a tunnel, its certificate checked."""
    line, (reader, writer) = await tunnel(app, host)
    assert line.split()[1] == b"200", line
    await reader.readuntil(b"\r\n")
    context = ssl.create_default_context(cafile=str(app.config.data_dir / "ca" / "root.pem"))
    try:
        await writer.start_tls(context, server_hostname=host)
    except BaseException:
        writer.transport.abort()
        raise
    return reader, writer


async def test_a_connection_is_reset_as_soon_as_it_is_made(serve: Serve) -> None:
    ended = Ended()
    app = await serve(observer=ended, fault=("connect_refused:first=1,per=client",))
    with pytest.raises(ConnectionResetError):
        await get(await connected(app))
    assert (await get(await connected(app))).startswith(b"HTTP/1.1 200")
    assert [(one.faults, one.end) for one in ended.exchanges] == [
        (("connect_refused",), "cut"),
        ((), "ok"),
    ]
    assert app.faults.list()[0]["applied"] == 1


async def test_a_host_is_refused_to_those_who_come_through_the_proxy(serve: Serve) -> None:
    app = await serve(fault=(f"connect_refused:host={HOST}",))
    line, (_, writer) = await tunnel(app)
    assert line.split()[1] == b"502"
    writer.close()
    assert (await get(await secured(app, "api.anthropic.com"))).startswith(b"HTTP/1.1")
    assert (await get(await connected(app))).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("condition", ["", f"host={HOST},"])
async def test_a_connection_hangs_and_is_reset(serve: Serve, condition: str) -> None:
    clock = VirtualClock()
    app = await serve(clock=clock, fault=(f"connect_hang:{condition}s=600",))
    with pytest.raises(ConnectionResetError):
        await tunnel(app)
    assert 600 <= clock.now() < 601


async def test_a_client_that_leaves_a_hanging_connection_frees_it(serve: Serve) -> None:
    app = await serve(clock=VirtualClock(autojump=False), fault=("connect_hang:s=600",))
    _, writer = await connected(app)
    while not app._door._tasks:
        await turn()
    writer.close()
    await writer.wait_closed()
    while app._door._tasks:
        await turn()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("alert", "(?i)handshake.failure"),
        ("plain", "(?i)wrong.version|http|record"),
        ("untrusted", "unable to get (local )?issuer"),
        ("expired", "certificate has expired"),
        ("wrong_host", "(?i)hostname mismatch|not valid for"),
    ],
)
async def test_a_handshake_fails_as_it_is_told_to(serve: Serve, how: str, said: str) -> None:
    app = await serve(fault=(f"tls_failure:how={how},first=1,per=client",))
    with pytest.raises(ssl.SSLError, match=said):
        await secured(app)
    assert (await get(await secured(app))).startswith(b"HTTP/1.1 200")


async def test_a_handshake_is_reset(serve: Serve) -> None:
    app = await serve(fault=("tls_failure:how=reset",))
    with pytest.raises(ConnectionError):
        await secured(app)


async def test_plain_http_has_no_handshake_to_fail(serve: Serve) -> None:
    app = await serve(fault=("tls_failure",))
    assert (await get(await connected(app))).startswith(b"HTTP/1.1 200")


async def test_faults_of_the_answer_reach_through_tls(serve: Serve) -> None:
    app = await serve(fault=("reset:after=0,first=1,per=client", "http10"))
    with pytest.raises(ConnectionError):
        await get(await secured(app))
    assert (await get(await secured(app))).startswith(b"HTTP/1.0 200")
