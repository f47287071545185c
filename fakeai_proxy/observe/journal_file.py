"""The journal as lines of a file, appended while they come: what outlives this process.

Lines are gathered for a moment and written by a thread. A disk that is too slow makes lines wait in the
journal; those that leave it meanwhile are counted and said.
"""

from __future__ import annotations

import asyncio
import logging
import os
from itertools import islice
from pathlib import Path

import orjson

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.observe.journal import Entry, Journal

log = logging.getLogger("fakeai_proxy")

#: How long lines are gathered before they are written together.
GATHER_REAL_S = 0.2
#: Lines in one write: several processes may append to one file.
_PIECE_LINES = 500


class JournalFile:
    def __init__(self, journal: Journal, path: Path) -> None:
        """Raises ConfigError where it cannot be written."""
        if not journal.size:
            raise ConfigError("journal_file: there is nothing to write with --journal-size 0.")
        self._journal = journal
        self._path = path.expanduser()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            self._file: int | None = os.open(self._path, flags, 0o600)
        except OSError as error:
            raise ConfigError(f"journal_file: {path}: {error.strerror}") from None
        self._era, self._written = journal.era, journal.finished_total
        self._writing: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        journal.noticed = self._notice

    def _notice(self) -> None:
        if self._timer is None and (self._writing is None or self._writing.done()):
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(GATHER_REAL_S, self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._writing = asyncio.ensure_future(self._write())

    async def _write(self) -> None:
        journal = self._journal
        while self._file is not None:
            await journal.settle()
            if journal.era != self._era:
                self._era, self._written = journal.era, 0
            new = journal.finished_total - self._written
            if not new:
                return
            rows = list(islice(journal.newest_to_oldest(), min(new, len(journal))))
            if len(rows) < new:
                log.warning(
                    "%d exchanges are not in %s: they left the journal before they could be written "
                    "(--journal-size)", new - len(rows), self._path,
                )  # fmt: skip
            rows.reverse()
            self._written = journal.finished_total
            with journal.clock.hold():
                await asyncio.to_thread(self._append, rows)

    def _append(self, rows: list[tuple[object, ...]]) -> None:
        assert self._file is not None
        journal = self._journal
        for start in range(0, len(rows), _PIECE_LINES):
            entries = [Entry._make(row) for row in rows[start : start + _PIECE_LINES]]
            told = [{**journal.as_json(entry), **journal.bodies(entry)} for entry in entries]
            lines = b"".join([orjson.dumps(one, option=orjson.OPT_APPEND_NEWLINE) for one in told])
            try:
                while lines:
                    lines = lines[os.write(self._file, lines) :]
            except OSError as error:
                log.warning("%s takes no more of the journal: %s", self._path, error)
                self._file = None
                return

    async def close(self) -> None:
        """With all that has finished by now."""
        self._journal.noticed = None
        if self._timer is not None:
            self._timer.cancel()
        if self._writing is not None:
            await self._writing
        await self._write()
        if self._file is not None:
            os.close(self._file)
            self._file = None
