"""HTTP/1.1 as it goes out: heads and frames written straight to the transport.

aiohttp parses what comes in; what goes out is ours, because a recorded reply keeps its header
order, case, duplicates and odd bytes, and because a paced frame must cost one `write`.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import HttpVersion11, StreamReader
from aiohttp.http_parser import RawRequestMessage

from fakeai_proxy.errors import bad_request
from fakeai_proxy.exchange import Exchange, Headers, Reply
from fakeai_proxy.headers import written
from fakeai_proxy.proxy import web

_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


class Incoming:
    """A request as the parser has it. `raw` is aiohttp's, where aiohttp has made one."""

    __slots__ = ("connection", "content", "message", "raw")

    def __init__(
        self,
        message: RawRequestMessage,
        content: StreamReader,
        connection: web.RequestHandler,
        raw: web.BaseRequest | None = None,
    ) -> None:
        self.message = message
        self.content = content
        self.connection = connection
        self.raw = raw

    @classmethod
    def of(cls, raw: web.BaseRequest) -> Incoming:
        return cls(raw._message, raw.content, raw.protocol, raw)

    def _cancel(self, failure: BaseException) -> None:
        """The client has gone, while its body was arriving."""
        self.content.set_exception(failure)


Answer = Callable[[Incoming], Awaitable[bool]]


class HttpClient:
    """The client's end of an exchange over HTTP/1.x."""

    def __init__(self, incoming: Incoming) -> None:
        message, protocol = incoming.message, incoming.connection
        transport = protocol.transport
        if transport is None:
            raise ConnectionResetError("the client has gone")
        self.sink = transport
        self.keep_alive = not message.should_close
        #: HTTP/1.1, which has chunks and interim responses.
        self.is_modern = message.version >= HttpVersion11
        self._version = b"1.1"
        self._headless_body = message.method == "HEAD"
        self._bodiless = False
        self._chunked = False
        self._protocol = protocol

    def head(self, reply: Reply) -> bytes:
        self._bodiless = (
            self._headless_body or reply.status in (204, 304) or 100 <= reply.status < 200
        )
        lines, have_length = written(reply.headers)
        reason = reply.reason.encode("latin-1") if reply.reason else _REASONS.get(reply.status, b"")
        framing = connection = b""
        if not self._bodiless and not have_length:
            if self.is_modern:
                self._chunked = True
                framing = b"Transfer-Encoding: chunked\r\n"
            else:
                self.keep_alive = False
        if not self.keep_alive:
            connection = b"Connection: close\r\n"
        elif not self.is_modern:
            connection = b"Connection: keep-alive\r\n"
        start = b"HTTP/%b %d %b\r\n" % (self._version, reply.status, reason)
        return b"".join((start, lines, framing, connection, b"\r\n"))

    def frame(self, data: bytes) -> bytes:
        if self._bodiless:
            return b""
        # An empty chunk would end the body.
        return b"%x\r\n%b\r\n" % (len(data), data) if self._chunked and data else data

    def tail(self) -> bytes:
        return b"0\r\n\r\n" if self._chunked else b""

    @property
    def is_slow(self) -> bool:
        """Whether it has not read what it was sent."""
        return self._protocol.writing_paused

    async def drain(self) -> None:
        if self._protocol.writing_paused:
            await self._protocol._drain_helper()

    async def converse(self, exchange: Exchange, reply: Reply) -> None:
        raise bad_request("Bad request: this is asked for with a WebSocket handshake.")

    def cut(self) -> None:
        self.keep_alive = False
        self.sink.close()

    def reset(self) -> None:
        self.keep_alive = False
        sock = self.sink.get_extra_info("socket")
        if sock is not None and not self.sink.is_closing():
            # Not to linger at all is what makes the kernel send a reset.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sink.abort()

    def downgrade(self) -> None:
        self.is_modern, self._version, self.keep_alive = False, b"1.0", False

    def close_after(self) -> None:
        self.keep_alive = False

    def send_whole(self, status: int, body: bytes, headers: Headers) -> None:
        """A whole response in one write."""
        length = (b"content-length", b"%d" % len(body))
        self.sink.write(self.head(Reply(status, (*headers, length), [])) + self.frame(body))
