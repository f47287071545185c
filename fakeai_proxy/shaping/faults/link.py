"""The line to a client, as bad as faults make it.

A `Link` stands between whoever writes a reply and the client's connection, and asks nothing about the
writer: what is written at some instant leaves at a later one, worked out from that instant, so it
composes with any timing. Delayed bytes wait in one queue that the process's scheduler empties at absolute
deadlines; there is no task and no sleep.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable

from fakeai_proxy.clock import Clock
from fakeai_proxy.exchange import Exchange, Reply
from fakeai_proxy.roles import Client, Sink
from fakeai_proxy.shaping.scheduler import SLOW_READER_BYTES, SLOW_READER_RETRY_S, Scheduler


class _Piece:
    """Bytes that may leave from `earliest` on, and not before `hold_s` after those before them."""

    __slots__ = ("data", "earliest", "hold_s", "offset")

    def __init__(self, data: bytes, earliest: float, hold_s: float) -> None:
        self.data = data
        self.earliest = earliest
        self.hold_s = hold_s
        self.offset = 0


class _Alarm:
    """A link's place in the scheduler, which is left there when the link is closed."""

    __slots__ = ("link",)

    def __init__(self, link: Link) -> None:
        self.link: Link | None = link

    def step(self, now: float) -> float | None:
        return None if self.link is None else self.link.step(now)


class Link:
    """Client and Sink in one. Faults set its public fields before the first byte."""

    def __init__(self, client: Client, scheduler: Scheduler, clock: Clock) -> None:
        self._client = client
        self._wire: Sink = client.sink
        self._scheduler = scheduler
        self._clock = clock
        #: All bytes leave so much later.
        self.delay_s = 0.0
        #: Time since the first byte passes so many times slower.
        self.stretch = 1.0
        #: Pieces of this size (0: as written) leave so long after each other.
        self.piece_bytes = 0
        self.piece_s = 0.0
        #: Pauses before the body's frame with this number.
        self.holds: dict[int, float] = {}
        #: How long the connection stays open after the last byte.
        self.linger_s = 0.0
        #: Answer as an HTTP/1.0 server.
        self.old = False
        #: Applied to the head's bytes.
        self.heads: list[Callable[[bytes], bytes]] = []
        #: A connection that is cut is reset.
        self.resets = False
        #: When the first byte really left.
        self.first_byte_at: float | None = None
        self._frames = 0
        self._framed = 0
        self._written = 0
        self._marks: deque[tuple[int, float]] = deque()
        self._begun_at: float | None = None
        self._queue: deque[_Piece] = deque()
        self._queued_bytes = 0
        self._last_due = -math.inf
        self._free_at = -math.inf
        self._alarm = _Alarm(self)
        self._scheduled = False
        self._lost = False
        self._moved: asyncio.Future[None] | None = None

    # --- the client's side

    @property
    def sink(self) -> Sink:
        return self

    def head(self, reply: Reply) -> bytes:
        if self.old:
            self._client.downgrade()
        if self.linger_s:
            self._client.close_after()
        head = self._client.head(reply)
        for change in self.heads:
            head = change(head)
        self._framed += len(head)
        return head

    def frame(self, data: bytes) -> bytes:
        hold_s = self.holds.get(self._frames)
        if hold_s is not None:
            self._marks.append((self._framed, hold_s))
        self._frames += 1
        framed = self._client.frame(data)
        self._framed += len(framed)
        return framed

    def tail(self) -> bytes:
        tail = self._client.tail()
        self._framed += len(tail)
        return tail

    async def drain(self) -> None:
        while self._queued_bytes > SLOW_READER_BYTES:
            await self._movement()
        await self._client.drain()

    def cut(self) -> None:
        if self.resets:
            self._client.reset()
        self._client.cut()

    async def converse(self, exchange: Exchange, reply: Reply) -> None:
        await self._client.converse(exchange, reply)  # faults of the line are faults of one reply

    def downgrade(self) -> None:
        self._client.downgrade()

    def close_after(self) -> None:
        self._client.close_after()

    def reset(self) -> None:
        self._client.reset()

    # --- the sink

    def write(self, data: bytes) -> None:
        if not data:
            return
        now = self._clock.now()
        if self._begun_at is None:
            self._begun_at = now
        earliest = self._begun_at + (now - self._begun_at) * self.stretch + self.delay_s
        start, position = 0, self._written
        hold_s = 0.0
        while self._marks and self._marks[0][0] < position + len(data):
            place, pause_s = self._marks.popleft()
            if place > position + start:
                self._add(data[start : place - position], earliest, hold_s)
                start, hold_s = place - position, 0.0
            hold_s += pause_s
        self._add(data[start:], earliest, hold_s)
        self._written += len(data)
        if not self._scheduled:
            self._schedule(self.step(now))

    def is_closing(self) -> bool:
        return self._wire.is_closing()

    def get_write_buffer_size(self) -> int:
        return self._queued_bytes + self._wire.get_write_buffer_size()

    # --- the queue

    def _add(self, data: bytes, earliest: float, hold_s: float) -> None:
        self._queue.append(_Piece(data, earliest, hold_s))
        self._queued_bytes += len(data)

    def _schedule(self, due: float | None) -> None:
        if due is not None:
            self._scheduled = True
            self._scheduler.push(due, self._alarm)

    def step(self, now: float) -> float | None:
        """Send what is due; when to come again, None for not at all."""
        self._scheduled = False
        try:
            following = self._send(now)
        finally:
            self._tell()
        self._scheduled = following is not None
        return following

    def _send(self, now: float) -> float | None:
        queue, wire = self._queue, self._wire
        while queue:
            if wire.is_closing():
                queue.clear()
                self._queued_bytes = 0
                self._lost = True
                return None
            piece = queue[0]
            due = max(piece.earliest, self._free_at, self._last_due)
            if not piece.offset and piece.hold_s:
                due = max(due, self._last_due + piece.hold_s)
            if due > now:
                return None if due == math.inf else due
            if wire.get_write_buffer_size() > SLOW_READER_BYTES:
                return now + SLOW_READER_RETRY_S
            size = len(piece.data) - piece.offset
            size = min(size, self.piece_bytes) if self.piece_bytes else size
            wire.write(piece.data[piece.offset : piece.offset + size])
            if self.first_byte_at is None:
                self.first_byte_at = now
            self._queued_bytes -= size
            self._last_due = due
            if self.piece_s:
                self._free_at = due + self.piece_s * size / self.piece_bytes
            piece.offset += size
            if piece.offset == len(piece.data):
                queue.popleft()
        return None

    async def flush(self) -> None:
        """Until the last byte has left. Raises ConnectionError when the client has."""
        while self._queue:
            await self._movement()
        if self._lost:
            raise ConnectionResetError("the client has gone")
        if self.linger_s:
            await self._scheduler.until(self._clock.now() + self.linger_s)

    def close(self) -> None:
        """Forget what has not left."""
        self._alarm.link = None
        self._queue.clear()
        self._queued_bytes = 0
        self._tell()

    async def _movement(self) -> None:
        if self._moved is None or self._moved.done():
            self._moved = asyncio.get_running_loop().create_future()
        await self._moved

    def _tell(self) -> None:
        if self._moved is not None and not self._moved.done():
            self._moved.set_result(None)
