"""Deadlines that are known when a reply begins: as recorded, by a hosted profile, or at once."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from fakeai_proxy.clock import Clock, turn
from fakeai_proxy.exchange import HIT, Chunk, Exchange, Reply
from fakeai_proxy.profiles import Gaps
from fakeai_proxy.roles import Client
from fakeai_proxy.shaping.frames import data_of, measure, rendered, tail_of, tokens_of
from fakeai_proxy.shaping.scheduler import Scheduler

#: Frames joined in one write when nothing is timed; then the event loop gets a turn.
BURST_FRAMES = 32
#: A longer frame leaves in pieces: a transport takes milliseconds to copy what is left of megabytes.
PIECE_BYTES = 256 << 10


class TimedPacing:
    """`recorded`: chunks that tell their age leave at it. Others leave by `gaps`, and at once
    without."""

    def __init__(
        self,
        exchange: Exchange,
        reply: Reply,
        scheduler: Scheduler,
        clock: Clock,
        *,
        recorded: bool,
        gaps: Gaps | None,
        speed: float,
    ) -> None:
        self._exchange = exchange
        self._reply = reply
        self._scheduler = scheduler
        self._clock = clock
        self._recorded = recorded
        self._gaps = gaps
        self._speed = speed
        self._tokens = 0

    async def __aenter__(self) -> TimedPacing:
        return self

    async def __aexit__(self, *failure: object) -> None:
        return None

    async def play(self, chunks: Sequence[Chunk], client: Client) -> None:
        reply, exchange = self._reply, self._exchange
        if reply.keep is not None:
            await reply.keep(exchange.admission)
        if len(chunks) == 1 and self._is_due(chunks[0]):
            data = data_of(chunks[0], exchange.admission)
            if len(data) <= PIECE_BYTES:
                self._send(data, chunks[0], client)
                return
        head, frames, tail = rendered(reply, chunks, exchange.admission, client)
        exchange.sent_bytes = sum(map(len, frames))
        # The frames say it all; thousands of chunks kept until the last token would only give the
        # garbage collector something to walk over, while streams wait.
        reply.chunks = ()
        dues = self._dues(chunks)
        del chunks
        if dues is None:
            if not frames and self._recorded and reply.head_age_s is not None:
                await self._scheduler.until(self._at(reply.head_age_s))
            await self._burst([head, *frames, tail], client)
            return
        has_own_head = reply.head_age_s is not None and self._recorded
        if has_own_head:
            frames.insert(0, head)
            dues.insert(0, self._at(reply.head_age_s or 0.0))
        else:
            frames[0] = head + frames[0]
        frames[-1] += tail
        instants = exchange.instants
        try:
            await self._scheduler.play(
                client.sink, frames, dues, self._started, exchange.settle, instants
            )
        finally:
            if has_own_head:
                del instants[:1]  # a head is no chunk

    def _is_due(self, chunk: Chunk) -> bool:
        """Whether nothing says when it leaves."""
        return self._gaps is None and not (self._recorded and chunk.age_s is not None)

    def _send(self, data: bytes, chunk: Chunk, client: Client) -> None:
        """A whole answer in one write."""
        reply, exchange, sink = self._reply, self._exchange, client.sink
        if data is not chunk.data:
            measure(reply, data)
        head = client.head(reply)
        frame = client.frame(data)
        exchange.sent_bytes = len(frame)
        reply.chunks = ()
        if sink.is_closing():
            raise ConnectionResetError("the reader has gone")
        exchange.settle()
        sink.write(b"".join((head, frame, tail_of(reply, client))))
        exchange.first_byte_at = now = self._clock.now()
        exchange.instants.append(now)

    def _started(self, at: float) -> None:
        self._exchange.first_byte_at = at

    async def due(self, chunk: Chunk) -> None:
        if self._recorded and self._reply.provenance == HIT and chunk.age_s is not None:
            await self._scheduler.until(self._at(chunk.age_s))
        elif self._gaps is not None:
            self._tokens += tokens_of(self._reply, chunk)
            await self._scheduler.until(self._at(self._gaps.offset_s(self._tokens)))

    def _at(self, offset_s: float) -> float:
        return self._exchange.arrived_at + offset_s / self._speed

    def _dues(self, chunks: Sequence[Chunk]) -> list[float] | None:
        """Absolute deadlines, or None for at once."""
        if not chunks:
            return None
        arrived, speed = self._exchange.arrived_at, self._speed
        if self._recorded and chunks[0].age_s is not None:
            return [arrived + (chunk.age_s or 0.0) / speed for chunk in chunks]
        if self._gaps is None:
            return None
        tokens = [chunk.tokens for chunk in chunks]
        workload = self._reply.workload
        if workload is not None and workload.strides:
            tokens = _steps(tokens, workload.strides)
        offsets = self._gaps.offsets_s(tokens)
        return [arrived + offset_s / speed for offset_s in offsets]

    async def _burst(self, frames: list[bytes], client: Client) -> None:
        sink, exchange = client.sink, self._exchange
        for number, data in enumerate(_bursts(frames)):
            if number:
                await client.drain()
                await turn()
            if sink.is_closing():
                raise ConnectionResetError("the reader has gone")
            if not number:
                exchange.settle()  # the rest follows at once
            sink.write(data)
            now = self._clock.now()
            if not number:
                exchange.first_byte_at = now
            exchange.instants.append(now)


def _bursts(frames: Sequence[bytes]) -> Iterable[bytes]:
    """What is written in one turn of the event loop: frames together, or a piece of a long one."""
    if len(frames) < BURST_FRAMES and sum(map(len, frames)) <= PIECE_BYTES:
        whole = b"".join(frames)
        return (whole,) if whole else ()
    return _pieces(frames)


def _pieces(frames: Sequence[bytes]) -> Iterator[bytes]:
    start = 0
    for place, frame in enumerate(frames):
        if len(frame) > PIECE_BYTES:
            if start < place:
                yield b"".join(frames[start:place])
            for offset in range(0, len(frame), PIECE_BYTES):
                yield frame[offset : offset + PIECE_BYTES]
            start = place + 1
        elif place - start == BURST_FRAMES - 1:
            yield b"".join(frames[start : place + 1])
            start = place + 1
    rest = b"".join(frames[start:])
    if rest:
        yield rest


def _steps(tokens_each: list[int], strides: Sequence[int]) -> list[int]:
    """The steps that each of a row of chunks has to wait for, where a step may make several tokens."""
    ends = list(accumulate(strides))
    begun = [bisect_left(ends, total) + 1 if total else 0 for total in accumulate(tokens_each)]
    return [after - before for before, after in zip([0, *begun], begun, strict=False)]
