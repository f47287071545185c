"""Records a WebSocket that is passed through: whole messages of both sides, with their times."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import Protocol

from fakeai_proxy.cassette.messages import Message
from fakeai_proxy.cassette.messages import Side as Sender
from fakeai_proxy.cassette.rfc6455 import FramingError, Reader
from fakeai_proxy.clock import Clock

log = logging.getLogger("fakeai_proxy")

#: What is recorded of one WebSocket; the rest passes unrecorded.
SOCKET_BYTES_MAX = 64 << 20


class Finished(Protocol):
    def __call__(self, end: str) -> Awaitable[None]:
        """Writes the recording, once; resolves when it is written."""


class Overheard:
    """An onlooker. What it hears goes into `messages`; a recording is written before the client sees
    the server's close."""

    def __init__(
        self, name: str, messages: list[Message], clock: Clock, began_at: float, finish: Finished
    ) -> None:
        self._name = name
        self._messages = messages
        self._clock = clock
        self._began_at = began_at
        self._finish = finish
        self._readers = {"client": Reader(), "server": Reader()}
        self._last_us = 0
        self._size = 0
        self._client_closed = False
        self._deaf = ""

    def saw(self, from_client: bool, data: bytes) -> Awaitable[None] | None:
        if self._deaf:
            return None
        sender: Sender = "client" if from_client else "server"
        try:
            found = self._readers[sender].feed(data)
        except FramingError as failure:
            self._stop(f"the {sender} sent {failure}")
            return None
        closed = False
        for op, said, cuts in found:
            at_us = max(self._last_us, round((self._clock.now() - self._began_at) * 1e6))
            self._messages.append(Message(sender, op, at_us - self._last_us, said, cuts))
            self._last_us = at_us
            self._size += len(said)
            closed = closed or op == "close"
        if self._size > SOCKET_BYTES_MAX:
            self._stop(f"only the first {SOCKET_BYTES_MAX >> 20} MB of it are recorded")
        if closed and from_client:
            self._client_closed = True
        return self._finish("eof") if closed and not from_client else None

    async def ended(self, by_client: bool) -> None:
        if by_client:
            await self._finish("eof" if self._client_closed else "client_gone")
        else:
            await self._finish("eof" if self._client_closed else "reset")

    @property
    def withheld(self) -> str:
        """Why not all of it is recorded."""
        return self._deaf

    def _stop(self, reason: str) -> None:
        self._deaf = reason
        log.warning("WebSocket %s is not recorded any further: %s", self._name, reason)
