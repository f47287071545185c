"""The client's process, run once: in a process group of its own, its output kept, ended when its time is
up."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from fakeai_proxy.clock import Clock
from fakeai_proxy.resilience.sight import Ran

#: What is kept of each stream, from its end.
KEPT_BYTES = 64 << 10
#: What a program gets for its clean-up when its time is up, and what it left behind to close its output.
KILL_AFTER_S, CLOSE_AFTER_S = 1.0, 0.5
_READ_BYTES = 1 << 14

Echo = Callable[[bytes], None]


class _Tail:
    def __init__(self, echo: Echo | None) -> None:
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._echo = echo

    async def read(self, stream: asyncio.StreamReader) -> None:
        while piece := await stream.read(_READ_BYTES):
            if self._echo is not None:
                self._echo(piece)
            self._pieces.append(piece)
            self._size += len(piece)
            while self._size - len(self._pieces[0]) >= KEPT_BYTES:
                self._size -= len(self._pieces.popleft())

    def text(self) -> str:
        return b"".join(self._pieces)[-KEPT_BYTES:].decode("utf-8", "replace")


async def run_once(
    command: Sequence[str],
    environ: Mapping[str, str],
    budget_s: float,
    clock: Clock,
    echo: Echo | None = None,
) -> Ran:
    """Raises OSError when it cannot be started. Cancelled, it takes the program with it."""
    started_at = clock.now()
    child = await asyncio.create_subprocess_exec(
        *command,
        env=environ,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert child.stdout is not None
    assert child.stderr is not None
    out, err = _Tail(echo), _Tail(echo)
    reading = asyncio.gather(out.read(child.stdout), err.read(child.stderr))
    killed = False
    try:
        ended_at = None
        try:
            async with asyncio.timeout(budget_s):
                await child.wait()
        except TimeoutError:
            killed, ended_at = True, clock.now()
            await _end(child)
        if ended_at is None:
            ended_at = clock.now()
        with suppress(TimeoutError):  # something that it started holds its output open
            async with asyncio.timeout(CLOSE_AFTER_S):
                await asyncio.shield(reading)
    finally:
        _signal(child, signal.SIGKILL)
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
    assert child.returncode is not None
    return Ran(child.returncode, started_at, ended_at, killed, out.text(), err.text())


async def _end(child: asyncio.subprocess.Process) -> None:
    _signal(child, signal.SIGTERM)
    try:
        async with asyncio.timeout(KILL_AFTER_S):
            await child.wait()
    except TimeoutError:
        _signal(child, signal.SIGKILL)
        await child.wait()


def _signal(child: asyncio.subprocess.Process, number: int) -> None:
    """To the program and whatever it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)
