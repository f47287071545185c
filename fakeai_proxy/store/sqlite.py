"""The store in SQLite: a file that several processes may share, or this process's memory."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from fakeai_proxy.clock import Clock
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.store import statements
from fakeai_proxy.store.blobs import FileBlobs
from fakeai_proxy.store.documents import Key, Page, Row, Sum, Write
from fakeai_proxy.store.room import Room
from fakeai_proxy.store.schema import migrate
from fakeai_proxy.store.sweeping import Sweeping
from fakeai_proxy.store.writer import Writer, unavailable

T = TypeVar("T")

#: How long a writer waits for other processes' transactions, in real time.
BUSY_S = 5.0
READERS = 2
#: A store in memory holds so much at most, and is then as full as a disk.
MEMORY_BYTES_MAX = 1 << 30
_PAGE_BYTES = 4096
#: Blobs that are looked up in one go.
_SWEPT_TOGETHER = 500


class SqliteStore:
    """`file` is None for a store in memory, whose reads go through its one connection too, as do those
    of a file that is not yet there: it is made by the first who asks."""

    def __init__(self, file: Path | None, blobs: FileBlobs, clock: Clock) -> None:
        self.blobs = blobs
        self._file = file
        self._clock = clock
        self._writer = Writer(self._connect)
        self._readers = ThreadPoolExecutor(READERS, "store-reader")
        self._has_readers = False
        self._local = threading.local()
        self._room = Room()
        self._sweeping = Sweeping(self.sweep, clock)

    async def open(self) -> None:
        """What is wrong with a file that is there is said at the start."""
        try:
            with self._clock.hold():
                await asyncio.to_thread(self._open)
        except (sqlite3.Error, OSError) as error:
            raise ConfigError(
                f"data: {self._file} cannot be used ({error}). See that it is whole and that its folder "
                "may be written, or name another folder with --data."
            ) from None

    def _open(self) -> None:
        if self._file is not None and self._file.exists():
            self._writer.open()

    async def close(self) -> None:
        await self._sweeping.close()
        with self._clock.hold():
            await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writer.close()
        self._readers.shutdown()
        self.blobs.close()

    # --- reading -----------------------------------------------------------------------------------

    async def get(self, key: Key) -> Row | None:
        now = self._clock.wall()
        return await self._read(lambda connection: statements.get(connection, key, now))

    async def page(
        self,
        kind: str,
        parent: str | None,
        *,
        tags: Mapping[str, str] | None = None,
        after: str = "",
        before: str = "",
        limit: int = 20,
        ascending: bool = False,
    ) -> Page:
        now = self._clock.wall()
        cursors = after, before
        return await self._read(
            lambda connection: statements.page(
                connection, kind, parent, tags or {}, cursors, limit, ascending, now
            )
        )

    async def count(
        self, kind: str, parent: str | None, *, tags: Mapping[str, str] | None = None
    ) -> int:
        now = self._clock.wall()
        return await self._read(
            lambda connection: statements.count(connection, kind, parent, tags or {}, now)
        )

    async def next_due(self, kinds: Sequence[str]) -> Mapping[str, float]:
        now = self._clock.wall()
        return await self._read(lambda connection: statements.next_due(connection, kinds, now))

    async def sums(self, kind: str, start_at: int, end_at: int, bucket_s: int) -> list[Sum]:
        return await self._read(
            lambda connection: statements.sums(connection, kind, start_at, end_at, bucket_s)
        )

    # --- writing -----------------------------------------------------------------------------------

    async def commit(self, *writes: Write) -> list[Row | None]:
        now = self._clock.wall()

        def applied(connection: sqlite3.Connection) -> list[Row | None]:
            if self._file is None:
                self._room.make(connection)
            return [statements.apply(connection, write, now) for write in writes]

        rows = await self._write(applied)
        self._sweeping.sometimes()
        return rows

    async def claim(
        self, kind: str, owner: str, until: float, limit: int = 1, now: float | None = None
    ) -> list[Row]:
        at = self._clock.wall() if now is None else now
        return await self._write(
            lambda connection: statements.claim(connection, kind, owner, at, until, limit)
        )

    async def renew(self, key: Key, owner: str, until: float) -> bool:
        return await self._write(lambda connection: statements.renew(connection, key, owner, until))

    async def sweep(self) -> int:
        now = self._clock.wall()
        swept: int = await self._write(lambda connection: statements.sweep(connection, now))
        idle = await self.blobs.idle()
        for start in range(0, len(idle), _SWEPT_TOGETHER):
            some = idle[start : start + _SWEPT_TOGETHER]
            for blob in await self._read(partial(statements.unnamed, blobs=some)):
                await self.blobs.remove(blob)
        return swept

    # --- connections -------------------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
        place = ":memory:" if self._file is None else str(self._file)
        connection = sqlite3.connect(
            place, timeout=BUSY_S, isolation_level=None, check_same_thread=False
        )
        if self._file is None:
            connection.execute(f"PRAGMA max_page_count = {MEMORY_BYTES_MAX // _PAGE_BYTES}")
        else:
            # Acknowledged is what a power cut leaves, too.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        try:
            migrate(connection, place)
        except (sqlite3.Error, ConfigError):
            connection.close()
            raise
        self._has_readers = self._file is not None
        return connection

    async def _write(self, function: Callable[[sqlite3.Connection], T]) -> T:
        with self._clock.hold():
            result: T = await self._writer.run(function)
            return result

    async def _read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        if not self._has_readers:
            return await self._write(function)
        loop = asyncio.get_running_loop()
        with self._clock.hold():
            return await loop.run_in_executor(self._readers, self._reading, function)

    def _reading(self, function: Callable[[sqlite3.Connection], T]) -> T:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        try:
            if connection is None:
                connection = sqlite3.connect(
                    f"{self._uri}?mode=rw", uri=True, timeout=BUSY_S, isolation_level=None
                )
                connection.execute("PRAGMA query_only = ON")
                self._local.connection = connection
            return function(connection)
        except sqlite3.Error as error:
            self._local.connection = None
            if connection is not None:
                connection.close()
            raise unavailable(error) from None

    @property
    def _uri(self) -> str:
        assert self._file is not None, "only a file has readers of its own"
        return self._file.absolute().as_uri()
