"""The journal as lines of a file, appended while they come: what outlives this process."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import orjson

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.observe.entry import Entry
from fakeai_proxy.observe.following import Following
from fakeai_proxy.observe.journal import Journal

log = logging.getLogger("fakeai_proxy")

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
            self._file = os.open(self._path, flags, 0o600)
        except OSError as error:
            raise ConfigError(
                f"journal_file: {path} cannot be written: {error.strerror}. Name another file."
            ) from None
        self._following = Following(journal, self._append)

    def _append(self, entries: Sequence[Entry], lost: int) -> bool:
        journal = self._journal
        if lost:
            log.warning(
                "%d exchanges are not in %s: they left the journal before they could be written "
                "(--journal-size)", lost, self._path,
            )  # fmt: skip
        for start in range(0, len(entries), _PIECE_LINES):
            some = entries[start : start + _PIECE_LINES]
            told = [{**journal.as_json(entry), **journal.bodies(entry)} for entry in some]
            lines = b"".join([orjson.dumps(one, option=orjson.OPT_APPEND_NEWLINE) for one in told])
            try:
                while lines:
                    lines = lines[os.write(self._file, lines) :]
            except OSError as error:
                log.warning("%s takes no more of the journal: %s", self._path, error)
                return False
        return True

    async def close(self) -> None:
        """With all that has finished by now."""
        await self._following.close()
        os.close(self._file)
