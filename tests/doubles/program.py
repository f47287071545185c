"""fakeai-proxy as its users have it: a process of its own, on a free port, with a folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.doubles.started import Started

ROOT = Path(__file__).resolve().parents[2]
#: What a process needs of the machine's environment, and nothing that changes how clients connect.
_NEEDED = ("PATH", "HOME", "TMPDIR", "LANG", "SYSTEMROOT")
_START_S = 30.0


def bare_environment(**added: str) -> dict[str, str]:
    """No proxy, no certificates, no keys: only `added`."""
    return {name: os.environ[name] for name in _NEEDED if name in os.environ} | added


class Program(Started):
    """`arguments` are the command line's. Raises AssertionError with what it said when it does not
    come up."""

    def __init__(self, data: Path, *arguments: str) -> None:
        self.arguments = ("--data", str(data), *arguments)
        super().__init__(
            _command("--listen", "127.0.0.1:0", "--log-format", "json", *self.arguments),
            _own_environment(),
            data,
            _url,
            _START_S,
        )

    @property
    def url(self) -> str:
        return self.place

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
        """The access log, which is whole once the program has ended."""
        lines = [json.loads(line) for line in self.said if line.startswith("{")]
        return [line for line in lines if line["event"] == "exchange"]


def _url(line: str) -> str | None:
    return str(json.loads(line)["url"]) if '"ready"' in line else None


def _command(*arguments: str) -> Sequence[str]:
    return (sys.executable, "-m", "fakeai_proxy", *arguments)


def _own_environment() -> Mapping[str, str]:
    return bare_environment(PYTHONPATH=str(ROOT), PYTHONUNBUFFERED="1")
