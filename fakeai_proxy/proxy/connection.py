"""A client's connection: aiohttp's, whose parser reads what comes in, with requests answered our way."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aiohttp import HttpVersion11, StreamReader
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import BadHttpMethod, InvalidURLError, LineTooLong
from aiohttp.web_protocol import _ErrInfo

from fakeai_proxy.clock import Clock
from fakeai_proxy.errors import bad_request
from fakeai_proxy.exchange import Exchange, Origin
from fakeai_proxy.providers import OPENAI, error_body
from fakeai_proxy.proxy import web
from fakeai_proxy.proxy.wire import Answer, HttpClient, Incoming

#: Linux only.
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)

#: Interim responses that ask whether a client that says no more still listens.
INTERIM_TRIES = 3
INTERIM_SPACING_REAL_S = 0.02

#: What the parser says of its own inner life, or with the client's bytes in it, in our words.
_FAULTS: tuple[tuple[type[Exception], str], ...] = (
    (BadHttpMethod, "it does not begin with an HTTP method"),
    (InvalidURLError, "its target is neither a path nor a URL"),
    (LineTooLong, "its target or one of its headers is too long"),
)
_SAYINGS = {
    "Bad status line": "its first line is not METHOD TARGET HTTP/1.1",
    "Expected CRLF after version": "its first line is not METHOD TARGET HTTP/1.1",
    "Pause on PRI/Upgrade": "this is HTTP/2; speak HTTP/1.1 here",
}


#: Longest request line and longest header field.
HEADER_BYTES_MAX = 64 << 10
#: How long an idle connection is kept; clients' pools give theirs up sooner.
KEEP_ALIVE_REAL_S = 300.0


class Connection(web.RequestHandler):
    """aiohttp's connection, which also knows when its last bytes arrived and whether it is the
    inside of a CONNECT tunnel. `seen_at` is when the first bytes of the connection arrived."""

    __slots__ = (
        "_answer",
        "_held",
        "_newest",
        "_waiting",
        "answered",
        "arrived_at",
        "exchange",
        "is_ending",
        "now",
        "remote",
        "tunnel",
        "user",
    )

    def __init__(
        self,
        server: web.Server,
        now: Callable[[], float],
        tunnel: Origin | None = None,
        seen_at: float | None = None,
        user: str = "",
        answer: Answer | None = None,
        **settings: object,
    ) -> None:
        """`answer` says whether the connection stays; without it the server's handler is asked."""
        super().__init__(server, loop=asyncio.get_running_loop(), **settings)  # type: ignore[arg-type]
        self.now = now
        self.tunnel = tunnel
        #: Whom the proxy's credentials named when the tunnel was asked for.
        self.user = user
        self.arrived_at = now() if seen_at is None else seen_at
        self._answer = answer
        self._waiting = False
        self._held = False
        #: What is being answered, and how many requests have been; the gateway tells.
        self.exchange: Exchange | None = None
        self.answered = 0
        #: The address at its other end.
        self.remote = ""
        #: Nothing more is answered on it.
        self.is_ending = False
        self._newest: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # The front door hands a socket over once its first bytes are there: they arrived when this
        # was made, some turns of the event loop before they are read. TLS has a handshake to go.
        self._waiting = transport.get_extra_info("sslcontext") is None
        peer = transport.get_extra_info("peername")
        self.remote = str(peer[0] if isinstance(peer, (list, tuple)) else peer or "")

    async def start(self) -> None:
        """aiohttp's own without a task and objects of its own for each request: together they cost as
        much as finding a recording. What is no plain request is left to aiohttp's."""
        answer, loop = self._answer, self._loop
        if answer is None:
            await super().start()
            return
        while not self._force_close:
            if not self._messages:
                self._waiter = loop.create_future()
                try:
                    await self._waiter
                finally:
                    self._waiter = None
            message, body = self._messages[0]
            if (
                self._upgraded
                or self._buffer_paused
                or isinstance(message, _ErrInfo)
                or "Upgrade" in message.headers
            ):
                await super().start()
                return
            self._messages.popleft()
            if self._parser is not None:
                self._parser.message_consumed()
            stays = await self._answered(Incoming(message, body, self), answer)
            if not body.is_eof():
                stays = await self._read_out(message, body) and stays
            if self._close or self.is_ending or not stays:
                break
            self._next_keepalive_close_time = at = loop.time() + KEEP_ALIVE_REAL_S
            if self._keepalive_handle is None:
                self._keepalive_handle = loop.call_at(at, self._process_keepalive)
        if not self._force_close:
            self._task_handler = None
            if self.transport is not None:
                self.transport.close()

    def end(self) -> asyncio.Task[None] | None:
        """Closes it, or lets it come to an end with the answer that is under way."""
        if not self._request_in_progress and not self._messages:
            self.close()
            return None
        self.is_ending = True
        return self._task_handler

    async def _answered(self, incoming: Incoming, answer: Answer) -> bool:
        """Whether the connection stays. Raises CancelledError when the client has gone."""
        self._current_request = incoming  # type: ignore[assignment]  # what aiohttp asks of it, it does
        self._request_in_progress = True
        try:
            return await answer(incoming)
        except ConnectionError:
            return False
        except asyncio.CancelledError:
            self.force_close()
            raise
        finally:
            self._current_request, self._request_in_progress = None, False
            if self._handler_waiter is not None:
                self._handler_waiter.set_result(None)

    async def _read_out(self, message: RawRequestMessage, body: StreamReader) -> bool:
        """Lets a client send what nobody wants to read, also where the connection ends afterwards: to
        close it meanwhile is to reset it, and a client meets that before its answer. Whether all of it
        has come in time."""
        transport = self.transport
        if self._force_close or transport is None or transport.is_closing():
            return False
        if not body.total_bytes and "Expect" in message.headers:
            return False  # nothing comes before it is asked for
        with suppress(TimeoutError, web.RequestPayloadError):
            async with asyncio.timeout(self._lingering_time):
                while not body.is_eof():
                    await body.readany()
        return bool(body.is_eof())

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._newest = None  # its body knows the connection

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio's own signature
        """Whether to go on writing to a client that says no more.

        One that has closed its sending side still wants its answer; one that has left wants nothing,
        and looks the same. Until an answer has begun we can ask: a client that has left answers an
        interim response (RFC 9110, 15.2) with a reset. Later, or inside TLS, it counts as gone.
        """
        if not self._may_be_asked():
            return False
        self.close()  # after this answer
        self._ask(INTERIM_TRIES)
        return True

    def _may_be_asked(self) -> bool:
        transport = self.transport
        if transport is None or transport.is_closing():
            return False
        if transport.get_extra_info("sslcontext") is not None:
            return False
        if self.exchange is not None and self.exchange.first_byte_at is not None:
            return False
        if self._request_count != self.answered + 1 or self._newest is None:
            return False  # nothing is asked, or several things at once
        message, body = self._newest
        return (
            not isinstance(message, _ErrInfo)
            and message.version >= HttpVersion11
            and bool(body.is_eof())
        )

    def _ask(self, tries: int) -> None:
        """The first write to a client that has left brings a reset, the next one finds it."""
        transport, exchange = self.transport, self.exchange
        begun = exchange is not None and exchange.first_byte_at is not None
        if transport is None or transport.is_closing() or begun:
            return
        transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if tries > 1:
            self._loop.call_later(INTERIM_SPACING_REAL_S, self._ask, tries - 1)

    def pause_reading(self) -> None:
        self._held = True
        super().pause_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:
        """aiohttp asks for this at each read of a body, and then parses and polls for nothing."""
        if self._held:
            self._held = False
            super().resume_reading(resume_parser)

    def data_received(self, data: bytes) -> None:
        if self._waiting:
            self._waiting = False
        else:
            self.arrived_at = self.now()
        super().data_received(data)
        if self._messages:
            self._newest = self._messages[-1]
            if isinstance(self._newest[0], _ErrInfo):
                self._break_off()
        if _QUICKACK is not None and data.endswith(b"\r\n\r\n") and self.transport is not None:
            # A head by itself: urllib3 leaves Nagle's algorithm on towards a proxy and keeps a small
            # body back until we acknowledge, which the kernel would put off by 40 ms.
            self.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

    def _break_off(self) -> None:
        """The parser gave up; aiohttp would leave whoever reads a body that is not whole waiting."""
        fault = self._messages[-1][0]
        assert isinstance(fault, _ErrInfo)
        bodies = [payload for _, payload in self._messages]
        if self._current_request is not None:
            bodies.append(self._current_request.content)
        for body in bodies:
            if not body.is_eof():
                body.set_exception(web.RequestPayloadError(_reason(fault.exc, fault.message)))
                body.feed_eof()  # or aiohttp goes on reading after our answer, and logs what it finds

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Bytes that are not HTTP: a 400 in the envelope, then the end of the connection."""
        client = HttpClient(Incoming.of(request))
        client.keep_alive = False
        error = bad_request(f"Bad request: {_reason(exc, message)}.")
        client.send_whole(
            400, error_body(OPENAI, error, ""), ((b"content-type", b"application/json"),)
        )
        return ENDS


def _reason(fault: BaseException | None, message: str | None) -> str:
    for kind, saying in _FAULTS:
        if isinstance(fault, kind):
            return saying
    said = (message or "it is not HTTP").splitlines()[0].rstrip(".: ")
    return _SAYINGS.get(said, said)


class Sent(web.StreamResponse):
    """What aiohttp is told when a response has already been written."""

    def __init__(self, keep_alive: bool) -> None:
        super().__init__()
        self._stays = keep_alive

    @property
    def keep_alive(self) -> bool:
        return self._stays

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None


#: One connection's is like another's.
STAYS, ENDS = Sent(True), Sent(False)


def connected(
    server: web.Server,
    clock: Clock,
    tunnel: Origin | None,
    waiting_s: float,
    user: str,
    answer: Answer,
) -> Connection:
    """`waiting_s` is for how long the first bytes have been here."""
    return Connection(
        server,
        clock.now,
        tunnel,
        clock.ago(waiting_s),
        user,
        answer,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=KEEP_ALIVE_REAL_S,
        max_line_size=HEADER_BYTES_MAX,
        max_field_size=HEADER_BYTES_MAX,
    )
