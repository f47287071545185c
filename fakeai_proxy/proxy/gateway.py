"""HTTP request -> Exchange, and the one place where errors become HTTP."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Protocol

from fakeai_proxy import errors
from fakeai_proxy.body import Body
from fakeai_proxy.clock import Clock
from fakeai_proxy.dice import Dice
from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import Exchange, Headers, Origin, Reply, Request, current_id
from fakeai_proxy.pipeline import Pipeline
from fakeai_proxy.providers import Dialect, Told, error_answer, provider_of
from fakeai_proxy.proxy import sessions, web
from fakeai_proxy.proxy.connection import ENDS, STAYS, Connection
from fakeai_proxy.proxy.feed import Feed, feed
from fakeai_proxy.proxy.policy import Policy, Verdict
from fakeai_proxy.proxy.socket import SocketClient
from fakeai_proxy.proxy.wire import HttpClient, Incoming

log = logging.getLogger("fakeai_proxy")

_ABSOLUTE = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]+)(?P<target>[/?].*)?", re.I)
_AUTHORITY = re.compile(r"(?:[^@]*@)?(?P<host>\[[^\]]+\]|[^:\[\]]+)(?::(?P<port>\d{1,5}))?")

#: How long a client may pause within a request body.
BODY_IDLE_REAL_S = 60.0

_WORD = (1 << 64) - 1
#: An odd number, so that no two serial numbers share an id (2^64 / golden ratio).
_SPREAD = 0x9E3779B97F4A7C15


class Local(Protocol):
    """Our own pages."""

    def owns(self, request: Request) -> bool: ...

    def socket(self, request: Request) -> Feed | None:
        """What a WebSocket handshake leads to, if it is for us."""

    async def answer(self, request: Request) -> tuple[int, Headers, bytes | AsyncGenerator[bytes]]:
        """Status, headers and body, whole or as a stream. Raises ApiError."""


class Gateway:
    def __init__(
        self,
        pipeline: Pipeline,
        passthrough: Pipeline,
        policy: Policy,
        local: Local,
        is_own: Callable[[str, int], bool],
        clock: Clock,
        dice: Dice,
        dialect: Dialect = "auto",
    ) -> None:
        """`is_own` tells whether a host and port are where we listen ourselves."""
        self._pipeline = pipeline
        self._passthrough = passthrough
        self._policy = policy
        self._local = local
        self._is_own = is_own
        self._clock = clock
        self._dialect = dialect
        self._serial = 0
        #: Of our own pages that go on until somebody ends them.
        self._streams: set[asyncio.Timeout] = set()
        started = dice.number("instance", int(clock.wall() * 1000), dice.process) & _WORD
        #: What the ids of this process's exchanges begin with.
        self._begins = f"req_{started:016x}"

    async def handle(self, raw: web.BaseRequest) -> web.StreamResponse:
        """What comes by way of aiohttp: WebSockets, and whoever follows on one's heels."""
        return STAYS if await self.answer(Incoming.of(raw)) else ENDS

    async def answer(self, incoming: Incoming) -> bool:
        """Whether the connection stays. Raises CancelledError and ConnectionError when it is lost."""
        client = HttpClient(incoming)
        connection, message = incoming.connection, incoming.message
        assert isinstance(connection, Connection)
        self._serial += 1
        exchange = Exchange(
            f"{self._begins}{self._serial * _SPREAD & _WORD:016x}",
            Request(message.method, message.path, message.raw_headers, _body(incoming)),
            connection.arrived_at,
        )
        current_id.set(exchange.id)
        if client.is_modern:
            connection.exchange = exchange
        try:
            client = await self._serve(incoming, connection, exchange, client)
        except ApiError as error:
            self._end(exchange, client, error)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception:
            log.exception("%s %s failed", message.method, message.path)
            self._end(exchange, client, errors.server_error())
        finally:
            connection.exchange = None
            connection.answered += 1
        return client.keep_alive and not connection.is_ending

    async def _serve(
        self,
        incoming: Incoming,
        connection: Connection,
        exchange: Exchange,
        client: HttpClient,
    ) -> HttpClient:
        """Whom it was said to."""
        request, tunnel = exchange.request, connection.tunnel
        request.client = connection.remote
        request.dialect = self._dialect
        locate(request, tunnel)
        sessions.settle(request, connection.user)
        pipeline = self._pipeline
        if request.origin is not None and tunnel is None:
            pipeline = self._forward(request)
        # On intercepted hosts too: a client that reads our page there has proved its set-up.
        if pipeline is self._pipeline and self._local.owns(request):
            local = self._local.socket(request)
            if local is not None:
                client.keep_alive = False
                assert incoming.raw is not None
                await feed(incoming.raw, local, self._clock, self._while_serving)
                return client
            status, headers, body = await self._local.answer(request)
            if isinstance(body, bytes):
                client.send_whole(status, body, headers)
            else:
                await self._stream(exchange, client, Reply(status, headers, ()), body)
            return client
        if request.is_handshake:
            client = SocketClient(incoming, pipeline, self._clock)
        await pipeline.serve(exchange, client)
        return client

    async def _stream(
        self, exchange: Exchange, client: HttpClient, reply: Reply, pieces: AsyncGenerator[bytes]
    ) -> None:
        """A page that goes on until its reader leaves or `end_streams` is called; one that reads
        slowly is waited for."""
        sink = client.sink
        sink.write(client.head(reply))
        exchange.first_byte_at = self._clock.now()
        with suppress(TimeoutError):  # ended by us
            async with self._while_serving(), aclosing(pieces):
                if exchange.request.method == "HEAD":
                    return
                async for piece in pieces:
                    if sink.is_closing():
                        raise ConnectionResetError("the reader has gone")
                    sink.write(client.frame(piece))
                    await client.drain()
        sink.write(client.tail())

    @asynccontextmanager
    async def _while_serving(self) -> AsyncGenerator[None]:
        """Raises TimeoutError when `end_streams` is called."""
        async with asyncio.timeout(None) as life:
            self._streams.add(life)
            try:
                yield
            finally:
                self._streams.discard(life)

    def end_streams(self) -> None:
        """Whoever reads one of our pages for as long as it goes on does not keep us from stopping."""
        for life in list(self._streams):
            life.reschedule(0.0)

    def _forward(self, request: Request) -> Pipeline:
        """The pipeline for a request in absolute form. Raises 403 and 407."""
        assert request.origin is not None
        if self._is_own(request.origin.host, request.origin.port):
            request.origin = None  # a base URL, spelled out in full
            return self._pipeline
        if not self._policy.admits(request.header(b"proxy-authorization")):
            raise errors.proxy_credentials_required()
        verdict = self._policy.verdict(request.origin.host, request.origin.port)
        if verdict is Verdict.REFUSE:
            raise self._policy.refusal(request.origin.authority)
        return self._pipeline if verdict is Verdict.INTERCEPT else self._passthrough

    def _end(self, exchange: Exchange, client: HttpClient, error: ApiError) -> None:
        """Answer with the error; once the head of another answer has gone out, end the connection,
        which is the one honest signal left."""
        if client.sink.is_closing():
            return
        if exchange.first_byte_at is not None:
            client.cut()
            return
        if not exchange.request.body.complete:
            client.keep_alive = False  # what follows on this connection is the rest of the body
        told = Told(
            exchange.id,
            int((self._clock.now() - exchange.arrived_at) * 1000),
            int(self._clock.wall()),
        )
        answer = error_answer(provider_of(exchange.request), error, told)
        client.send_whole(answer.status, answer.body, answer.headers)


def locate(request: Request, tunnel: Origin | None) -> None:
    """Settle whom the request is meant for: sets `origin` and makes `target` origin-form. Raises
    400 and 421."""
    if request.method == "CONNECT":
        raise errors.method_not_allowed("CONNECT", request.target, "CONNECT on a fresh connection")
    absolute = None if request.target.startswith("/") else _ABSOLUTE.fullmatch(request.target)
    if absolute is not None:
        request.origin = parse_authority(absolute["authority"], absolute["scheme"].lower())
        target = absolute["target"] or "/"
        request.target = target if target.startswith("/") else "/" + target
    elif not request.target.startswith("/") and request.target != "*":
        raise errors.bad_request("Bad request: the target must be a path or an absolute URL.")
    if tunnel is None:
        return
    host = request.text_header(b"host")
    named = request.origin or (parse_authority(host, tunnel.scheme) if host else tunnel)
    if named.host.lower() != tunnel.host.lower():
        raise errors.misdirected(named.authority, tunnel.authority)
    request.origin = tunnel


def parse_authority(authority: str, scheme: str) -> Origin:
    """`HOST`, `HOST:PORT` or `[V6]:PORT`. Raises 400."""
    match = _AUTHORITY.fullmatch(authority)
    port = int(match["port"]) if match and match["port"] else {"http": 80, "https": 443}[scheme]
    if match is None or not 0 < port < 65536:
        raise errors.bad_request(f"Bad request: '{authority}' is no host and port.")
    return Origin(scheme, match["host"].strip("[]").lower(), port)


def _body(incoming: Incoming) -> Body:
    content = incoming.content
    if content.at_eof():
        return Body(b"")
    if content.is_eof() and content.exception() is None:
        return Body(content.read_nowait())  # all of it came with the head
    length = incoming.message.headers.get("Content-Length")
    return Body(
        _arriving(incoming), int(length) if length is not None and length.isdigit() else None
    )


async def _arriving(incoming: Incoming) -> AsyncIterator[bytes]:
    transport = incoming.connection.transport
    expected = incoming.message.headers.get("Expect", "")
    if expected.lower() == "100-continue" and transport is not None:
        transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    try:
        while True:
            async with asyncio.timeout(BODY_IDLE_REAL_S):
                piece = await incoming.content.readany()
            if not piece:
                break
            yield piece
    except TimeoutError:
        raise errors.body_stalled(BODY_IDLE_REAL_S) from None
    except web.RequestPayloadError as error:
        raise errors.bad_request(f"Bad request: the body is broken off ({error}).") from None
