"""Connections that another process accepts for us and hands over, one after the other.

Whoever accepts for several processes can give each its turn: they share out clients that keep their
connections, however few these are.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from fakeai_proxy.proxy.listening import Address


class Handed:
    """Looks like a listening socket to those who accept; `addresses` are where clients connect to."""

    def __init__(self, line: socket.socket, addresses: Sequence[Address]) -> None:
        self.addresses = tuple(addresses)
        self._line = line
        line.setblocking(False)

    def fileno(self) -> int:
        return self._line.fileno()

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        """Raises BlockingIOError where nobody waits, ConnectionAbortedError for who has left, and
        EOFError at the end."""
        data, descriptors, _, _ = socket.recv_fds(self._line, 1, 1)
        if not data:
            raise EOFError("nobody accepts for us any more")
        if not descriptors:  # there was no room for one more
            raise ConnectionAbortedError
        sock = socket.socket(fileno=descriptors[0])
        try:
            return sock, sock.getpeername()[:2]
        except OSError:
            sock.close()
            raise ConnectionAbortedError from None

    def close(self) -> None:
        self._line.close()


def hand(line: socket.socket, sock: socket.socket) -> None:
    """The other end's. Raises OSError where nobody takes it; BlockingIOError where too many wait."""
    socket.send_fds(line, [b"."], [sock.fileno()])
