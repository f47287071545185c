"""A WebSocket between a client and its upstream, passed through as bytes.

The upstream answers the client's own handshake, so frames need no translation: masks, fragments,
pings, close codes and reasons arrive as they were sent, at any size. Whoever records it looks on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import aclosing

from aiohttp import ClientResponse
from aiohttp.base_protocol import BaseProtocol

from fakeai_proxy.dialogue import Onlooker, Passage
from fakeai_proxy.exchange import (
    Headers,
    Reply,
)
from fakeai_proxy.proxy import web

_SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\n"


async def pass_through(raw: web.BaseRequest, reply: Reply) -> None:
    """Carry the WebSocket that `reply` opens until either side leaves, then close the other. Raises
    ConnectionError when the client was the one, without a word."""
    assert reply.passage is not None
    assert not isinstance(reply.chunks, Sequence)
    async with aclosing(reply.chunks):
        await _splice(raw, reply.passage, reply.headers)


async def _splice(raw: web.BaseRequest, passage: Passage, headers: Headers) -> None:
    answer = passage.connection
    assert isinstance(answer, ClientResponse)
    connection = answer.connection
    if connection is None or connection.protocol is None or raw.transport is None:
        raise ConnectionResetError("one side left during the handshake")
    above = connection.protocol
    above.read_timeout = None  # a quiet WebSocket is no failure
    ended = asyncio.Event()
    raw.transport.write(_SWITCHING + _lines(headers) + b"\r\n")
    upward = _Direction(raw.protocol, above, ended, passage.onlookers, from_client=True)
    downward = _Direction(above, raw.protocol, ended, passage.onlookers, from_client=False)
    raw.protocol.keep_alive(False)
    try:
        # aiohttp gives everything after an upgrade to a parser of frames; these take bytes.
        raw.protocol.set_parser(upward)  # type: ignore[arg-type]  # the same two methods suffice
        above.set_parser(downward, downward)
        await ended.wait()
        await downward.delivered()
        for onlooker in passage.onlookers:
            await onlooker.ended(by_client=upward.ended)
    finally:
        upward.close()
        downward.close()


class _Direction:
    """Writes what one side sends to the other at once, so that a last frame is never lost; a side
    that outruns the other is not read from until the other has caught up. Where an onlooker has to
    be waited for, what comes meanwhile waits, too."""

    def __init__(
        self,
        source: BaseProtocol,
        sink: BaseProtocol,
        ended: asyncio.Event,
        onlookers: Sequence[Onlooker],
        *,
        from_client: bool,
    ) -> None:
        self._source = source
        self._sink = sink
        self._both = ended
        self._onlookers = onlookers
        self._from_client = from_client
        self._waiting: asyncio.Task[None] | None = None
        self._held = bytearray()
        self._delivering: asyncio.Task[None] | None = None
        self.ended = False

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        awaited = [
            seen
            for onlooker in self._onlookers
            if (seen := onlooker.saw(self._from_client, data)) is not None
        ]
        if self._delivering is None and not awaited:
            self._write(data)
        else:
            self._held += data
            self._delivering = asyncio.get_running_loop().create_task(
                self._deliver(self._delivering, awaited)
            )
        return False, b""

    def feed_eof(self) -> None:
        self.ended = True
        self._both.set()

    def set_exception(self, failure: BaseException, cause: BaseException | None = None) -> None:
        self.feed_eof()

    async def delivered(self) -> None:
        """Until nothing is held back any more."""
        while self._delivering is not None:
            await self._delivering

    def close(self) -> None:
        for task in (self._waiting, self._delivering):
            if task is not None:
                task.cancel()

    async def _deliver(
        self, before: asyncio.Task[None] | None, awaited: Sequence[Awaitable[None]]
    ) -> None:
        if before is not None:
            await before
        for seen in awaited:
            await seen
        held, self._held = bytes(self._held), bytearray()
        if held:
            self._write(held)
        if self._delivering is asyncio.current_task():
            self._delivering = None

    def _write(self, data: bytes) -> None:
        transport = self._sink.transport
        if transport is None or transport.is_closing():
            self._both.set()
            return
        transport.write(data)
        if self._sink.writing_paused and self._waiting is None:
            self._source.pause_reading()
            self._waiting = asyncio.get_running_loop().create_task(self._resume())

    async def _resume(self) -> None:
        try:
            await self._sink._drain_helper()  # what aiohttp's own writers wait for
        except ConnectionError:
            self._both.set()
        self._waiting = None
        self._source.resume_reading()


def _lines(headers: Headers) -> bytes:
    """All of the upstream's: `Connection` and `Upgrade` too belong into a 101."""
    return b"".join([b"%b: %b\r\n" % pair for pair in headers])
