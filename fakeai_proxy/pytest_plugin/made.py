"""The cassettes that a run has made, whichever of its processes it was; one at a time writes to each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # the module is absent there


class Made:
    """`folder` is the run's own, and the same for all of its processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __contains__(self, cassette: Path) -> bool:
        return self._file(cassette, "made").exists()

    def add(self, cassette: Path) -> None:
        self._file(cassette, "made").touch()

    @contextmanager
    def writing(self, cassette: Path) -> Iterator[None]:
        with self._file(cassette, "lock").open("wb") as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _file(self, cassette: Path, suffix: str) -> Path:
        name = blake2b(bytes(cassette.resolve()), digest_size=16).hexdigest()
        return self._folder / f"{name}.{suffix}"
