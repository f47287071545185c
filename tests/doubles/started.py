"""A process that a test has started: what it says is kept, and it is ready when one line says so."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import Empty, Queue

_STOP_S = 20.0


class Started:
    """`found` makes of a line where the process listens, None of any other line. Raises AssertionError
    with what it said when it does not come up within `start_s`."""

    def __init__(
        self,
        command: Sequence[str | Path],
        environment: Mapping[str, str],
        folder: Path,
        found: Callable[[str], str | None],
        start_s: float,
    ) -> None:
        self._process = subprocess.Popen(
            command, env=environment, cwd=folder, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.said: list[str] = []
        self._lines: Queue[str | None] = Queue()
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()
        self.place = self._ready(str(command[0]), found, start_s)

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> int:
        """Ask it to end; the exit status."""
        if self._process.poll() is None:
            self._process.terminate()
        return self.end()

    def end(self) -> int:
        """Wait for its end; the exit status. `said` is whole then."""
        try:
            return self._process.wait(_STOP_S)
        finally:
            self.kill()

    def kill(self) -> None:
        """As the kernel does when memory runs out: no chance to say goodbye."""
        self._process.kill()
        self._process.wait(_STOP_S)
        self._reader.join(_STOP_S)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self.said.append(line.rstrip("\n"))
                self._lines.put(line)
        self._lines.put(None)

    def _ready(self, name: str, found: Callable[[str], str | None], start_s: float) -> str:
        try:
            while (line := self._lines.get(timeout=start_s)) is not None:
                if place := found(line):
                    return place
        except Empty:
            pass
        self._process.kill()
        raise AssertionError(f"{name} did not come up:\n" + "\n".join(self.said))
