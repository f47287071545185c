"""What faults do to a connection before a request is known: refuse it, leave it hanging, spoil its TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from fakeai_proxy.clock import Clock
from fakeai_proxy.proxy.certificates import Certificates
from fakeai_proxy.proxy.sniffing import linger

if TYPE_CHECKING:
    from fakeai_proxy.shaping.faults.rule import Rule

#: Faults when a connection is made, and when its TLS begins.
CONNECTING = ("connect_refused", "connect_hang")
HANDSHAKE = ("tls_failure",)

#: A record of TLS 1.2 with one alert: fatal, handshake_failure (RFC 8446, 6.2).
_ALERT = bytes((21, 3, 3, 0, 2, 2, 40))
_PIECE_BYTES = 16 * 1024


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
