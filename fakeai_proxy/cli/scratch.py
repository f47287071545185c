"""A folder for the state that several processes share and nobody wants to keep: in memory where there
is room, gone at the end, and cleared away by the next start if the end was sudden.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PREFIX = "fakeai-proxy-shared-"
_MEMORY = Path("/dev/shm")  # noqa: S108 - the folder in it is private
#: Uploads of half a gigabyte have to fit; containers often have 64 MB there.
_ROOM_BYTES = 4 << 30


class Scratch:
    """`folder` exists, for this user alone, until `close`."""

    def __init__(self, bases: tuple[Path, ...] | None = None) -> None:
        bases = _bases() if bases is None else bases
        for base in bases:
            for left in _left_behind(base):
                shutil.rmtree(left, ignore_errors=True)
        while True:
            self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=bases[0]))
            self._held = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
            # Another start may have thought it left behind before it was locked.
            if _lock(self._held) and self.folder.exists():
                return
            os.close(self._held)

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._held)


def _bases() -> tuple[Path, ...]:
    """The first is used; all are looked through for what was left behind."""
    disk = Path(tempfile.gettempdir())
    if not os.access(_MEMORY, os.W_OK):
        return (disk,)
    room = os.statvfs(_MEMORY)
    roomy = room.f_bavail * room.f_frsize >= _ROOM_BYTES
    return (_MEMORY, disk) if roomy else (disk, _MEMORY)


def _left_behind(base: Path) -> Iterator[Path]:
    with suppress(OSError):
        for folder in base.glob(_PREFIX + "*"):
            with suppress(OSError):
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                try:
                    if os.fstat(descriptor).st_uid == os.getuid() and _lock(descriptor):
                        yield folder
                finally:
                    os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Held by the process until the descriptor is closed, however it ends."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
