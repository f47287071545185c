"""Simulated time: the one file that may import `time`.

`SystemClock` follows real time (or a multiple of it) and serves the program; `VirtualClock` moves
only when told, or by itself to the next deadline when nothing else can run, and serves the tests.
All instants are absolute seconds since the clock was made. There is no relative sleep: a loop that
waits *until* cannot drift, one that waits *for* does.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import heapq
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Literal, Protocol


class Timer(Protocol):
    """One re-armable alarm."""

    def at(self, deadline: float) -> None:
        """Fire once at `deadline`; an earlier setting is forgotten."""

    def close(self) -> None: ...


class Clock(Protocol):
    #: Wake-ups closer together than this cost more than they are worth: with thousands of streams,
    #: each token would have one of its own.
    spacing_s: float

    @property
    def epoch_s(self) -> float:
        """`wall` when `now` was 0."""

    def now(self) -> float:
        """Seconds since the clock was made."""

    def ago(self, real_s: float) -> float:
        """The instant so many real seconds before `now`."""

    def wall(self) -> float:
        """Seconds since the Unix epoch, for dates in bodies and headers."""

    def timer(self, callback: Callable[[], None], awaited: bool = False) -> Timer:
        """`awaited`: somebody waits for an answer until it fires."""

    async def sleep_until(self, deadline: float) -> None: ...

    def hold(self) -> AbstractContextManager[None]:
        """Open while a thread works: simulated time waits for it."""


class SystemClock:
    """Real time, times `rate`."""

    spacing_s = 0.0001

    def __init__(self, rate: float = 1.0, origin: tuple[float, float] | None = None) -> None:
        """`origin` is that of another process's clock, which this one then agrees with."""
        self.rate = rate
        self._zero, self._epoch = origin or (time.monotonic(), time.time())

    @property
    def epoch_s(self) -> float:
        return self._epoch

    @property
    def origin(self) -> tuple[float, float]:
        return self._zero, self._epoch

    def now(self) -> float:
        return (time.monotonic() - self._zero) * self.rate

    def ago(self, real_s: float) -> float:
        return self.now() - real_s * self.rate

    def wall(self) -> float:
        return self._epoch + self.now()

    def real(self, deadline: float) -> float:
        """The `time.monotonic()` instant at which `now()` is `deadline`."""
        return self._zero + deadline / self.rate

    def timer(self, callback: Callable[[], None], awaited: bool = False) -> Timer:
        loop = asyncio.get_running_loop()
        if sys.platform == "linux":
            return _FdTimer(loop, callback, self.real)
        return _LoopTimer(loop, callback, self.real)

    async def sleep_until(self, deadline: float) -> None:
        await _sleep_until(self, deadline)

    def hold(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()


class VirtualClock:
    """Time that stands still until `advance` is called or, with `autojump`, until nothing else can run;
    where it is "awaited", only as far as the next timer that somebody waits for.

    Threads are invisible to it: work handed to one is wrapped in `hold()` so that time waits for it.
    """

    #: Turns of the event loop without clock activity after which it counts as idle. Loopback sockets
    #: need a handful of turns to carry a request there and back.
    IDLE_TURNS = 30
    spacing_s = 0.0

    def __init__(
        self, autojump: bool | Literal["awaited"] = True, epoch: float = 1_750_000_000.0
    ) -> None:
        self.autojump = autojump
        self._now = 0.0
        self._epoch = epoch
        self._alarms: list[tuple[float, int, _VirtualTimer]] = []
        self._serial = 0
        self._activity = 0
        self._held = 0
        self._jumper: asyncio.Task[None] | None = None

    @property
    def epoch_s(self) -> float:
        return self._epoch

    def now(self) -> float:
        return self._now

    def ago(self, real_s: float) -> float:
        return self._now  # real time does not pass here

    def wall(self) -> float:
        return self._epoch + self._now

    def timer(self, callback: Callable[[], None], awaited: bool = False) -> Timer:
        return _VirtualTimer(self, callback, awaited)

    async def sleep_until(self, deadline: float) -> None:
        await _sleep_until(self, deadline)

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """While this is open, time does not jump."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            self._activity += 1

    def advance(self, seconds: float) -> None:
        """Move time on and fire what falls due on the way, in order of deadline."""
        goal = self._now + seconds
        while self._fire_next(goal):
            pass
        self._now = goal

    async def pass_by(self, seconds: float) -> None:
        """As `advance`, but what is woken on the way gets to do its work before time goes on."""
        goal = self._now + seconds
        await self._settled()
        while self._fire_next(goal):
            await self._settled()
        self._now = max(self._now, goal)

    def arm(self, deadline: float, timer: _VirtualTimer) -> None:
        self._serial += 1
        self._activity += 1
        timer.serial = self._serial
        heapq.heappush(self._alarms, (deadline, self._serial, timer))
        if self._goal() is not None and (self._jumper is None or self._jumper.done()):
            self._jumper = asyncio.get_running_loop().create_task(self._jump())

    def _fire_next(self, goal: float) -> bool:
        while self._alarms and self._alarms[0][2].serial != self._alarms[0][1]:
            heapq.heappop(self._alarms)  # re-armed or closed since
        if not self._alarms or self._alarms[0][0] > goal:
            return False
        deadline, _, timer = heapq.heappop(self._alarms)
        self._now = max(self._now, deadline)
        timer.serial = 0
        self._activity += 1
        timer.callback()
        return True

    def _goal(self) -> float | None:
        """How far time may jump by itself; None where it stands."""
        if self.autojump != "awaited":
            return float("inf") if self.autojump else None
        live = [
            at for at, serial, timer in self._alarms if timer.awaited and timer.serial == serial
        ]
        return min(live, default=None)

    async def _jump(self) -> None:
        while self._alarms and self._goal() is not None:
            if await self._is_idle():
                goal = self._goal()
                if goal is not None:
                    self._fire_next(goal)

    async def _settled(self) -> None:
        while not await self._is_idle():
            pass

    async def _is_idle(self) -> bool:
        seen = self._activity
        for _ in range(self.IDLE_TURNS):
            await turn()
            if self._activity != seen or self._held:
                return False
        return True


class _VirtualTimer:
    def __init__(self, clock: VirtualClock, callback: Callable[[], None], awaited: bool) -> None:
        self.clock = clock
        self.callback = callback
        self.awaited = awaited
        self.serial = 0

    def at(self, deadline: float) -> None:
        self.clock.arm(deadline, self)

    def close(self) -> None:
        self.serial = 0


async def _sleep_until(clock: Clock, deadline: float) -> None:
    if deadline <= clock.now():
        return
    woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def wake() -> None:
        if not woken.done():
            woken.set_result(None)

    timer = clock.timer(wake)
    timer.at(deadline)
    try:
        await woken
    finally:
        timer.close()


class _FdTimer:
    """A kernel timer with nanosecond setting: event loops round their own waits to a millisecond."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        callback: Callable[[], None],
        real: Callable[[float], float],
    ) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._settime = libc.timerfd_settime
        self._fd = libc.timerfd_create(1, os.O_NONBLOCK | os.O_CLOEXEC)  # 1 is CLOCK_MONOTONIC
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._spec = (ctypes.c_long * 4)()
        self._loop, self._callback, self._real = loop, callback, real
        loop.add_reader(self._fd, self._fire)

    def at(self, deadline: float) -> None:
        real = self._real(deadline)
        whole = int(real)
        self._spec[2] = whole
        self._spec[3] = int((real - whole) * 1e9) or 1  # all zero would disarm it
        self._settime(self._fd, 1, self._spec, None)

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _fire(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return
        self._callback()


class _LoopTimer:
    """The event loop's own timer, where there is no timerfd."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        callback: Callable[[], None],
        real: Callable[[float], float],
    ) -> None:
        self._loop, self._callback, self._real = loop, callback, real
        self._handle: asyncio.TimerHandle | None = None

    def at(self, deadline: float) -> None:
        self.close()
        delay = self._real(deadline) - time.monotonic()
        self._handle = self._loop.call_later(max(0.0, delay), self._callback)

    def close(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


def clock_of(kind: Literal["real", "virtual"]) -> SystemClock | VirtualClock:
    """That of a program; a virtual one begins at the real time."""
    return SystemClock() if kind == "real" else VirtualClock("awaited", time.time())


def age_s(epoch_ns: int) -> float:
    """How long ago an instant of the system's clock was, in real seconds; 0 for one to come."""
    return max(0.0, (time.time_ns() - epoch_ns) / 1e9)


async def turn() -> None:
    """Give everything else that is ready one turn of the event loop."""
    await asyncio.sleep(0)  # noqa: TID251 - waits for no time
