"""Looking at what a client has sent without taking it, and taking no more than is ours."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from contextlib import suppress

from fakeai_proxy.clock import age_s
from fakeai_proxy.errors import bad_request
from fakeai_proxy.proxy import http2
from fakeai_proxy.proxy.connect import head_length

#: The first byte of a TLS hello.
TLS_HANDSHAKE = b"\x16"
#: What a client that was refused may still send, and for how long, before we hang up on it: closing
#: over unread bytes resets the connection, and the client would never see the refusal.
LINGER_BYTES = 256 * 1024
LINGER_REAL_S = 2.0

#: SO_TIMESTAMPNS, which Python has no name for; set on a listening socket, connections inherit it.
STAMPS: int | None = 35 if sys.platform == "linux" else None
_STAMP = struct.Struct("@ll")  # a timespec
_STAMP_SPACE = socket.CMSG_SPACE(_STAMP.size) if STAMPS else 0

_PIECE_BYTES = 16 * 1024


async def peek(sock: socket.socket, at_least: int) -> bytes:
    """`at_least` bytes or all there is before the end, left in the socket."""
    while True:
        try:
            found = sock.recv(at_least, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            await _readable(sock, 1)
            continue
        if not found or len(found) >= at_least:
            return found
        # The socket counts as readable with what we have seen already, unless told to wait for more.
        await _readable(sock, len(found) + 1)
        if len(sock.recv(at_least, socket.MSG_PEEK)) == len(found):
            return found  # readable, and yet no more: that was the end


async def peek_method(sock: socket.socket, method: bytes) -> bytes:
    """`method` when the client begins with it, else as much as tells that it does not."""
    found = b""
    while len(found) < len(method) and method.startswith(found):
        longer = await peek(sock, len(found) + 1)
        if len(longer) <= len(found):
            break
        found = sock.recv(len(method), socket.MSG_PEEK)
    return found


async def read_head(sock: socket.socket, limit_bytes: int) -> bytes:
    """An HTTP head with its blank line; what follows stays in the socket. Raises EOFError when it
    never ends, and 400 when it is too long."""
    head = bytearray()
    while True:
        seen = await peek(sock, 1)
        if not seen:
            raise EOFError("the client left within its request")
        seen = sock.recv(_PIECE_BYTES, socket.MSG_PEEK)
        searched = len(head)
        length = head_length(head + seen, searched)
        head += sock.recv((length - searched) if length else len(seen))
        if len(head) > limit_bytes:
            raise bad_request(f"Bad request: the head is longer than {limit_bytes} bytes.")
        if length:
            return bytes(head)


def waiting_s(sock: socket.socket) -> float:
    """For how long the first bytes in the socket have been here, by the kernel's own stamp: a busy
    event loop sees them late. 0 where the system does not tell."""
    if STAMPS is None:
        return 0.0
    try:
        _, told, _, _ = sock.recvmsg(1, _STAMP_SPACE, socket.MSG_PEEK)
    except OSError:
        return 0.0
    for level, kind, data in told:
        if (level, kind) == (socket.SOL_SOCKET, STAMPS) and len(data) == _STAMP.size:
            seconds, nanoseconds = _STAMP.unpack(data)
            return age_s(seconds * 1_000_000_000 + nanoseconds)
    return 0.0


async def linger(sock: socket.socket, last_words: bytes) -> None:
    """Say something and hang up so that it is heard."""
    loop = asyncio.get_running_loop()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(LINGER_REAL_S):
            await loop.sock_sendall(sock, last_words)
            sock.shutdown(socket.SHUT_WR)
            left = LINGER_BYTES
            while left > 0 and (piece := await loop.sock_recv(sock, _PIECE_BYTES)):
                left -= len(piece)


def begins_plain(sock: socket.socket) -> bool:
    """Whether the first bytes are here, and begin neither CONNECT nor TLS nor HTTP/2."""
    try:
        first = sock.recv(3, socket.MSG_PEEK)
    except OSError:  # nothing there yet, or nobody any more
        return False
    return first[:1] not in (b"", TLS_HANDSHAKE, b"C") and first != b"PRI"


async def insists_on_http2(sock: socket.socket, first: bytes) -> bool:
    """`first` is the first byte, which is still there, as all is that is looked at here."""
    if first == TLS_HANDSHAKE:
        head = await peek(sock, http2.RECORD_HEAD_BYTES)
        return http2.insists(await peek(sock, http2.hello_bytes(head)))
    begins = await peek_method(sock, http2.PREFACE_BEGINS) if first == b"P" else first
    return begins == http2.PREFACE_BEGINS


async def _readable(sock: socket.socket, bytes_wanted: int) -> None:
    """Until that many bytes are there, or the end is."""
    loop = asyncio.get_running_loop()
    woken: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not woken.done():
            woken.set_result(None)

    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, bytes_wanted)
    descriptor = sock.fileno()
    loop.add_reader(descriptor, wake)
    try:
        await woken
    finally:
        loop.remove_reader(descriptor)
        if bytes_wanted > 1:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
