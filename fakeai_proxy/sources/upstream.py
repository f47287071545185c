"""The live side: requests go out with aiohttp's client, replies come back as they arrive.

Bytes stay as they are in both directions: raw target, header order, case and duplicates, content
codings, and the cuts in which a body was read. It knows nothing of recording or of the client that
asked; whoever holds the reply closes its chunks, which drops the upstream request at once.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from yarl import URL

from fakeai_proxy import errors
from fakeai_proxy.body import Body, Heard
from fakeai_proxy.clock import Clock
from fakeai_proxy.dialogue import Passage
from fakeai_proxy.errors import ApiError, StreamCut
from fakeai_proxy.exchange import (
    LIVE,
    SWITCHED,
    Chunk,
    Exchange,
    Headers,
    Reply,
    Request,
    end_to_end,
    header,
)
from fakeai_proxy.sources.destination import Destination
from fakeai_proxy.sources.trust import Trust
from fakeai_proxy.sources.unreachable import api_error

#: Names the proxies that a request has passed, to notice one that comes round again. Not `Via`,
#: which makes web servers in front of a back end stop compressing.
HOPS = b"x-fakeai-proxy-hops"
#: Request headers that concern the way to us: the gateway has answered `Expect` already.
_ANSWERED = frozenset((b"expect", HOPS))
#: Headers that are said to us (sessions), not to the upstream.
_OURS = b"x-fakeai-"
_HEAD_BYTES_MAX = 1 << 18
#: Request bodies up to this size are kept in memory where they have to be looked into.
_KEPT_BYTES_MAX = 1 << 20
_HEADERS_MAX = 1_000
_EXTENSIONS = b"sec-websocket-extensions"
_HANDSHAKE: Headers = ((b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"))


class UpstreamSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    upstream: str | None = Field(
        None,
        description="The API behind the base URL, such as https://api.openai.com or "
        "https://host/v1; a path that requests already start with is not doubled. Requests that "
        "come through HTTPS_PROXY go to the host they name.",
    )
    upstream_proxy: SecretStr | None = Field(
        None,
        description="Reach upstreams through this proxy: http://USER:PASSWORD@HOST:PORT, or "
        "https:// for a proxy that is itself behind TLS.",
    )
    upstream_ca: Path | None = Field(
        None,
        description="PEM file with certificate authorities to trust for upstreams, besides the "
        "system's.",
    )
    upstream_connect_timeout: float = Field(
        20.0,
        gt=0,
        allow_inf_nan=False,
        description="Seconds until an upstream must be connected, name look-up and TLS included.",
    )
    upstream_read_timeout: float = Field(
        600.0,
        gt=0,
        allow_inf_nan=False,
        description="Seconds that an upstream may stay silent, before the answer or within it; "
        "reasoning models think for minutes.",
    )

    max_live_usd: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description="US dollars that live calls may cost until this process ends, by the usage that "
        "answers tell and the price list; then they are refused. 0 refuses every live call.",
    )

    @field_validator("upstream")
    @classmethod
    def _base_url(cls, value: str | None) -> str | None:
        if value is not None:
            url = URL(value)
            if url.scheme not in ("http", "https") or not url.host:
                raise ValueError("must be a URL such as https://api.openai.com")
            if url.raw_query_string or url.raw_fragment or url.user or url.password:
                raise ValueError("must be scheme, host, port and path alone")
        return value

    @field_validator("upstream_proxy")
    @classmethod
    def _proxy_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            url = URL(value.get_secret_value())
            if url.scheme not in ("http", "https") or not url.host:
                raise ValueError("must be http://HOST:PORT or https://HOST:PORT")
        return value


class Upstream:
    def __init__(
        self, settings: UpstreamSettings, clock: Clock, *, keep_bodies: bool = False
    ) -> None:
        """`keep_bodies`: those of a usual size are in memory afterwards, for whoever times the
        answer by what was asked."""
        self._keep_bodies = keep_bodies
        self._settings = settings
        self._clock = clock
        self._base = None if settings.upstream is None else URL(settings.upstream)
        proxy = settings.upstream_proxy
        self._proxy = None if proxy is None else URL(proxy.get_secret_value())
        self._trust = Trust(settings.upstream_ca, clock)
        # Who we are, which no seed may make equal in two processes.
        self._instance = os.urandom(6).hex().encode()
        self._session: aiohttp.ClientSession | None = None

    async def reply(self, exchange: Exchange) -> Reply:
        request = exchange.request
        body = request.body
        if self._keep_bodies and body.length is not None and body.length <= _KEPT_BYTES_MAX:
            await body.read(_KEPT_BYTES_MAX)
        exchange.dice_key = request.fingerprint(body.in_memory or b"")
        if request.is_handshake:
            return await self._open_websocket(exchange)
        response = await self._send(request, ())
        exchange.heard = Heard()
        return self._arriving(response, exchange.arrived_at, exchange.heard)

    async def _open_websocket(self, exchange: Exchange) -> Reply:
        """The upstream's agreement (status 101) with its connection, or its refusal. Compression is
        not offered, so that frames are readable for whoever looks at them on the way."""
        request = exchange.request
        tokens = request.text_header(b"connection").lower().replace(",", " ").split()
        if request.method != "GET" or "upgrade" not in tokens:
            raise errors.bad_request(
                "Bad request: a WebSocket starts with GET and `Connection: Upgrade`."
            )
        response = await self._send(request, _HANDSHAKE)
        reply = self._arriving(response, exchange.arrived_at, Heard())
        if response.status == SWITCHED:
            # All of them: `Connection` and `Upgrade` belong into a 101.
            reply.headers, reply.passage = response.raw_headers, Passage(response)
        return reply

    def prepare(self) -> None:
        """Somebody will ask: make at once what the first request would wait for."""
        if self._needs_tls(self._base):
            self._trust.prepare()

    async def close(self) -> None:
        self._trust.close()
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _send(self, request: Request, handshake: Headers) -> aiohttp.ClientResponse:
        """Forward the request; the response with its head read. Raises ApiError."""
        destination = Destination.of(request, self._base)
        headers = self._headers(request, destination) + handshake
        if handshake:
            headers = tuple(pair for pair in headers if pair[0].lower() != _EXTENSIONS)
        upload = _Upload(request.body)
        length = header(headers, b"content-length")
        data = upload.data(is_declared=length is not None)
        if data is not None and length is None:
            headers += ((b"Transfer-Encoding", b"chunked"),)
        as_sent = [(name.decode("latin-1"), _text(value)) for name, value in headers]

        async def exactly(
            outgoing: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            """Undo what the client library adds, merges and reorders."""
            outgoing.headers.clear()
            outgoing.headers.extend(as_sent)
            return await send(outgoing)

        tls = await self._trust.context() if self._needs_tls(destination.url) else True
        try:
            response = await self._open_session().request(
                request.method,
                destination.url,
                data=data,
                headers=None if length is None else {"Content-Length": _text(length)},
                allow_redirects=False,
                proxy=self._proxy,
                ssl=tls,
                middlewares=(exactly,),
            )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            if upload.failure is not None:
                raise upload.failure from None
            raise api_error(error, destination, self._proxy) from None
        if self._proxy is not None and response.status == 407:
            response.close()
            raise errors.upstream_unreachable(
                destination.authority, "the upstream proxy refused its credentials (407)"
            )
        return response

    def _needs_tls(self, url: URL | None) -> bool:
        """Of an unknown one it is likely."""
        schemes = ["https" if url is None else url.scheme]
        if self._proxy is not None:
            schemes.append(self._proxy.scheme)
        return "https" in schemes

    def _headers(self, request: Request, destination: Destination) -> Headers:
        """What goes on: end-to-end headers with the destination's Host. Raises 508."""
        hops = request.header(HOPS) or b""
        if self._instance in hops.replace(b",", b" ").split():
            raise errors.upstream_loop(destination.authority)
        kept = tuple(
            (name, destination.host_header(value) if name.lower() == b"host" else value)
            for name, value in end_to_end(request.headers)
            if name.lower() not in _ANSWERED and not name.lower().startswith(_OURS)
        )
        if header(kept, b"host") is None:
            kept = ((b"Host", destination.authority.encode()), *kept)
        return (*kept, (HOPS, hops + b", " + self._instance if hops else self._instance))

    def _arriving(self, response: aiohttp.ClientResponse, arrived_at: float, heard: Heard) -> Reply:
        headers = end_to_end(response.raw_headers)
        if header(response.raw_headers, b"transfer-encoding") is not None:
            headers = tuple(pair for pair in headers if pair[0].lower() != b"content-length")
        reason = (response.reason or "").encode("utf-8", "surrogateescape")
        return Reply(
            response.status,
            headers,
            _Arriving(response, self._clock, arrived_at, heard),
            reason=reason.decode("latin-1"),
            provenance=LIVE,
            head_age_s=self._clock.now() - arrived_at,
        )

    def _open_session(self) -> aiohttp.ClientSession:
        """Made at the first request, because it belongs to the running event loop."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0,
                    resolver=aiohttp.ThreadedResolver(),  # names mean what they mean to others here
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(
                    total=None,
                    connect=self._settings.upstream_connect_timeout,
                    sock_read=self._settings.upstream_read_timeout,
                ),
                auto_decompress=False,
                trust_env=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
                max_line_size=_HEAD_BYTES_MAX,
                max_field_size=_HEAD_BYTES_MAX,
                max_headers=_HEADERS_MAX,
            )
        return self._session


class _Upload:
    """The request body on its way out. Remembers when it was the client's side that failed."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self.failure: ApiError | ConnectionError | None = None

    def data(self, is_declared: bool) -> bytes | AsyncIterator[bytes] | None:
        """What aiohttp is to send; None for no body at all. It sends bytes with their length and
        pieces in chunks, and the headers have to say the same."""
        whole = self._body.in_memory
        if whole is not None and (is_declared or not whole):
            return whole or None
        return self._pieces()

    async def _pieces(self) -> AsyncIterator[bytes]:
        pieces = self._body.chunks()
        while True:
            try:
                piece = await anext(pieces, None)
            except (ApiError, ConnectionError) as failure:
                self.failure = failure
                raise
            if piece is None:
                return
            yield piece


class _Arriving(AsyncGenerator[Chunk, None]):
    """The response body in the pieces in which it is read, each stamped at the read.

    A class rather than a generator function, because closing one that was never started must drop
    the upstream request too.
    """

    def __init__(
        self, response: aiohttp.ClientResponse, clock: Clock, arrived_at: float, heard: Heard
    ) -> None:
        self._heard = heard
        self._response = response
        self._clock = clock
        self._arrived_at = arrived_at
        self._cut = False
        self._end = "reset"
        connection = response.connection
        protocol = None if connection is None else connection.protocol
        self._closed = None if protocol is None else protocol.closed
        if self._closed is not None:
            self._closed.add_done_callback(self._lost)

    def _lost(self, closed: asyncio.Future[None]) -> None:
        """aiohttp does not tell whoever reads a body that it has given up parsing it."""
        content = self._response.content
        if not closed.cancelled():
            closed.exception()  # which would be logged as if nobody cared
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("the body is no body"))

    def _let_go(self) -> None:
        """The connection may carry other replies from now on."""
        if self._closed is not None:
            self._closed.remove_done_callback(self._lost)
            self._closed = None

    def __anext__(self) -> Coroutine[Any, Any, Chunk]:
        return self.asend(None)

    async def asend(self, value: None) -> Chunk:
        """The next piece. Raises StreamCut where the upstream breaks off."""
        if self._cut:
            raise StreamCut("the upstream broke off", self._end)
        content = self._response.content
        try:
            data = await content.readany()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._cut = True
            self._end = "timeout" if isinstance(error, TimeoutError) else "reset"
            # What came before the failure is still in the buffer, which has no public way out then.
            data = content._read_nowait(-1)
            self._response.close()
            if not data:
                raise StreamCut("the upstream broke off", self._end) from None
        if not data:
            self._let_go()
            raise StopAsyncIteration
        self._heard.add(data)
        return Chunk(data, age_s=self._clock.now() - self._arrived_at)

    async def athrow(self, *failure: object) -> Chunk:
        await self.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self._let_go()
        self._response.close()


def _text(value: bytes) -> str:
    """A header value as aiohttp wants it; it writes UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
