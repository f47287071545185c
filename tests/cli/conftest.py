"""The real program as a child process, with a home of its own and nothing of ours in its
environment."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
#: What the machine's environment may add to a client's behaviour.
FOREIGN = (
    "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "NODE_USE_ENV_PROXY",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "OPENAI_API_KEY", "OPENAI_BASE_URL", "GITHUB_ACTIONS",
)  # fmt: skip
PATIENCE_S = 60


class Program:
    """A started `fakeai-proxy`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.errors: list[str] = []
        self._more = threading.Condition()
        assert process.stdout is not None
        assert process.stderr is not None
        self._threads = [
            threading.Thread(target=self._read_out, args=(process.stdout,), daemon=True),
            threading.Thread(target=self._read_err, args=(process.stderr,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        self.ready: dict[str, Any] = {}

    @property
    def url(self) -> str:
        return str(self.ready["url"])

    def line(self) -> str | None:
        """The next line of its output; None at the end."""
        return self._lines.get(timeout=PATIENCE_S)

    def event(self, name: str) -> dict[str, Any]:
        """The next JSON line that tells of `name`."""
        while (line := self.line()) is not None:
            record = json.loads(line)
            if record["event"] == name:
                return dict(record)
        raise AssertionError(f"it ended before {name}: {''.join(self.errors)}")

    def ask(
        self, path: str, body: object = None, key: str = "any", **headers: str
    ) -> tuple[int, Any]:
        """(status, JSON) of a request to its base URL."""
        request = urllib.request.Request(
            self.url + path,
            None if body is None else json.dumps(body).encode(),
            {"content-type": "application/json", "authorization": f"Bearer {key}", **headers},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=PATIENCE_S) as reply:
                return reply.status, json.loads(reply.read())
        except HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        status = self.process.wait(PATIENCE_S)
        for thread in self._threads:
            thread.join(PATIENCE_S)
        return status

    def stop(self) -> int:
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait()

    def said(self, text: str) -> None:
        """Wait until it has said `text` on stderr."""
        with self._more:
            heard = self._more.wait_for(lambda: text in "".join(self.errors), PATIENCE_S)
        assert heard, f"{text!r} was not said: {''.join(self.errors)}"

    def _read_out(self, stream: IO[str]) -> None:
        for line in stream:
            self._lines.put(line)
        self._lines.put(None)

    def _read_err(self, stream: IO[str]) -> None:
        for line in stream:
            with self._more:
                self.errors.append(line)
                self._more.notify_all()


Start = Callable[..., Program]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """What the program sees unless a test adds to it."""
    strange = {name for name in os.environ if name.startswith("FAKEAI_PROXY_")}
    strange |= {spelled for name in FOREIGN for spelled in (name, name.lower())}
    kept = {name: value for name, value in os.environ.items() if name not in strange}
    home = tmp_path / "home"
    home.mkdir()
    return {
        **kept,
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / "data"),
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error::RuntimeWarning",
        "FAKEAI_PROXY_LISTEN": "127.0.0.1:0",
    }


@pytest.fixture
def program(environ: dict[str, str]) -> Iterator[Start]:
    """`program("--mode", "synth", env={...})`: started, listening, with its ready line in `ready`;
    `wait_ready=False` leaves reading to the test."""
    started: list[Program] = []

    def start(*args: str, env: dict[str, str] | None = None, wait_ready: bool = True) -> Program:
        process = subprocess.Popen(
            [sys.executable, "-m", "fakeai_proxy", *args],
            env={**environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(Program(process))
        if wait_ready:
            started[-1].ready = started[-1].event("ready")
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.wait()
        for stream in (one.process.stdout, one.process.stderr):
            assert stream is not None
            stream.close()


@pytest.fixture
def run(environ: dict[str, str]) -> Run:
    """`run("--version")`: the finished process."""

    def finish(
        *args: str, env: dict[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "fakeai_proxy", *args],
            env={**environ, **(env or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    return finish
