"""The one thread that writes: jobs of many callers in one transaction, each answered after the commit."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from types import TracebackType
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.errors import ApiError, ConfigError

#: Jobs of one transaction: the first of them waits for the last.
GROUP_MAX = 256

#: What SQLite's primary result codes mean to whoever asks.
_REASONS = {
    sqlite3.SQLITE_BUSY: "another process has it locked",
    sqlite3.SQLITE_LOCKED: "another process has it locked",
    sqlite3.SQLITE_READONLY: "its file or folder cannot be written",
    sqlite3.SQLITE_CANTOPEN: "its file cannot be opened",
    sqlite3.SQLITE_FULL: "there is no space left",
    sqlite3.SQLITE_IOERR: "its disk fails",
    sqlite3.SQLITE_CORRUPT: "its file is damaged",
    sqlite3.SQLITE_NOTADB: "its file is no database",
}
#: After these the connection is as good as before.
_HARMLESS = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL}


def primary_code(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def unavailable(error: Exception) -> ApiError:
    """503 in words that tell what to do."""
    if not isinstance(error, sqlite3.Error):
        return errors.store_unavailable(str(error))
    return errors.store_unavailable(_REASONS.get(primary_code(error), str(error)))


@dataclass(eq=False)
class Job:
    """`run` gets the connection; what it returns or raises goes to `answer`."""

    run: Callable[[sqlite3.Connection], Any]
    answer: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    result: Any = None
    error: BaseException | None = field(default=None)

    def tell(self) -> None:
        if self.answer.done():
            return  # whoever asked is gone
        if self.error is None:
            self.answer.set_result(self.result)
        else:
            self.answer.set_exception(self.error)


class _Savepoint:
    """Undoes a job that fails, and keeps why for its caller. What fails in the database itself fails
    the whole group."""

    def __init__(self, connection: sqlite3.Connection, job: Job) -> None:
        self._connection = connection
        self._job = job

    def __enter__(self) -> None:
        self._connection.execute("SAVEPOINT job")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if isinstance(error, sqlite3.Error):
            return False
        if error is not None:
            self._job.error = error
            self._connection.execute("ROLLBACK TO job")
        self._connection.execute("RELEASE job")
        return True


class Writer:
    """`connect` makes the connection, in this thread: for the first job, and anew after a failure of
    the file."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name="store", daemon=True)
        self._starting = Lock()

    def open(self) -> None:
        """Before any job; blocks. Raises ConfigError, OSError and sqlite3.Error."""
        self._connection = self._connect()
        self._start()

    def _start(self) -> None:
        with self._starting:
            if self._thread.ident is None:
                self._thread.start()

    def close(self) -> None:
        """After the jobs that wait; blocks."""
        if self._thread.is_alive():
            self._jobs.put(None)
            self._thread.join()
        elif self._connection is not None:
            self._connection.close()

    async def run(self, function: Callable[[sqlite3.Connection], Any]) -> Any:
        """Raises what `function` raises, and 503."""
        self._start()
        loop = asyncio.get_running_loop()
        job = Job(function, loop.create_future(), loop)
        self._jobs.put(job)
        return await job.answer

    def _work(self) -> None:
        going = True
        while going:
            group = []
            first = self._jobs.get()
            while first is not None:
                group.append(first)
                if len(group) == GROUP_MAX:
                    break
                try:
                    first = self._jobs.get_nowait()
                except Empty:
                    break
            going = first is not None
            self._commit(group)
            by_loop: dict[asyncio.AbstractEventLoop, list[Job]] = {}
            for job in group:
                by_loop.setdefault(job.loop, []).append(job)
            for loop, jobs in by_loop.items():
                # A loop that is closed has nobody who waits.
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(_tell, jobs)
        if self._connection is not None:
            self._connection.close()

    def _commit(self, group: list[Job]) -> None:
        if not group:
            return
        try:
            if self._connection is None:
                self._connection = self._connect()
            connection = self._connection
            connection.execute("BEGIN IMMEDIATE")
            for job in group:
                with _Savepoint(connection, job):
                    job.result = job.run(connection)
            connection.execute("COMMIT")
        except (sqlite3.Error, ConfigError, OSError) as error:
            self._undo(error)
            for job in group:
                job.error = unavailable(error)

    def _undo(self, error: Exception) -> None:
        connection = self._connection
        if connection is None or not isinstance(error, sqlite3.Error):
            return
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error as worse:
            error = worse
        if primary_code(error) not in _HARMLESS:
            self._connection = None
            connection.close()


def _tell(jobs: list[Job]) -> None:
    for job in jobs:
        job.tell()
