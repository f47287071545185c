"""fakeai-proxy as its users have it: a process of its own, on a free port, with a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import Empty, Queue
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
#: What a process needs of the machine's environment, and nothing that changes how clients connect.
_NEEDED = ("PATH", "HOME", "TMPDIR", "LANG", "SYSTEMROOT")
_START_S = 30.0
_STOP_S = 20.0


def bare_environment(**added: str) -> dict[str, str]:
    """No proxy, no certificates, no keys: only `added`."""
    return {name: os.environ[name] for name in _NEEDED if name in os.environ} | added


class Program:
    """`arguments` are the command line's. Raises AssertionError with what it said when it does not
    come up."""

    def __init__(self, data: Path, *arguments: str) -> None:
        self.arguments = ("--data", str(data), *arguments)
        self._process = subprocess.Popen(
            _command("--listen", "127.0.0.1:0", "--log-format", "json", *self.arguments),
            env=_own_environment(),
            cwd=data,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.said: list[str] = []
        self._lines: Queue[str | None] = Queue()
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()
        self.url = self._ready()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def authority(self) -> str:
        return self.url.removeprefix("http://")

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def client_environment(self) -> dict[str, str]:
        """What a shell holds after `eval "$(fakeai-proxy env)"`, keys that open nothing included."""
        lines = subprocess.run(
            _command("env", "--shell", "bash", "--listen", self.authority, *self.arguments),
            env=_own_environment(), check=True, text=True, capture_output=True, timeout=_START_S,
        ).stdout  # fmt: skip
        shell = subprocess.run(
            ["bash", "-c", 'eval "$1" && env -0', "bash", lines],
            env=bare_environment(OPENAI_API_KEY="sk-test-openai", ANTHROPIC_API_KEY="sk-ant-test"),
            check=True, text=True, capture_output=True, timeout=_START_S,
        ).stdout  # fmt: skip
        return dict(entry.split("=", 1) for entry in shell.split("\0") if "=" in entry)

    def peak_memory_bytes(self) -> int:
        """The largest resident set so far."""
        status = Path(f"/proc/{self.pid}/status").read_text("utf-8")
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024

    def exchanges(self) -> list[dict[str, Any]]:
        """The access log, which is whole once the program has been stopped."""
        self._reader.join(_STOP_S)
        lines = [json.loads(line) for line in self.said if line.startswith("{")]
        return [line for line in lines if line["event"] == "exchange"]

    def kill(self) -> None:
        """As the kernel does when memory runs out: no chance to say goodbye."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(_STOP_S)

    def stop(self) -> int:
        """Ask it to end; the exit status."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            return self._process.wait(_STOP_S)
        finally:
            self._process.kill()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self.said.append(line.rstrip("\n"))
                self._lines.put(line)
        self._lines.put(None)

    def _ready(self) -> str:
        try:
            while (line := self._lines.get(timeout=_START_S)) is not None:
                if '"ready"' in line:
                    return str(json.loads(line)["url"])
        except Empty:
            pass
        self._process.kill()
        raise AssertionError("fakeai-proxy did not come up:\n" + "\n".join(self.said))


def _command(*arguments: str) -> Sequence[str]:
    return (sys.executable, "-m", "fakeai_proxy", *arguments)


def _own_environment() -> Mapping[str, str]:
    return bare_environment(PYTHONPATH=str(ROOT), PYTHONUNBUFFERED="1")
