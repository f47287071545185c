"""The real mitmdump with our addon, as its users start it: a process of its own, on a free port."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from click.testing import CliRunner

from fakeai_proxy.cli.mitm_addon import mitm_addon
from tests.clients.environment import interpreter
from tests.doubles.program import ROOT, bare_environment
from tests.doubles.started import Started

#: mitmproxy takes seconds to import.
_START_S = 60.0
_LISTENING = re.compile(r"listening at 127\.0\.0\.1:(\d+)")


class Mitmdump(Started):
    """`settings` are options of ours; `arguments` are mitmdump's own."""

    def __init__(self, folder: Path, *arguments: str, **settings: object) -> None:
        script = CliRunner().invoke(mitm_addon).output.strip()
        sets = {
            "confdir": folder / "mitmproxy",
            **{f"fakeai_{name}": value for name, value in settings.items()},
        }
        super().__init__(
            [
                interpreter("mitmproxy").with_name("mitmdump"), "--listen-host", "127.0.0.1",
                "--listen-port", "0", "--proxyauth", "any", "-s", script, *arguments,
                *(word for name, value in sets.items() for word in ("--set", f"{name}={value}")),
            ],
            bare_environment(
                PYTHONPATH=str(ROOT), PYTHONUNBUFFERED="1", FAKEAI_PROXY_DATA=str(folder / "data")
            ),
            folder, _port, _START_S,
        )  # fmt: skip
        self.ca = folder / "mitmproxy" / "mitmproxy-ca-cert.pem"
        self.port = int(self.place)

    @property
    def url(self) -> str:
        """It lets in whoever gives a name."""
        return f"http://me:secret@127.0.0.1:{self.port}"


def _port(line: str) -> str | None:
    listening = _LISTENING.search(line)
    return None if listening is None else listening[1]


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
