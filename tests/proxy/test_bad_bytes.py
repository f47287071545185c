"""Bytes that are no HTTP: told at once, in our own words."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from fakeai_proxy.app import App
from tests.conftest import Serve

CHUNKED = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer any\r\n"
    b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
)
GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"


async def answer(app: App, head: bytes, rest: bytes = b"") -> tuple[bytes, str]:
    """The status line and the message of the error, once the server has hung up. `rest` is sent when
    the server asks for it."""
    host, _, port = app.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(head)
        if rest:
            assert await reader.readexactly(len(GO_ON)) == GO_ON
            writer.write(rest)
        async with asyncio.timeout(20):
            said = await reader.read()
    finally:
        writer.close()
    start, _, body = said.partition(b"\r\n\r\n")
    return start.split(b"\r\n")[0], orjson.loads(body)["error"]["message"]


@pytest.mark.parametrize("sent_before", [b"", b"1\r\n{\r\n"])
@pytest.mark.parametrize("garbage", [b"zz\r\n{}\r\n", b"-3\r\nabc\r\n", b"fffffffffffffffff\r\n"])
async def test_a_malformed_chunk_ends_a_body_at_once(
    serve: Serve, sent_before: bytes, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    app = await serve()
    head = CHUNKED + b"Expect: 100-continue\r\n\r\n"
    status, message = await answer(app, head, sent_before + garbage)
    assert status == b"HTTP/1.1 400 Bad Request"
    assert message.startswith("Bad request: the body is broken off (")
    assert not caplog.records


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"nonsense\r\n\r\n", "it does not begin with an HTTP method"),
        (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", "its first line is not METHOD TARGET HTTP/1.1"),
        (b"GET http:/// HTTP/1.1\r\nHost: x\r\n\r\n", "its target is neither a path nor a URL"),
        (
            b"GET / HTTP/1.1\r\nHost: x\r\nX-Secret: " + b"s" * 100_000 + b"\r\n\r\n",
            "its target or one of its headers is too long",
        ),
    ],
)
async def test_what_is_wrong_is_said_without_repeating_it(
    serve: Serve, sent: bytes, said: str
) -> None:
    app = await serve()
    assert await answer(app, sent) == (b"HTTP/1.1 400 Bad Request", f"Bad request: {said}.")
