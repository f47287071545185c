"""A folder for the life of this process. One that was killed leaves its own to the next that makes one."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

_PREFIX = "fakeai-proxy-blobs-"
#: Locked by whoever has the folder.
_OWNER = "owner"


class TemporaryFolder:
    def __init__(self) -> None:
        """Raises OSError."""
        self._made = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = os.open(self._made / _OWNER, os.O_CREAT | os.O_RDWR, 0o600)
        _locked(self._lock)
        for other in self._made.parent.glob(f"{_PREFIX}*"):
            if other != self._made:
                _clear(other)

    @property
    def path(self) -> Path:
        return self._made / "blobs"

    def close(self) -> None:
        shutil.rmtree(self._made, ignore_errors=True)
        os.close(self._lock)


def _clear(folder: Path) -> None:
    """Unless somebody has it, or is about to."""
    try:
        lock = os.open(folder / _OWNER, os.O_RDWR)
    except OSError:
        return
    try:
        if _locked(lock):
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def _locked(descriptor: int) -> bool:
    """Whether it is ours now; it is given back with the descriptor, or at the end of the process."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
