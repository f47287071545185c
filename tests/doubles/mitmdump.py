"""The real mitmdump with our addon, as its users start it: a process of its own, on a free port."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue

from click.testing import CliRunner

from fakeai_proxy.cli.mitm_addon import mitm_addon
from tests.clients.environment import interpreter
from tests.doubles.program import ROOT, bare_environment

#: mitmproxy takes seconds to import.
_START_S = 60.0
_STOP_S = 20.0
_LISTENING = re.compile(r"listening at 127\.0\.0\.1:(\d+)")


class Mitmdump:
    """`settings` are options of ours; `arguments` are mitmdump's own."""

    def __init__(self, folder: Path, *arguments: str, **settings: object) -> None:
        script = CliRunner().invoke(mitm_addon).output.strip()
        sets = {
            "confdir": folder / "mitmproxy",
            **{f"fakeai_{name}": value for name, value in settings.items()},
        }
        self._process = subprocess.Popen(
            [
                interpreter("mitmproxy").with_name("mitmdump"), "--listen-host", "127.0.0.1",
                "--listen-port", "0", "--proxyauth", "any", "-s", script, *arguments,
                *(word for name, value in sets.items() for word in ("--set", f"{name}={value}")),
            ],
            env=bare_environment(
                PYTHONPATH=str(ROOT), PYTHONUNBUFFERED="1", FAKEAI_PROXY_DATA=str(folder / "data")
            ),
            cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.said: list[str] = []
        self._lines: Queue[str | None] = Queue()
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()
        self.ca = folder / "mitmproxy" / "mitmproxy-ca-cert.pem"
        self.port = self._ready()

    @property
    def url(self) -> str:
        """It lets in whoever gives a name."""
        return f"http://me:secret@127.0.0.1:{self.port}"

    def stop(self) -> int:
        """Ask it to end; the exit status."""
        self._process.terminate()
        return self.end()

    def end(self) -> int:
        """Wait for its end; the exit status."""
        try:
            return self._process.wait(_STOP_S)
        finally:
            self._process.kill()
            self._reader.join(_STOP_S)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self.said.append(line.rstrip("\n"))
                self._lines.put(line)
        self._lines.put(None)

    def _ready(self) -> int:
        try:
            while (line := self._lines.get(timeout=_START_S)) is not None:
                if found := _LISTENING.search(line):
                    return int(found[1])
        except Empty:
            pass
        self._process.kill()
        raise AssertionError("mitmdump did not come up:\n" + "\n".join(self.said))


@contextmanager
def mitmdump(
    folder: Path, *arguments: str, status: int = 0, **settings: object
) -> Iterator[Mitmdump]:
    """`status` is what it has to end with."""
    started = Mitmdump(folder, *arguments, **settings)
    try:
        yield started
    finally:
        ended = started.stop()
    assert ended == status, started.said
    assert not [line for line in started.said if "Traceback" in line], started.said
