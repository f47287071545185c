"""An event loop in a thread of its own, for those who have none or are busy with theirs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")

#: Threads for what would block the loop: name look-ups, certificates, reading recordings.
THREADS_MAX = 8
_HERE = threading.local()


def is_ours() -> bool:
    """Whether this thread is a server's, not the user's."""
    return getattr(_HERE, "ours", False)


def _claim() -> None:
    _HERE.ours = True


class Background:
    """Runs from when it is made until `close`."""

    def __init__(self) -> None:
        self._ready: Future[asyncio.AbstractEventLoop] = Future()
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._live, name="fakeai-proxy", daemon=True)
        self._thread.start()
        self._loop = self._ready.result()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Waits for it, in any other thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """Whatever still runs there is cancelled; the thread has ended when this returns."""
        if self._thread.is_alive():
            assert self._stop is not None, "set before it was ready"
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def _live(self) -> None:
        _claim()
        # Sockets are watched by `add_reader`, whatever loops the user prefers.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._until_stopped())

    async def _until_stopped(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(
            ThreadPoolExecutor(THREADS_MAX, "fakeai-proxy", initializer=_claim)
        )
        self._stop = asyncio.Event()
        self._ready.set_result(loop)
        await self._stop.wait()
