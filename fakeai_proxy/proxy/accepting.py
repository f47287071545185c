"""Takes connections from listening sockets, as many as there is room for. Knows nothing of what they are
for.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Sequence

from fakeai_proxy.proxy.handed import Handed

log = logging.getLogger("fakeai_proxy")

#: Connections taken from one listening socket before others get their turn.
BATCH = 64
#: When there is no room for another connection: how long until we look again.
PAUSE_REAL_S = 0.25
#: How often that is worth a line in the log.
WARN_EVERY_REAL_S = 60.0

Listener = socket.socket | Handed

_OUT_OF_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Acceptor:
    """`taken` is given each connection and the address of its client. Needs a running event loop."""

    def __init__(self, connections_max: int, taken: Callable[[socket.socket, str], None]) -> None:
        self._most = connections_max
        self._taken = taken
        self._listeners: list[Listener] = []
        self._paused: dict[Listener, asyncio.TimerHandle] = {}
        self._sockets: list[socket.socket] = []
        self._counted_at = 64
        self._warn_again_at = 0.0

    def open(self, listeners: Sequence[Listener]) -> None:
        self._listeners += listeners
        loop = asyncio.get_running_loop()
        for listener in listeners:
            loop.add_reader(listener.fileno(), self._accept, listener)

    def close(self) -> None:
        """Connections that were taken are not ours."""
        loop = asyncio.get_running_loop()
        for timer in self._paused.values():
            timer.cancel()
        for listener in self._listeners:
            loop.remove_reader(listener.fileno())
            listener.close()
        self._listeners.clear()

    def _accept(self, listener: Listener) -> None:
        for _ in range(BATCH):
            if not self._has_room():
                self._pause(listener, f"{self._most} connections are open")
                return
            try:
                sock, peer = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except EOFError:
                asyncio.get_running_loop().remove_reader(listener.fileno())
                return
            except OSError as error:
                if error.errno not in _OUT_OF_ROOM:
                    log.error("cannot accept connections: %s", error)
                self._pause(listener, error.strerror or str(error))
                return
            sock.setblocking(False)
            self._sockets.append(sock)
            self._taken(sock, peer[0])

    def _has_room(self) -> bool:
        """Sockets that were handed over tell of their end only when asked, so we ask seldom."""
        if len(self._sockets) >= min(self._counted_at, self._most):
            self._sockets = [sock for sock in self._sockets if sock.fileno() >= 0]
            self._counted_at = 2 * len(self._sockets) + 64
        return len(self._sockets) < self._most

    def _pause(self, listener: Listener, reason: str) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() >= self._warn_again_at:
            log.warning("new connections wait: %s", reason)
            self._warn_again_at = loop.time() + WARN_EVERY_REAL_S
        loop.remove_reader(listener.fileno())
        self._paused[listener] = loop.call_later(PAUSE_REAL_S, self._resume, listener)

    def _resume(self, listener: Listener) -> None:
        del self._paused[listener]
        asyncio.get_running_loop().add_reader(listener.fileno(), self._accept, listener)
