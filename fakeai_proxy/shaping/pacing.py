"""When each chunk of a reply may leave.

One `Scheduler` per process holds every stream's next absolute deadline in a heap with one timer;
a frame that is due is written straight to the transport, with no task switch and no sleep of its
own. A `Pacer` decides the deadlines: as recorded, by a latency profile, or at once.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from fakeai_proxy.clock import Clock, Timer, turn
from fakeai_proxy.dice import Dice
from fakeai_proxy.exchange import HIT, Chunk, Client, Exchange, Reply, Sink
from fakeai_proxy.profiles import HostedProfile

#: Bytes buffered for one reader above which its stream waits.
SLOW_READER_BYTES = 64 * 1024
#: How soon a waiting stream is looked at again.
SLOW_READER_RETRY_S = 0.005
#: Frames joined in one write when nothing is timed; then the event loop gets a turn.
BURST_FRAMES = 32
#: The lateness histogram has one bucket per millisecond; the last holds the rest.
LATENESS_BUCKETS = 200


class PacingSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    timing: Literal["recorded", "profile", "none"] = Field(
        "recorded",
        description="When bytes leave: as recorded (synthesized answers follow the profile), "
        "everything by the profile, or at once.",
    )
    speed: float = Field(
        1.0, gt=0, allow_inf_nan=False, description="How many times faster than the timing says."
    )


class Entry(Protocol):
    def step(self, now: float) -> float | None:
        """Do what is due; when to come again, None for not at all."""


class Scheduler:
    """Writes frames at absolute deadlines."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Entry]] = []
        self._serial = 0
        self._armed = float("inf")
        self._timer: Timer | None = None
        #: Frames by whole milliseconds of lateness.
        self.lateness = [0] * (LATENESS_BUCKETS + 1)

    async def play(
        self,
        sink: Sink,
        frames: Sequence[bytes],
        dues: Sequence[float],
        started: Callable[[float], None],
    ) -> None:
        """Write `frames[k]` at `dues[k]`; `started` is told the instant of the first write. Raises
        ConnectionError when the reader has gone."""
        stream = _Stream(sink, frames, dues, started)
        self.push(dues[0], stream)
        try:
            await stream.done
        finally:
            stream.done.cancel()

    async def until(self, deadline: float) -> None:
        if deadline <= self._clock.now():
            return
        waiter = _Waiter()
        self.push(deadline, waiter)
        try:
            await waiter.done
        finally:
            waiter.done.cancel()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.close()
            self._timer = None

    def push(self, due: float, entry: Entry) -> None:
        """Have `entry.step` called at `due`; within a step, only for instants to come."""
        self._serial += 1
        heapq.heappush(self._heap, (due, self._serial, entry))
        if due < self._armed:
            self._arm(due)

    def _arm(self, due: float) -> None:
        if self._timer is None:
            self._timer = self._clock.timer(self._fire)
        self._armed = due
        self._timer.at(due)

    def _fire(self) -> None:
        heap = self._heap
        # Read once, on purpose: a loop that keeps looking at the clock never ends under overload,
        # and new requests then wait a second for their turn.
        now = self._clock.now()
        lateness = self.lateness
        while heap and heap[0][0] <= now:
            due, serial, entry = heap[0]
            late_ms = int((now - due) * 1000)
            lateness[late_ms if late_ms < LATENESS_BUCKETS else LATENESS_BUCKETS] += 1
            following = entry.step(now)
            if following is None:
                heapq.heappop(heap)
            else:
                heapq.heapreplace(heap, (following, serial, entry))
        if heap:
            self._arm(max(heap[0][0], now + self._clock.spacing_s))
        else:
            self._armed = float("inf")

    def lateness_s(self, share: float) -> float:
        """The quantile `share` of how late frames were, to a millisecond; 0 before any."""
        total = sum(self.lateness)
        seen = 0
        for late_ms, count in enumerate(self.lateness):
            seen += count
            if total and seen >= share * total:
                return late_ms / 1000
        return 0.0


class _Stream:
    """A cursor over the frames of one scripted reply."""

    __slots__ = ("done", "dues", "frames", "next", "sink", "stalled", "started")

    def __init__(
        self,
        sink: Sink,
        frames: Sequence[bytes],
        dues: Sequence[float],
        started: Callable[[float], None],
    ) -> None:
        self.sink = sink
        self.frames = frames
        self.dues = dues
        self.next = 0
        self.stalled = False
        self.started = started
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def step(self, now: float) -> float | None:
        sink, k = self.sink, self.next
        if self.done.done():
            return None
        if sink.is_closing():
            self.done.set_exception(ConnectionResetError("the reader has gone"))
            return None
        if self.stalled or (k & 15) == 15:
            self.stalled = sink.get_write_buffer_size() > SLOW_READER_BYTES
            if self.stalled:
                return now + SLOW_READER_RETRY_S
        sink.write(self.frames[k])
        if k == 0:
            self.started(now)
        self.next = k = k + 1
        if k == len(self.frames):
            self.done.set_result(None)
            return None
        return self.dues[k]


class _Waiter:
    """Somebody who waits for an instant."""

    __slots__ = ("done",)

    def __init__(self) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def step(self, now: float) -> float | None:
        if not self.done.done():
            self.done.set_result(None)
        return None


class Pacer:
    """Chooses the deadlines of one exchange's chunks."""

    def __init__(
        self,
        settings: PacingSettings,
        profile: HostedProfile | None,
        scheduler: Scheduler,
        clock: Clock,
        dice: Dice,
    ) -> None:
        self.settings = settings
        self.profile = profile
        self.scheduler = scheduler
        self.clock = clock
        self.dice = dice
        #: How many times faster than the timing says; of a stream, when it begins.
        self.speed = settings.speed

    def admit(self, exchange: Exchange, reply: Reply) -> Pacing:
        return Pacing(self, exchange, reply)


class Pacing:
    """The timing of one reply; a context manager, because other pacers hold an engine slot."""

    def __init__(self, pacer: Pacer, exchange: Exchange, reply: Reply) -> None:
        self._pacer = pacer
        self._exchange = exchange
        self._reply = reply
        self._tokens = 0
        timing = pacer.settings.timing
        self._recorded = timing == "recorded"
        self._gaps = None
        if timing != "none" and pacer.profile is not None and reply.workload is not None:
            rng = pacer.dice.roll(exchange.dice_key, "latency")
            self._gaps = pacer.profile.for_model(reply.workload.model).draw(
                rng, reply.workload.prompt_tokens
            )

    async def __aenter__(self) -> Pacing:
        return self

    async def __aexit__(self, *failure: object) -> None:
        return None

    async def play(self, chunks: Sequence[Chunk], client: Client) -> None:
        """Send a scripted reply, head and tail included. Raises ConnectionError when the client
        has gone."""
        reply, exchange = self._reply, self._exchange
        head = client.head(reply)
        frames = [
            client.frame(
                chunk.data if isinstance(chunk.data, bytes) else chunk.data(exchange.admission)
            )
            for chunk in chunks
        ]
        tail = b"" if reply.cut else client.tail()
        exchange.sent_bytes = sum(map(len, frames))
        # The frames say it all; thousands of chunks kept until the last token would only give the
        # garbage collector something to walk over, while streams wait.
        reply.chunks = ()
        dues = self._dues(chunks)
        del chunks
        if dues is None:
            await self._burst([head, *frames, tail], client)
            return
        if reply.head_age_s is not None and self._recorded:
            frames.insert(0, head)
            dues.insert(0, self._at(reply.head_age_s))
        else:
            frames[0] = head + frames[0]
        frames[-1] += tail
        await self._pacer.scheduler.play(client.sink, frames, dues, self._started)

    def _started(self, at: float) -> None:
        self._exchange.first_byte_at = at

    async def due(self, chunk: Chunk) -> None:
        """Wait until a live chunk may leave: one from a recording at its age, one from an upstream
        as it comes, unless the profile says otherwise."""
        if self._recorded and self._reply.provenance == HIT and chunk.age_s is not None:
            await self._pacer.scheduler.until(self._at(chunk.age_s))
            return
        if self._gaps is not None and self._pacer.settings.timing == "profile":
            self._tokens += max(chunk.tokens, 1)
            await self._pacer.scheduler.until(self._at(self._gaps.offset_s(self._tokens)))

    def _at(self, offset_s: float) -> float:
        return self._exchange.arrived_at + offset_s / self._pacer.speed

    def _dues(self, chunks: Sequence[Chunk]) -> list[float] | None:
        """Absolute deadlines, or None for at once."""
        if not chunks:
            return None
        arrived, speed = self._exchange.arrived_at, self._pacer.speed
        if self._recorded and chunks[0].age_s is not None:
            return [arrived + (chunk.age_s or 0.0) / speed for chunk in chunks]
        if self._gaps is None:
            return None
        offsets = self._gaps.offsets_s([chunk.tokens for chunk in chunks])
        return [arrived + offset_s / speed for offset_s in offsets]

    async def _burst(self, frames: list[bytes], client: Client) -> None:
        sink = client.sink
        for start in range(0, len(frames), BURST_FRAMES):
            if sink.is_closing():
                raise ConnectionResetError("the reader has gone")
            sink.write(b"".join(frames[start : start + BURST_FRAMES]))
            if start == 0:
                self._exchange.first_byte_at = self._pacer.clock.now()
            if start + BURST_FRAMES < len(frames):
                await client.drain()
                await turn()
