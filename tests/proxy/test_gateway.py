"""Where errors become HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator

import pytest

from fakeai_proxy.errors import server_error
from fakeai_proxy.exchange import LIVE, Chunk, Exchange, Reply
from tests.conftest import Serve


class Breaking:
    """A source whose reply fails after its first piece."""

    def __init__(self, failure: Exception) -> None:
        self.failure = failure

    async def reply(self, exchange: Exchange) -> Reply:
        return Reply(200, (), self._chunks(), provenance=LIVE)

    async def _chunks(self) -> AsyncGenerator[Chunk]:
        yield Chunk(b"part")
        raise self.failure

    async def close(self) -> None: ...


async def answer(url: str, head: bytes) -> bytes:
    host, _, port = url.rpartition("//")[2].rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(head)
    whole = await reader.read()
    writer.close()
    await writer.wait_closed()
    return whole


@pytest.mark.parametrize("failure", [server_error(), RuntimeError("nobody expected this")])
async def test_a_failure_within_a_reply_ends_the_connection_and_not_the_body(
    serve: Serve, failure: Exception
) -> None:
    app = await serve()
    app.gateway._pipeline.source = Breaking(failure)
    whole = await answer(app.url, b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
    assert whole.count(b"HTTP/1.1") == 1
    assert whole.endswith(b"4\r\npart\r\n")


async def test_an_error_has_the_vendors_headers_too(serve: Serve) -> None:
    app = await serve()
    whole = await answer(
        app.url, b"GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    head = whole.partition(b"\r\n\r\n")[0].lower()
    assert head.startswith(b"http/1.1 401")
    for name in (b"x-request-id", b"openai-version", b"openai-processing-ms", b"date"):
        assert b"\r\n%b: " % name in head


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_says_no_more_gets_its_answer(serve: Serve, stream: bool) -> None:
    app = await serve(profile="quick", speed=10.0)
    body = json.dumps(
        {
            "model": "gpt-4o",
            "stream": stream,
            "max_tokens": 5,
            "messages": [{"role": "user", "content": "Hello"}],
        }
    ).encode()
    host, _, port = app.url.rpartition("//")[2].rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    writer.write_eof()
    whole = await reader.read()
    writer.close()
    final = whole.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
    assert final.startswith(b"HTTP/1.1 200 OK\r\n")
    assert final.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n" if stream else b"}")
