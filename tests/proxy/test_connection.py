"""A client's connection, from its first request to its end."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from fakeai_proxy.app import App
from tests.conftest import Serve

#: More than the buffers of a socket hold.
UNREAD_BYTES = 5_000_000
PIECE = b"x" * 50_000


@asynccontextmanager
async def connected(app: App) -> AsyncIterator[tuple[StreamReader, StreamWriter]]:
    host, _, port = app.url.rpartition("//")[2].rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        async with asyncio.timeout(20):
            yield reader, writer
    finally:
        writer.close()


def head(target: str, *lines: str) -> bytes:
    begins = (f"POST {target} HTTP/1.1", "Host: x", f"Content-Length: {UNREAD_BYTES}")
    return "\r\n".join((*begins, *lines, "", "")).encode()


async def answered(reader: StreamReader) -> int:
    """The status of an answer, which is read whole."""
    lines = (await reader.readuntil(b"\r\n\r\n")).lower()
    await reader.readexactly(int(lines.partition(b"content-length: ")[2].split(b"\r\n")[0]))
    return int(lines.split()[1])


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (head("/v1/chat/completions"), 401),
        (head("/v1/nothing", "Authorization: Bearer any"), 404),
        (head("/v1/nothing", "Authorization: Bearer any", "Connection: close"), 404),
    ],
)
async def test_a_body_that_nobody_reads_may_be_sent_to_its_end(
    serve: Serve, request_head: bytes, status: int
) -> None:
    """A reset meanwhile is what requests and others would tell of, instead of the answer."""
    app = await serve()
    async with connected(app) as (reader, writer):
        writer.write(request_head + PIECE)
        assert await answered(reader) == status
        for _ in range(UNREAD_BYTES // len(PIECE) - 1):
            writer.write(PIECE)
            await writer.drain()
        assert await reader.read() == b""


async def test_a_body_that_waits_to_be_asked_for_is_not_waited_for(serve: Serve) -> None:
    app = await serve()
    async with connected(app) as (reader, writer):
        writer.write(head("/v1/chat/completions", "Expect: 100-continue"))
        assert await answered(reader) == 401
        async with asyncio.timeout(8):  # less than what is unread is waited for
            assert await reader.read() == b""
