"""Servers as processes of their own, pinned to a CPU, and what the kernel says about them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).resolve().parent
SERVER_CPU, CLIENT_CPU = 0, 1
START_S_MAX = 20.0


def pinned(cpu: int, *command: object) -> list[str]:
    """`command` on one CPU, where the system lets us."""
    words = [str(word) for word in command]
    if shutil.which("taskset") and cpu in os.sched_getaffinity(0):
        return ["taskset", "-c", str(cpu), *words]
    return words


def cpu_s(pid: int | None) -> float:
    """CPU time that the threads of `pid` have used so far."""
    if pid is None:
        return 0.0
    total_ns = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # it has just ended
            total_ns += int((thread / "schedstat").read_text().split()[0])
    return total_ns / 1e9


def resident_mb(pid: int) -> float:
    return _status_mb(pid, "VmRSS:")


def own_mb(pid: int) -> float:
    """Without the pages of files that are mapped: those are the kernel's, which takes them back."""
    return _status_mb(pid, "RssAnon:")


def _status_mb(pid: int, word: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(word):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"process {pid} has ended")


def _environment() -> dict[str, str]:
    """Ours, with this checkout first and without the user's own settings of the product."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("FAKEAI_PROXY_")}
    places = (str(HERE.parent), environ.get("PYTHONPATH", ""))
    return {**environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Server:
    """A started server; a context manager that stops it."""

    def __init__(self, *command: object, port: int, cpu: int = SERVER_CPU) -> None:
        started = time.perf_counter()
        self.url = f"http://127.0.0.1:{port}"
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - as long-lived as the process
        self._process = subprocess.Popen(
            pinned(cpu, sys.executable, *command),
            env=_environment(),
            stdout=subprocess.DEVNULL,
            stderr=self._said,
        )
        self.pid = self._process.pid
        while not self._listens(port):
            if self._process.poll() is not None or time.perf_counter() - started > START_S_MAX:
                self.stop()
                self._said.seek(0)
                said = self._said.read().decode().strip()
                raise SystemExit(f"did not start: {' '.join(map(str, command))}\n{said[-2000:]}")
            time.sleep(0.002)
        #: From the start of the process to the first connection that it accepted.
        self.start_s = time.perf_counter() - started

    def _listens(self, port: int) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.stop()


def product(*options: object, cpu: int = SERVER_CPU) -> Server:
    port = free_port()
    return Server(
        "-m", "fakeai_proxy", "--listen", f"127.0.0.1:{port}", *options, port=port, cpu=cpu
    )


def fleet_server(*options: object, cpu: int = SERVER_CPU) -> Server:
    port = free_port()
    return Server(HERE / "fleet_server.py", "--port", port, *options, port=port, cpu=cpu)


def yardstick(design: str, *options: object, cpu: int = SERVER_CPU) -> Server:
    port = free_port()
    script = HERE / "yardstick.py"
    return Server(script, "--design", design, "--port", port, *options, port=port, cpu=cpu)


def client(script: str, *options: object, timeout_s: float = 120) -> dict[str, Any]:
    """What a program of this folder prints."""
    done = subprocess.run(
        pinned(CLIENT_CPU, sys.executable, HERE / script, *options),
        env=_environment(),
        capture_output=True,
        timeout=timeout_s,
        check=False,
    )
    if done.returncode:
        said = done.stderr.decode().strip()
        raise SystemExit(f"{script} {' '.join(map(str, options))}\n{said[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result
