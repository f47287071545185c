"""Accepts for several processes, and gives each its turn.

Clients that keep their connections are so shared out evenly, where a kernel that lets processes race
for them, or draws lots, leaves some idle.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence

from fakeai_proxy.proxy.handed import hand

log = logging.getLogger("fakeai_proxy")

#: Connections taken at a time before others get their turn.
BATCH = 64
#: Where no process takes a connection: how long until they are asked again.
PAUSE_REAL_S = 0.05


class Turns:
    def __init__(self, listeners: Sequence[socket.socket]) -> None:
        self._listeners = list(listeners)
        self._doors: list[socket.socket] = []
        self._next = 0
        self._paused: dict[socket.socket, asyncio.TimerHandle] = {}
        self._waiting: list[socket.socket] = []

    def open(self) -> None:
        for listener in self._listeners:
            self._resume(listener)

    def add(self, door: socket.socket) -> None:
        """A process that takes connections from here on."""
        door.setblocking(False)
        self._doors.append(door)

    def remove(self, door: socket.socket) -> None:
        if door in self._doors:
            self._doors.remove(door)

    def close(self) -> None:
        loop = asyncio.get_running_loop()
        for timer in self._paused.values():
            timer.cancel()
        for listener in self._listeners:
            loop.remove_reader(listener.fileno())
            listener.close()
        for sock in self._waiting:
            sock.close()
        self._listeners.clear()
        self._doors.clear()

    def _accept(self, listener: socket.socket) -> None:
        while self._waiting:
            if not self._give(self._waiting[-1]):
                self._pause(listener)
                return
            self._waiting.pop().close()
        for _ in range(BATCH):
            try:
                sock, _ = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:  # out of descriptors
                log.warning("new connections wait: %s", error.strerror)
                self._pause(listener)
                return
            if not self._give(sock):
                self._waiting.append(sock)
                self._pause(listener)
                return
            sock.close()

    def _give(self, sock: socket.socket) -> bool:
        """To the next process that takes it."""
        doors = self._doors
        for _ in range(len(doors)):
            self._next = (self._next + 1) % len(doors)
            try:
                hand(doors[self._next], sock)
            except OSError:  # it is behind, or gone; its end is noticed elsewhere
                continue
            return True
        return False

    def _pause(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(listener.fileno())
        self._paused[listener] = loop.call_later(PAUSE_REAL_S, self._resume, listener)

    def _resume(self, listener: socket.socket) -> None:
        self._paused.pop(listener, None)
        loop = asyncio.get_running_loop()
        loop.add_reader(listener.fileno(), self._accept, listener)
        self._accept(listener)
