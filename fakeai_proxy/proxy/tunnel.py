"""Blind tunnels: bytes carried both ways, never looked at.

`dial` reaches a host directly or through an upstream proxy and returns the far `End`; `Tunnel`
joins it with the client's. Limits on a peer that says nothing are real time, kept by the event loop.
"""

from __future__ import annotations

import asyncio
import base64
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast
from urllib.parse import unquote, urlsplit

from fakeai_proxy.errors import (
    ConfigError,
    destination_internal,
    upstream_certificate,
    upstream_timeout,
    upstream_unreachable,
)
from fakeai_proxy.proxy.connect import format_authority, head_length, parse_status
from fakeai_proxy.proxy.policy import canonical_host, is_internal

CONNECT_TIMEOUT_REAL_S = 15.0
#: The least that one of several addresses gets of it.
ADDRESS_TIMEOUT_REAL_S = 2.0
MAX_PROXY_HEAD_BYTES = 32 * 1024
#: What one end may hold for the other: before they are joined, and when the other reads slowly.
BUFFER_BYTES = 256 * 1024

#: Raises ApiError when this IP address may not be dialled. Asked about every address before it is.
Vet = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class UpstreamProxy:
    """The proxy that our own connections go through."""

    host: str
    port: int
    tls: bool
    #: The value of `Proxy-Authorization`, "" for none.
    credentials: str

    @classmethod
    def parse(cls, url: str) -> UpstreamProxy:
        """`http[s]://[USER:PASS@]HOST[:PORT]`. Raises ConfigError, which never shows the password."""
        valid = "give http://HOST:PORT or https://HOST:PORT, with USER:PASS@ where it asks for them"
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ConfigError(f"upstream_proxy: {error}: {valid}.") from None
        if parts.scheme not in ("http", "https") or canonical_host(parts.hostname or "") is None:
            raise ConfigError(f"upstream_proxy: not an HTTP proxy's URL: {valid}.")
        tls = parts.scheme == "https"
        credentials = ""
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            credentials = "Basic " + base64.b64encode(pair.encode()).decode()
        return cls(parts.hostname or "", port or (443 if tls else 80), tls, credentials)


class End(asyncio.Protocol):
    """One end of a tunnel. What arrives before it is joined is kept."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        #: Nothing more will come from this side.
        self.ended = False
        self.closed = False
        self._early = bytearray()
        self._tunnel: Tunnel | None = None
        self._arrived: asyncio.Future[None] | None = None

    async def read_head(self, limit_bytes: int) -> bytes:
        """An HTTP head; what follows it stays. Raises ConnectionError."""
        searched = 0
        while not (length := head_length(self._early, searched)):
            if self.ended or self.closed:
                raise ConnectionResetError("it closed the connection")
            if len(self._early) > limit_bytes:
                raise ConnectionResetError("its reply has no end")
            searched = len(self._early)
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived
        head = bytes(self._early[:length])
        del self._early[:length]
        return head

    def join(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel

    def flush(self) -> None:
        """Hand over to the joined end what came before it was there."""
        tunnel = self._tunnel
        assert tunnel is not None
        if not self.ended and not self.closed:
            self.transport.resume_reading()  # first, for `carry` may hold it again
        if self._early:
            tunnel.carry(self, bytes(self._early))
            self._early.clear()
        if self.ended:
            tunnel.ended(self)
        if self.closed:
            tunnel.lost(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(BUFFER_BYTES)
        if self._tunnel is not None:
            self._tunnel.complete()

    def data_received(self, data: bytes) -> None:
        if self._tunnel is not None and self._tunnel.joined:
            self._tunnel.carry(self, data)
            return
        self._early += data
        if len(self._early) > BUFFER_BYTES:
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self.ended = True
        self._wake()
        if self._tunnel is not None and self._tunnel.joined:
            self._tunnel.ended(self)
        # A TLS connection cannot be half closed: it ends with this.
        return self.transport.get_extra_info("ssl_object") is None

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._wake()
        if self._tunnel is not None and self._tunnel.joined:
            self._tunnel.lost(self)

    def pause_writing(self) -> None:
        if self._tunnel is not None and self._tunnel.joined:
            self._tunnel.hold(self)

    def resume_writing(self) -> None:
        if self._tunnel is not None and self._tunnel.joined:
            self._tunnel.release(self)

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)


class Tunnel:
    """Two ends. It lives until both are closed; then `on_close` is called with it."""

    def __init__(
        self, client: End, server: End, idle_s: float, on_close: Callable[[Tunnel], None]
    ) -> None:
        self._client, self._server = client, server
        self._idle_s = idle_s
        self._on_close = on_close
        self._loop = asyncio.get_running_loop()
        self._moved_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.joined = False
        client.join(self)
        server.join(self)

    def complete(self) -> None:
        """Called when the client's end has its transport."""
        self.joined = True
        self._moved_at = self._loop.time()
        self._timer = self._loop.call_later(self._idle_s, self._check_idle)
        self._server.flush()
        self._client.flush()

    def abort(self) -> None:
        for end in (self._client, self._server):
            if end.transport is not None and not end.closed:
                end.transport.abort()

    def carry(self, source: End, data: bytes) -> None:
        self._moved_at = self._loop.time()
        other = self._other(source)
        if not other.transport.is_closing():
            other.transport.write(data)

    def ended(self, end: End) -> None:
        """Half-close: the other end hears that no more will come, and may go on talking."""
        self._moved_at = self._loop.time()
        other = self._other(end)
        if other.ended or other.closed:
            end.transport.close()
            other.transport.close()
        elif other.transport.can_write_eof() and not other.transport.is_closing():
            other.transport.write_eof()

    def lost(self, end: End) -> None:
        other = self._other(end)
        if not other.closed:
            other.transport.close()
            return
        if self._timer is not None:
            self._timer.cancel()
        self._on_close(self)

    def hold(self, end: End) -> None:
        source = self._other(end)
        if not source.ended and not source.closed:
            source.transport.pause_reading()

    def release(self, end: End) -> None:
        self._moved_at = self._loop.time()
        source = self._other(end)
        if not source.ended and not source.closed:
            source.transport.resume_reading()

    def _other(self, end: End) -> End:
        return self._server if end is self._client else self._client

    def _check_idle(self) -> None:
        due = self._moved_at + self._idle_s
        if due <= self._loop.time():
            self.abort()
        else:
            self._timer = self._loop.call_at(due, self._check_idle)


async def dial(
    host: str,
    port: int,
    upstream_proxy: UpstreamProxy | None = None,
    *,
    vet: Vet,
    internal: bool = False,
    proxy_tls: ssl.SSLContext | None = None,
) -> End:
    """A connection to `host`, which is canonical. Unless `internal`, a host at an internal address
    is refused; behind an upstream proxy only addresses and `localhost` can be told to be so.
    Raises ApiError: 403, 502, 504."""
    authority = format_authority(host, port)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_REAL_S):
            if upstream_proxy is None:
                return await _connect(host, port, vet, internal, None, authority)
            if not internal and _is_internal_name(host):
                raise destination_internal(host, authority)
            return await _through(upstream_proxy, authority, vet, proxy_tls)
    except TimeoutError:
        raise upstream_timeout(
            authority, f"no connection within {CONNECT_TIMEOUT_REAL_S:g} s"
        ) from None


async def _through(
    proxy: UpstreamProxy, authority: str, vet: Vet, tls: ssl.SSLContext | None
) -> End:
    if proxy.tls and tls is None:
        tls = await asyncio.to_thread(ssl.create_default_context)
    end = await _connect(proxy.host, proxy.port, vet, True, tls if proxy.tls else None, authority)
    credentials = f"Proxy-Authorization: {proxy.credentials}\r\n" if proxy.credentials else ""
    end.transport.write(
        f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{credentials}\r\n".encode()
    )
    established = False
    try:
        status = parse_status(await end.read_head(MAX_PROXY_HEAD_BYTES))
        established = 200 <= status < 300
    except ConnectionError as error:
        raise upstream_unreachable(authority, f"the upstream proxy failed: {error}") from None
    finally:
        if not established:
            end.transport.abort()
    if not established:
        raise upstream_unreachable(authority, f"the upstream proxy answered {status}")
    return end


async def _connect(
    host: str, port: int, vet: Vet, internal: bool, tls: ssl.SSLContext | None, goal: str
) -> End:
    """`goal` is whom the client asked for, for the error."""
    addresses = await _resolve(host, port, goal)
    for _, address in addresses:
        # One internal address spoils the name: which one is dialled would be left to chance.
        if not internal and is_internal(address[0]):
            raise destination_internal(host, goal)
        vet(address[0], port)
    share_s = max(ADDRESS_TIMEOUT_REAL_S, CONNECT_TIMEOUT_REAL_S / max(1, len(addresses)))
    reason: OSError | None = None
    for family, address in addresses:
        try:
            async with asyncio.timeout(share_s):
                sock = await _connect_socket(family, address)
        except OSError as error:  # TimeoutError is one
            reason = error
        else:
            return await _wrap(sock, tls, host, goal)
    if isinstance(reason, TimeoutError):
        raise reason
    raise upstream_unreachable(goal, (reason and reason.strerror) or "it has no address")


async def _connect_socket(family: int, address: tuple[str, int]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    connected = False
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
        connected = True
    finally:
        if not connected:
            sock.close()
    return sock


async def _wrap(sock: socket.socket, tls: ssl.SSLContext | None, host: str, goal: str) -> End:
    loop = asyncio.get_running_loop()
    try:
        _, end = await loop.create_connection(
            End, sock=sock, ssl=tls, server_hostname=host if tls else None
        )
    except ssl.SSLCertVerificationError as error:
        raise upstream_certificate(host, error.verify_message) from None
    except OSError as error:
        reason = error.strerror or str(error) or "the connection was lost"
        raise upstream_unreachable(goal, reason) from None
    return end


async def _resolve(host: str, port: int, goal: str) -> list[tuple[int, tuple[str, int]]]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )
    except OSError as error:
        raise upstream_unreachable(goal, error.strerror or "it has no address") from None
    return [(family, address) for family, _, _, _, address in found]  # type: ignore[misc] # IPv6 addresses are longer


def _is_internal_name(host: str) -> bool:
    if re.fullmatch(r"(.*\.)?localhost", host):
        return True
    try:
        return is_internal(host)
    except ValueError:
        return False
