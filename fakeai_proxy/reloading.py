"""Files that the settings name are taken up again when they change: one list of what is watched, looked at
twice a second, on SIGHUP and on POST /_fakeai/v1/reload.

What cannot be used leaves what was in force before, and is told in the log and in the status.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from fakeai_proxy.clock import Clock
from fakeai_proxy.errors import FakeAIError

log = logging.getLogger("fakeai_proxy")

#: Between two looks. A file has to be the same in two of them: whoever writes it may not be done.
LOOK_REAL_S = 0.5
#: Files that are looked at without a thread: it would take the interpreter from the event loop for
#: milliseconds, where the looks themselves take microseconds.
_INLINE_MAX = 32
#: Derived of what lies beside it, by ourselves.
_DERIVED = ("index.bin",)

#: Name, size and time of change of each file.
_Signature = tuple[tuple[str, int, int], ...]


class Watched:
    """`take` makes what the files say so; it raises FakeAIError or OSError where that cannot be, and then
    has changed nothing. `why_not` says why they are not taken up at all: to who asks for it, not at each
    change, for we make most of them ourselves."""

    def __init__(
        self,
        name: str,
        paths: Sequence[Path],
        take: Callable[[], Awaitable[None]],
        why_not: str = "",
    ) -> None:
        self.name = name
        self.paths = tuple(paths)
        self.take = take
        self.why_not = why_not
        self.error = ""
        self.taken_at: float | None = None
        self.times = 0
        self.tried: _Signature = ()
        self.seen: _Signature = ()

    def signature(self) -> _Signature:
        """Of what there is: for a thread, where that is much."""
        return tuple(_signed(self.paths))

    def told(self) -> dict[str, object]:
        at = self.taken_at
        return {
            "what": self.name,
            "files": [str(path) for path in self.paths],
            "times": self.times,
            "at": None if at is None else datetime.fromtimestamp(at, UTC).isoformat(),
            "error": self.error or self.why_not or None,
        }


class Reloading:
    """`start` needs a running event loop."""

    def __init__(self, clock: Clock, watched: Sequence[Watched]) -> None:
        self._clock = clock
        self._watched = tuple(watched)
        self._looking: asyncio.Future[None] | None = None
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        if self._watched:
            for one, found in zip(self._watched, await self._signatures(), strict=True):
                one.tried = one.seen = found
            self._looking = asyncio.ensure_future(self._look_often())

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking

    def told(self) -> list[dict[str, object]]:
        return [one.told() for one in self._watched]

    async def reload(self) -> list[dict[str, object]]:
        """All of it, changed or not."""
        async with self._turn:
            for one, found in zip(self._watched, await self._signatures(), strict=True):
                await self._take(one, found)
        return self.told()

    async def _look_often(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_REAL_S):
                    await asyncio.Event().wait()
            async with self._turn:
                for one, found in zip(self._watched, await self._signatures(), strict=True):
                    before, one.seen = one.seen, found
                    if found == before and found != one.tried and not one.why_not:
                        await self._take(one, found)

    async def _signatures(self) -> list[_Signature]:
        if 0 < sum([len(one.seen) for one in self._watched]) <= _INLINE_MAX:
            return [one.signature() for one in self._watched]
        with self._clock.hold():
            return await asyncio.to_thread(lambda: [one.signature() for one in self._watched])

    async def _take(self, one: Watched, found: _Signature) -> None:
        one.tried = one.seen = found
        if one.why_not:
            log.warning("%s changed: %s", one.name, one.why_not)
            return
        try:
            with self._clock.hold():
                await one.take()
        except (FakeAIError, OSError) as error:
            one.error = " ".join(str(error).split())
            log.warning("%s; what was in force before stays", one.error)
            return
        one.error, one.taken_at = "", self._clock.wall()
        one.times += 1
        log.info("%s: read again from %s", one.name, ", ".join(map(str, one.paths)))


def _signed(paths: Sequence[Path]) -> Iterator[tuple[str, int, int]]:
    for path in paths:
        for file in sorted(path.iterdir()) if path.is_dir() else (path,):
            if file.name in _DERIVED:
                continue
            with suppress(OSError):  # in the middle of being replaced
                stat = os.stat(file)
                yield str(file), stat.st_size, stat.st_mtime_ns
