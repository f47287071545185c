"""A scripted reply whose chunks wait for the tokens of a job: a cursor over its frames, moved by the
steps of the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import accumulate

from fakeai_proxy.errors import StreamCut, backend_died
from fakeai_proxy.exchange import Chunk, Exchange, Reply
from fakeai_proxy.roles import Client
from fakeai_proxy.shaping.fleet_jobs import Progress
from fakeai_proxy.shaping.frames import data_of, measure, tail_of
from fakeai_proxy.shaping.scheduler import SLOW_READER_BYTES, SLOW_READER_RETRY_S, Scheduler

#: More than any job generates: due with the last token, and not before.
_LAST = 1 << 62


class FleetStream:
    """`done` is set when the last byte is written; of a reply that is kept first, when
    its last frame is due, which `finish` writes. Frames of one step leave in one write; a slow reader
    makes its own stream wait, never the engine."""

    def __init__(
        self,
        job: Progress,
        output_tokens: int,
        exchange: Exchange,
        reply: Reply,
        chunks: Sequence[Chunk],
        client: Client,
        scheduler: Scheduler,
    ) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._job, self._exchange, self._reply = job, exchange, reply
        self._client, self._sink, self._scheduler = client, client.sink, scheduler
        self._whole = len(chunks) == 1
        #: Rendered, but for those that tell what the engine did.
        self._frames: list[bytes | Chunk] = []
        self._head = b""
        if not (self._whole and not isinstance(chunks[0].data, bytes)):
            self._head = client.head(reply)
        for chunk in chunks:
            late = not isinstance(chunk.data, bytes)
            self._frames.append(chunk if late else self._framed(chunk))
        self._totals = [max(total, 1) for total in accumulate(chunk.tokens for chunk in chunks)]
        if not output_tokens:
            self._totals = [_LAST] * len(chunks)
        self._next = 0
        self._need = self._totals[0] if chunks else 1
        self._given = 0
        self._begun = self._stalled = False

    def reached(self, given: int, at: float, now: float) -> None:
        if given < self._need or self._given >= self._need:
            return
        self._given = given
        place, totals = self._next, self._totals
        if (
            not self._begun
            or self._stalled
            or self._sink.get_write_buffer_size() > SLOW_READER_BYTES
            or place + 1 >= len(totals)
            or totals[place + 1] <= given
        ):
            self._go_on(at, now)
            return
        # One more token that is one more frame: nearly always.
        frame = self._frames[place]
        if type(frame) is not bytes or self._sink.is_closing():
            self._go_on(at, now)
            return
        self._frames[place] = b""
        self._next, self._need = place + 1, totals[place + 1]
        self._scheduler.note_lateness(now - at)
        self._sink.write(frame)
        self._exchange.instants.append(now)

    def ended(self, at: float, now: float) -> None:
        if self.done.done():
            return
        self._given = _LAST
        self._go_on(at, now)

    def broke(self, reason: str) -> None:
        if self.done.done():
            return
        self.done.set_exception(StreamCut(reason) if self._begun else backend_died(reason))

    def step(self, now: float) -> float | None:
        """The scheduler looks whether a slow reader has caught up."""
        self._write(now)
        return now + SLOW_READER_RETRY_S if self._stalled else None

    def _go_on(self, at: float, now: float) -> None:
        if self._stalled:
            return  # the scheduler will find what is due by then
        self._scheduler.note_lateness(now - at)
        self._write(now)
        if self._stalled:
            self._scheduler.push(now + SLOW_READER_RETRY_S, self)

    def _write(self, now: float) -> None:
        sink = self._sink
        self._stalled = False
        if self.done.done():
            return
        if sink.is_closing():
            self.done.set_exception(ConnectionResetError("the reader has gone"))
            return
        if sink.get_write_buffer_size() > SLOW_READER_BYTES:
            self._stalled = True
            return
        start = end = self._next
        totals, given = self._totals, self._given
        while end < len(totals) and totals[end] <= given:
            end += 1
        if end == len(totals) and self._reply.keep is not None:
            self._hold(start, now)
            return
        data = self._opened(self._due(start, end), now)
        self._exchange.instants.append(now)
        if end < len(totals):
            self._next, self._need = end, totals[end]
            sink.write(data)
            return
        self._exchange.settle()
        sink.write(data + tail_of(self._reply, self._client))
        self.done.set_result(None)

    def _hold(self, start: int, now: float) -> None:
        last = max(len(self._frames) - 1, 0)
        data = self._due(start, last)
        if last > start:
            self._sink.write(self._opened(data, now))
            self._exchange.instants.append(now)
        self._next = last
        self.done.set_result(None)

    def finish(self, now: float) -> None:
        """The last frame, which waited. Raises ConnectionError when the reader has gone."""
        if self._sink.is_closing():
            raise ConnectionResetError("the reader has gone")
        data = self._due(self._next, len(self._frames))
        self._exchange.settle()
        self._sink.write(self._opened(data, now) + tail_of(self._reply, self._client))
        self._exchange.instants.append(now)

    def _opened(self, data: bytes, now: float) -> bytes:
        """After the head, where that is still to come."""
        if self._begun:
            return data
        self._begun = True
        self._exchange.first_byte_at = now
        return self._head + data

    def _due(self, start: int, end: int) -> bytes:
        if not self._begun:
            note_admission(self._exchange, self._job)
        frames = self._frames
        pieces = []
        for frame in frames[start:end]:
            pieces.append(frame if isinstance(frame, bytes) else self._framed(frame))
        frames[start:end] = [b""] * (end - start)  # what is sent is not kept
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _framed(self, chunk: Chunk) -> bytes:
        data = data_of(chunk, self._exchange.admission)
        if self._whole and not isinstance(chunk.data, bytes):
            measure(self._reply, data)
            self._head = self._client.head(self._reply)
        self._exchange.sent_bytes += len(data)
        return self._client.frame(data)


def note_admission(exchange: Exchange, job: Progress) -> None:
    """What the back end did, known from the first token on."""
    admission = exchange.admission
    admission.worker = "" if job.worker is None else job.worker.name
    admission.cached_tokens = job.cached_tokens
    admission.queue_s = job.queue_s
