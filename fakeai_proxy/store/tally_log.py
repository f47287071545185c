"""Tallies on their way into a store: lines at the end of a file, written before what they count is
told. A kill loses none of them, and none is counted twice: how far a file was read is a row of the
store, changed in the commit that counts its lines.

Every process has a file of its own and may count the lines of all.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import orjson

from fakeai_proxy.clock import Clock
from fakeai_proxy.store import Change, Conflict, Exists, Insert, Key, Row, Store, Tally, Write

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # the module is absent there

log = logging.getLogger("fakeai_proxy")

KIND = "usage.log"
_PATTERN = "usage-*.log"
#: What is counted in one commit: about a thousand lines, some milliseconds.
PIECE_BYTES = 256 << 10
#: A longer file is given up for another, once it is counted.
FILE_BYTES_MAX = 16 << 20
#: How long it is remembered that a file was counted which is no longer there, for whoever is at it.
_GRAVE_S = 86_400.0


def line_of(tally: Tally) -> bytes:
    """What is left of a tally without its instant; see `TallyLog.append`."""
    return orjson.dumps([tally.kind, tally.labels, tally.amounts])


class TallyLog:
    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._descriptor = -1
        self._name = ""
        self._size = 0
        #: Bytes that were not yet counted, as far as is known here.
        self.waiting_bytes = 0

    def append(self, minute_at: int, lines: list[bytes]) -> None:
        """The lines of one exchange, made by `line_of`. Raises OSError."""
        if self._descriptor < 0:
            self._open()
        at = b"%d " % minute_at
        data = b"".join([b"%b%b\n" % (at, line) for line in lines])
        os.write(self._descriptor, data)
        self._size += len(data)
        self.waiting_bytes += len(data)

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        while True:
            # No file of before had this name: what was counted of it is remembered by it.
            name = f"usage-{secrets.token_hex(8)}.log"
            try:
                self._descriptor = os.open(self._folder / name, flags, 0o600)
            except FileExistsError:
                continue
            # Whoever looks for files of the dead may have been quicker.
            if _lock(self._descriptor) and (self._folder / name).exists():
                break
            os.close(self._descriptor)
        self._name, self._size = name, 0

    def close(self) -> None:
        """What was not counted stays for the next life."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._name = -1, ""

    async def count(self, store: Store) -> None:
        """All lines of all files are in the store. Raises ApiError."""
        self.waiting_bytes = 0
        with self._clock.hold():
            paths = await asyncio.to_thread(lambda: sorted(self._folder.glob(_PATTERN)))
        for path in paths:
            await self._count_file(store, path)
        if self._size > FILE_BYTES_MAX:
            self.close()

    async def _count_file(self, store: Store, path: Path) -> None:
        key = Key(KIND, path.name, "")
        row = await store.get(key)
        while True:
            start = 0 if row is None else int(row.document["offset"])
            with self._clock.hold():
                end, tallies = await asyncio.to_thread(_read, path, start)
            if end > start:
                try:
                    first = _moved(key, start, end, self._clock.wall())
                    row = (await store.commit(first, *tallies))[0]
                except (Exists, Conflict):  # another process was quicker
                    row = await store.get(key)
                continue
            if path.name != self._name:
                await self._bury(store, path, row)
            return

    async def _bury(self, store: Store, path: Path, row: Row | None) -> None:
        """The file of a process that is no more, all of it counted."""
        with self._clock.hold():
            counted = 0 if row is None else int(row.document["offset"])
            gone = await asyncio.to_thread(_remove_if_dead, path, counted)
        if gone and row is not None and row.expires_at is None:
            expires_at = self._clock.wall() + _GRAVE_S
            await store.commit(Change(row.key, lambda row: replace(row, expires_at=expires_at)))


def _moved(key: Key, start: int, end: int, now: float) -> Write:
    document = {"offset": end}
    if not start:
        return Insert(Row(key, document, now))

    def function(row: Row) -> Row:
        if row.document["offset"] != start:
            raise Conflict(key)
        return replace(row, document=document)

    return Change(key, function)


def _read(path: Path, start: int) -> tuple[int, list[Tally]]:
    """Where the whole lines from `start` on end, at most a piece further, and what they say together."""
    try:
        with path.open("rb") as file:
            data = _piece(file, start)
    except FileNotFoundError:  # counted and removed in the meantime
        return start, []
    return start + len(data), list(_tallied(data))


def _piece(file: BinaryIO, start: int) -> bytes:
    file.seek(start)
    data = file.read(PIECE_BYTES)
    return data[: data.rfind(b"\n") + 1]


def _tallied(data: bytes) -> Iterator[Tally]:
    """One for each minute, kind and labels."""
    sums: dict[tuple[bytes, str, bytes], dict[str, int]] = {}
    for line, times in Counter(data.splitlines()).items():
        minute, _, rest = line.partition(b" ")
        try:
            kind, labels, amounts = orjson.loads(rest)
        except (orjson.JSONDecodeError, ValueError):
            log.warning("A line of a usage log is damaged and was not counted")
            continue
        counted = sums.setdefault((minute, kind, orjson.dumps(labels)), {})
        for name, amount in amounts.items():
            counted[name] = counted.get(name, 0) + amount * times
    for (minute, kind, labels), amounts in sums.items():
        yield Tally(kind, float(minute), orjson.loads(labels), amounts)


def _lock(descriptor: int) -> bool:
    """Held until the file is closed, by the kernel if need be."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_if_dead(path: Path, counted: int) -> bool:
    if fcntl is None:
        return False  # nobody could tell
    try:
        descriptor = os.open(path, os.O_WRONLY)
    except FileNotFoundError:
        return False
    try:
        if not _lock(descriptor) or _read(path, counted)[0] > counted:
            return False
        path.unlink(missing_ok=True)
        return True
    finally:
        os.close(descriptor)
