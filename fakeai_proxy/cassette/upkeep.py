"""Seals what a recorder has written: files that are full while it goes on, the rest when it closes.

One thread, which rests between records so that whoever answers requests meanwhile is not kept waiting.
What cannot be sealed stays as it is, and is said: it is as good a recording, only larger.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from pathlib import Path

import zstandard

from fakeai_proxy.cassette import rewriting, sealing
from fakeai_proxy.cassette.sealing import Part
from fakeai_proxy.errors import CassetteError

log = logging.getLogger("fakeai_proxy")

#: After so many records the thread rests so long: sealing takes some 0.5 ms a record without it.
_RECORDS_IN_A_ROW = 4
_REST_S = 0.002
_FAILURES = (CassetteError, OSError, ValueError, zstandard.ZstdError)


class Tidying:
    """Of one file that is recorded into, which a person or git may look at."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size_bytes = path.stat().st_size

    def close(self, own: str | None) -> None:
        """Once nothing is written any more."""
        try:
            if own is not None and self._path.stat().st_size != self._size_bytes:
                rewriting.tidy(self._path)
        except _FAILURES as error:
            log.warning("%s stays as it was written: %s", self._path, error)


class Upkeep:
    """`sealed` is told, in the thread, that files of these names are in sealed ones by now."""

    def __init__(self, folder: Path, sealed: Callable[[frozenset[str]], None]) -> None:
        self._folder = folder
        self._sealed = sealed
        self._full: queue.SimpleQueue[Part | None] = queue.SimpleQueue()
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None
        self._looked_at = 0

    def full(self, part: Part) -> None:
        """Seal these when it is their turn."""
        self._full.put(part)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="sealer", daemon=True)
            self._thread.start()

    def close(self, own: str | None) -> None:
        """Come to an end quickly; then, where this process has recorded, seal the file it wrote, named
        `own`, and all others that nobody writes any more."""
        self._hurry.set()
        if self._thread is not None:
            self._full.put(None)
            self._thread.join()
        if own is None:
            return
        try:
            sealing.seal(self._folder, wait=True)
        except _FAILURES as error:
            log.warning("%s", error)
            self._seal(Part((own,)))  # whatever is wrong may be wrong with another's file

    def _run(self) -> None:
        while (part := self._full.get()) is not None:
            if self._seal(part):
                try:
                    self._sealed(frozenset(part.names))
                except _FAILURES as error:
                    log.warning("%s: read from the files before: %s", self._folder, error)

    def _seal(self, part: Part) -> bool:
        try:
            done = sealing.seal(self._folder, self._rest, part=part, wait=True)
        except _FAILURES as error:
            log.warning("%s is not sealed: %s", ", ".join(sorted(part.names)), error)
            return False
        log.info("%s: %d recordings sealed, %d MB became %d",
                 self._folder, done.records, done.before_bytes >> 20, done.after_bytes >> 20)  # fmt: skip
        return True

    def _rest(self, done: int, of: int) -> None:
        self._looked_at += 1
        if not self._looked_at % _RECORDS_IN_A_ROW:
            self._hurry.wait(_REST_S)
