"""A Redis from the system's packages, on a socket of its own, with nothing on the disk."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

_START_S = 10.0


class RedisServer:
    """On `folder`/redis; it may be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "redis"
        self.url = f"unix://{self._socket}"
        self._process: subprocess.Popen[str] | None = None
        self.start()

    def start(self) -> None:
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            pytest.skip(
                "THERE IS NO REDIS: install redis-server (Debian: apt-get install redis-server)"
            )
        self._process = subprocess.Popen(
            [program, "--port", "0", "--unixsocket", str(self._socket), "--save", "",
             "--appendonly", "no", "--dir", str(self._socket.parent)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if "eady to accept connections" in line:
                return
        raise AssertionError("Redis did not come up")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(_START_S)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None
