"""Bytes too big for a document, in files named by their SHA-256.

A blob is written to a file of its own first and renamed when it is whole and on the disk, so that one
with a name is complete. It lives while a row names it; one that nobody has named is left alone for a
while, because its row may be on the way.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import sys
import tempfile
from collections.abc import AsyncGenerator, Iterable, Iterator
from pathlib import Path
from threading import Lock
from typing import IO, NamedTuple, Protocol

from fakeai_proxy import errors
from fakeai_proxy.clock import Clock
from fakeai_proxy.store.temporary import TemporaryFolder

PIECE_BYTES = 1 << 18
#: How long after it was written a blob needs no row.
GRACE_S = 3600.0
#: What a process that was killed left half-written.
_ABANDONED_S = 86_400.0
_NAME = re.compile(r"[0-9a-f]{64}")


class Blob(NamedTuple):
    """`name` is the SHA-256 in hex, what a row has as its `blob`."""

    name: str
    size_bytes: int
    md5: str


def pieces_of(file: IO[bytes]) -> Iterator[bytes]:
    """From where the file stands to its end."""
    return iter(lambda: file.read(PIECE_BYTES), b"")


class Blobs(Protocol):
    def close(self) -> None: ...

    async def put(self, pieces: Iterable[bytes]) -> Blob:
        """Keeps the bytes; `pieces` is read in a thread. Raises 503."""

    def open_file(self, name: str) -> IO[bytes]:
        """To be read in a thread and closed. Raises 503."""

    def chunks(self, name: str, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes]:
        """The bytes from `start` to before `stop`. Raises 503."""

    async def idle(self) -> list[str]:
        """The blobs that nobody has put lately."""

    async def remove(self, name: str) -> None:
        """Unless somebody has put it in the meantime."""


class FileBlobs:
    """In `folder`, or in a temporary one for the life of this process; made with the first blob."""

    def __init__(self, folder: Path | None, clock: Clock) -> None:
        self._given = folder
        self._clock = clock
        self._temporary: TemporaryFolder | None = None
        self._folder = folder or Path()
        self._making = Lock()

    def close(self) -> None:
        if self._temporary is not None:
            self._temporary.close()

    async def put(self, pieces: Iterable[bytes]) -> Blob:
        with self._clock.hold():
            return await asyncio.to_thread(self._put, pieces)

    def open_file(self, name: str) -> IO[bytes]:
        try:
            return self._path(name).open("rb")
        except OSError as error:
            raise errors.disk_unavailable(error) from None

    async def chunks(
        self, name: str, start: int = 0, stop: int | None = None
    ) -> AsyncGenerator[bytes]:
        with self._clock.hold():
            file = await asyncio.to_thread(self.open_file, name)
        try:
            with self._clock.hold():
                await asyncio.to_thread(file.seek, start)
            left = sys.maxsize if stop is None else stop - start
            while left > 0:
                with self._clock.hold():
                    piece = await asyncio.to_thread(file.read, min(left, PIECE_BYTES))
                if not piece:
                    break
                left -= len(piece)
                yield piece
        finally:
            file.close()

    async def idle(self) -> list[str]:
        with self._clock.hold():
            return await asyncio.to_thread(self._idle)

    async def remove(self, name: str) -> None:
        with self._clock.hold():
            await asyncio.to_thread(self._remove, name)

    # --- in a thread -------------------------------------------------------------------------------

    @property
    def _incoming(self) -> Path:
        return self._folder / "incoming"

    def _path(self, name: str) -> Path:
        assert _NAME.fullmatch(name), name
        return self._folder / name[:2] / name

    def _make_folder(self) -> None:
        with self._making:
            if self._given is None and self._temporary is None:
                self._temporary = TemporaryFolder()
                self._folder = self._temporary.path
            self._incoming.mkdir(parents=True, exist_ok=True)

    def _put(self, pieces: Iterable[bytes]) -> Blob:
        hashed, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
        arriving: Path | None = None
        try:
            self._make_folder()
            descriptor, made = tempfile.mkstemp(dir=self._incoming)
            arriving = Path(made)
            with os.fdopen(descriptor, "wb") as file:
                for piece in pieces:
                    hashed.update(piece)
                    md5.update(piece)
                    file.write(piece)
                    size += len(piece)
                file.flush()
                os.fsync(file.fileno())
            blob = Blob(hashed.hexdigest(), size, md5.hexdigest())
            self._name(arriving, self._path(blob.name))
            arriving = None
            return blob
        except OSError as error:
            raise errors.disk_unavailable(error) from None
        finally:
            if arriving is not None:
                arriving.unlink(missing_ok=True)

    def _name(self, arriving: Path, place: Path) -> None:
        wall = self._clock.wall()
        os.utime(arriving, (wall, wall))
        place.parent.mkdir(exist_ok=True)
        with self._alone():
            arriving.replace(place)
        _sync(place.parent)
        _sync(self._folder)

    def _idle(self) -> list[str]:
        if not self._incoming.exists():
            return []
        wall = self._clock.wall()
        for path in self._incoming.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < wall - _ABANDONED_S:
                    path.unlink()
        return [
            path.name
            for path in self._folder.glob("??/*")
            if _NAME.fullmatch(path.name) and self._is_idle(path)
        ]

    def _is_idle(self, path: Path) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return path.stat().st_mtime < self._clock.wall() - GRACE_S
        return False

    def _remove(self, name: str) -> None:
        path = self._path(name)
        with self._alone():
            if self._is_idle(path):
                path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody, in any process, names or removes a blob meanwhile."""
        if sys.platform == "win32":
            yield
            return
        import fcntl

        with (self._folder / "lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _sync(folder: Path) -> None:
    """A rename is on the disk when its folder is."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
