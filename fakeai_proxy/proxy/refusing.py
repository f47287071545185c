"""What faults do to a connection before a request is known: refuse it, leave it hanging, spoil its TLS."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from fakeai_proxy.clock import Clock
from fakeai_proxy.proxy import http2
from fakeai_proxy.proxy.certificates import Certificates
from fakeai_proxy.proxy.connect import Connect
from fakeai_proxy.proxy.sniffing import LINGER_REAL_S, linger

if TYPE_CHECKING:
    from fakeai_proxy.shaping.faults.rule import Rule

log = logging.getLogger("fakeai_proxy")

#: Faults when a connection is made, and when its TLS begins.
CONNECTING = ("connect_refused", "connect_hang")
HANDSHAKE = ("tls_failure",)

#: A record of TLS 1.2 with one alert: fatal, handshake_failure (RFC 8446, 6.2).
_ALERT = bytes((21, 3, 3, 0, 2, 2, 40))
_PIECE_BYTES = 16 * 1024


class Farewell(asyncio.Protocol):
    """Says this much, and closes the connection when the client does or has had the time to read."""

    def __init__(self, words: bytes) -> None:
        self._words = words

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._words)
        self._closing = asyncio.get_running_loop().call_later(LINGER_REAL_S, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing.cancel()


async def refuse_http2(
    sock: socket.socket, request: Connect, certificates: Certificates | None
) -> None:
    """Tell a client that speaks nothing but HTTP/2 so, in HTTP/2 and, with `certificates`, in TLS."""
    told = f"{http2.UNSPOKEN} Or start with --allow-host {request.authority} to tunnel it."
    log.warning("HTTP/2 (gRPC?) with %s is refused. %s", request.authority, told)
    context = await certificates.http2_context(request.host) if certificates else None
    await asyncio.get_running_loop().connect_accepted_socket(
        lambda: Farewell(http2.refusal(told)), sock, ssl=context
    )


def refuse(sock: socket.socket) -> None:
    """A reset: the kernel has accepted the connection already."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


async def hang(sock: socket.socket, clock: Clock, rule: Rule) -> None:
    """Say nothing, until the time is over or the client has left."""
    seconds: float = rule.params.s  # type: ignore[attr-defined] # of connect_hang
    over = asyncio.ensure_future(clock.sleep_until(clock.now() + seconds))
    gone = asyncio.ensure_future(_gone(sock))
    try:
        await asyncio.wait((over, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        over.cancel()
        gone.cancel()
        await asyncio.gather(over, gone, return_exceptions=True)
        refuse(sock)


async def _gone(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    with suppress(OSError):
        while await loop.sock_recv(sock, _PIECE_BYTES):
            pass


async def _reset(sock: socket.socket) -> None:
    refuse(sock)


async def _alert(sock: socket.socket) -> None:
    await linger(sock, _ALERT)


async def _plain(sock: socket.socket) -> None:
    await linger(sock, b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


_ENDS: dict[str, Callable[[socket.socket], Awaitable[None]]] = {
    "alert": _alert,
    "reset": _reset,
    "plain": _plain,
}


async def spoiled_handshake(
    sock: socket.socket, certificates: Certificates, host: str, rule: Rule
) -> ssl.SSLContext | None:
    """A context that clients who verify refuse, or None where the handshake has failed already."""
    how: str = rule.params.how  # type: ignore[attr-defined] # of tls_failure
    if how in _ENDS:
        await _ENDS[how](sock)
        return None
    return await certificates.flawed_context(host, how)
