"""A WebSocket between a client and its upstream, passed through as bytes.

The upstream answers the client's own handshake, so frames need no translation: masks, fragments,
pings, close codes and reasons arrive as they were sent, at any size. Compression is not offered,
which keeps frames readable for whoever looks at them on the way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

from aiohttp import ClientResponse, web
from aiohttp.base_protocol import BaseProtocol

from fakeai_proxy.errors import StreamCut, bad_request
from fakeai_proxy.exchange import Headers, Reply, Request
from fakeai_proxy.proxy.wire import HttpClient, Sent

_SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\n"


class Opener(Protocol):
    async def open_websocket(self, request: Request) -> ClientResponse | Reply:
        """The upstream's 101 with its connection, or its refusal. Raises ApiError."""


async def relay_websocket(
    raw: web.BaseRequest, request: Request, upstream: Opener
) -> web.StreamResponse:
    """Carry the WebSocket that `request` asks for until either side leaves, then close the other.
    Raises ApiError before the upgrade."""
    tokens = request.text_header(b"connection").lower().replace(",", " ").split()
    if request.method != "GET" or "upgrade" not in tokens:
        raise bad_request("Bad request: a WebSocket starts with GET and `Connection: Upgrade`.")
    answer = await upstream.open_websocket(_uncompressed(request))
    if isinstance(answer, Reply):
        return await _refuse(HttpClient(raw), answer)
    try:
        await _splice(raw, answer)
    finally:
        answer.close()
    return Sent(False)


async def _refuse(client: HttpClient, reply: Reply) -> web.StreamResponse:
    """The upstream's own answer, for example a 401 with its JSON."""
    assert not isinstance(reply.chunks, Sequence)
    async with aclosing(reply.chunks) as chunks:
        client.sink.write(client.head(reply))
        try:
            async for chunk in chunks:
                assert isinstance(chunk.data, bytes)
                client.sink.write(client.frame(chunk.data))
                await client.drain()
        except StreamCut:
            client.cut()
            return Sent(False)
        client.sink.write(client.tail())
    return Sent(client.keep_alive)


async def _splice(raw: web.BaseRequest, answer: ClientResponse) -> None:
    connection = answer.connection
    if connection is None or connection.protocol is None or raw.transport is None:
        raise ConnectionResetError("one side left during the handshake")
    above = connection.protocol
    above.read_timeout = None  # a quiet WebSocket is no failure
    ended = asyncio.Event()
    raw.transport.write(_SWITCHING + _lines(answer.raw_headers) + b"\r\n")
    upward = _Direction(raw.protocol, above, ended)
    downward = _Direction(above, raw.protocol, ended)
    raw.protocol.keep_alive(False)
    try:
        # aiohttp gives everything after an upgrade to a parser of frames; these take bytes.
        raw.protocol.set_parser(upward)  # type: ignore[arg-type]  # the same two methods suffice
        above.set_parser(downward, downward)
        await ended.wait()
    finally:
        upward.close()
        downward.close()


class _Direction:
    """Writes what one side sends to the other at once, so that a last frame is never lost; a side
    that outruns the other is not read from until the other has caught up."""

    def __init__(self, source: BaseProtocol, sink: BaseProtocol, ended: asyncio.Event) -> None:
        self._source = source
        self._sink = sink
        self._ended = ended
        self._waiting: asyncio.Task[None] | None = None

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        transport = self._sink.transport
        if transport is None or transport.is_closing():
            self._ended.set()
        else:
            transport.write(data)
            if self._sink.writing_paused and self._waiting is None:
                self._source.pause_reading()
                self._waiting = asyncio.get_running_loop().create_task(self._resume())
        return False, b""

    def feed_eof(self) -> None:
        self._ended.set()

    def set_exception(self, failure: BaseException, cause: BaseException | None = None) -> None:
        self._ended.set()

    def close(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()

    async def _resume(self) -> None:
        try:
            await self._sink._drain_helper()  # what aiohttp's own writers wait for
        except ConnectionError:
            self._ended.set()
        self._waiting = None
        self._source.resume_reading()


def _uncompressed(request: Request) -> Request:
    kept = tuple(pair for pair in request.headers if pair[0].lower() != b"sec-websocket-extensions")
    return replace(request, headers=kept)


def _lines(headers: Headers) -> bytes:
    """All of the upstream's: `Connection` and `Upgrade` too belong into a 101."""
    return b"".join([b"%b: %b\r\n" % pair for pair in headers])
