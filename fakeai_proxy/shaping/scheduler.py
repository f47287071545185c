"""Writes frames at absolute deadlines: one heap and one timer for all streams of the process.

A frame that is due is written straight to the transport, with no task switch and no sleep of its
own.
"""

from __future__ import annotations

import asyncio
import heapq
from array import array
from collections.abc import Callable, Sequence
from typing import Protocol

from fakeai_proxy.clock import Clock, Timer
from fakeai_proxy.roles import Sink

#: Bytes buffered for one reader above which its stream waits.
SLOW_READER_BYTES = 64 * 1024
#: How soon a waiting stream is looked at again.
SLOW_READER_RETRY_S = 0.005
#: The lateness histogram has one bucket per millisecond; the last holds the rest.
LATENESS_BUCKETS = 200


class Entry(Protocol):
    def step(self, now: float) -> float | None:
        """Do what is due; returns when to be called again, None for never."""


class Scheduler:
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
        ending: Callable[[], None] = lambda: None,
        instants: array[float] | None = None,
    ) -> None:
        """Write `frames[k]` at `dues[k]`; `started` is told the instant of the first write, `ending`
        that the last is about to be made, and `instants` takes that of every write. Raises
        ConnectionError when the reader has gone."""
        written = array("d") if instants is None else instants
        stream = _Stream(sink, frames, dues, started, ending, written)
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
        self._serial += 1
        heapq.heappush(self._heap, (due, self._serial, entry))
        if due < self._armed:
            self._arm(due)

    def _arm(self, due: float) -> None:
        if self._timer is None:
            self._timer = self._clock.timer(self._fire, awaited=True)
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

    def note_lateness(self, late_s: float) -> None:
        """Of a frame that somebody else has timed."""
        self.lateness[min(max(int(late_s * 1000), 0), LATENESS_BUCKETS)] += 1

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

    __slots__ = (
        "done",
        "dues",
        "ending",
        "frames",
        "instants",
        "next",
        "sink",
        "stalled",
        "started",
    )

    def __init__(
        self,
        sink: Sink,
        frames: Sequence[bytes],
        dues: Sequence[float],
        started: Callable[[float], None],
        ending: Callable[[], None],
        instants: array[float],
    ) -> None:
        self.ending = ending
        self.instants = instants
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
        if k + 1 == len(self.frames):
            self.ending()
        sink.write(self.frames[k])
        self.instants.append(now)
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
