"""The lines of a blob, read in threads a piece at a time, from wherever an earlier life stopped."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import IO, Any, NamedTuple

from fakeai_proxy.clock import Clock
from fakeai_proxy.services.filing import LINE_BYTES_MAX
from fakeai_proxy.services.wire import parsed_object
from fakeai_proxy.store import Blobs

#: What is read at a time. A turn of the event loop looks at as much.
PIECE_BYTES = 64 << 10
_BOM = b"\xef\xbb\xbf"


class Place(NamedTuple):
    """Before a line: how many bytes and lines precede it."""

    offset: int = 0
    number: int = 0


class Line(NamedTuple):
    """`number` counts from 1, as editors do; `after` is the place behind it. One that is too long
    comes as several."""

    number: int
    after: Place
    data: bytes


def object_in(line: Line) -> dict[str, Any] | None:
    """None for what is no object in JSON."""
    return parsed_object(line.data.removeprefix(_BOM) if line.number == 1 else line.data)


async def object_of(clock: Clock, line: Line) -> dict[str, Any]:
    """The object in a line that is known to be one; in a thread if it is long."""
    if len(line.data) <= PIECE_BYTES:
        found = object_in(line)
    else:
        with clock.hold():
            found = await asyncio.to_thread(object_in, line)
    assert found is not None, "the line was checked"
    return found


class Lines:
    def __init__(self, blobs: Blobs, blob: str, clock: Clock, start: Place) -> None:
        self._blobs = blobs
        self._blob = blob
        self._clock = clock
        self._place = start
        self._file: IO[bytes] | None = None
        self._read: deque[bytes] = deque()
        self._is_over = False

    async def next(self) -> Line | None:
        """None at the end. Blank ones are passed over. Raises 503."""
        while True:
            if not self._read and not self._is_over:
                with self._clock.hold():
                    self._read.extend(await asyncio.to_thread(self._more))
                self._is_over = not self._read
            if not self._read:
                return None
            data = self._read.popleft()
            self._place = Place(self._place.offset + len(data), self._place.number + 1)
            if not data.isspace():
                return Line(self._place.number, self._place, data)

    async def piece(self) -> list[Line]:
        """As many as are at hand, at least one; none at the end. Raises 503."""
        first = await self.next()
        found = [] if first is None else [first]
        while self._read and (line := await self.next()) is not None:
            found.append(line)
        return found

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _more(self) -> list[bytes]:
        if self._file is None:
            self._file = self._blobs.open_file(self._blob)
            self._file.seek(self._place.offset)
        found, size = [], 0
        while size < PIECE_BYTES and (line := self._file.readline(LINE_BYTES_MAX + 1)):
            found.append(line)
            size += len(line)
        return found
