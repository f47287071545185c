"""A real Redis for the tests, of the binary that the system has: a process of its own on a free port,
gone with the run."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

MISSING = (
    "NOT TESTED against Redis: neither redis-server nor valkey-server is installed. "
    "`sh tests/servers/install.sh` installs one on Debian and its kin"
)
PASSWORD = "s3cret-of-redis"


def binary() -> str | None:
    return shutil.which("redis-server") or shutil.which("valkey-server")


class Redis:
    """Made and started in `folder`; `stop` and `start` as often as wanted. It keeps what it has, as
    one with a disk does, unless it is `killed`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        found = binary()
        assert found is not None, MISSING
        self._process = subprocess.Popen(
            [found, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder),
             "--save", "3600 1", "--appendonly", "no", "--requirepass", PASSWORD],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        while True:
            assert self._process.poll() is None, "it has ended at once"
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=10) as sock:
                    sock.sendall(f"AUTH {PASSWORD}\r\nPING\r\n".encode())
                    heard = b""
                    while heard.count(b"\r\n") < 2:
                        heard += sock.recv(100)
                    if heard.endswith(b"+PONG\r\n"):
                        return
            except ConnectionRefusedError:
                continue

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)
            self._process = None


@contextmanager
def running() -> Iterator[Redis]:
    folder = Path(tempfile.mkdtemp(prefix=f"fakeai-redis-{os.getpid()}-"))
    server = Redis(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop(signal.SIGKILL)
        shutil.rmtree(folder)
