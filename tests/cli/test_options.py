"""Every setting, given as a flag, in the environment and in a file, does what it says.

`EFFECTS` has a row for each field of `Config`: a value, and what is seen in the started program.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from fakeai_proxy.config import Config
from tests.cli.conftest import Program, Run, Start


def _connect(program: Program, authority: str, *headers: str) -> str:
    """The status line of a CONNECT."""
    host, _, port = program.url.rpartition("//")[2].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as sock:
        lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}", *headers, "", ""]
        sock.sendall("\r\n".join(lines).encode())
        return sock.makefile("rb").readline().decode().strip()


def _mode(program: Program) -> None:
    assert program.ready["mode"] == "pass"


def _profile(program: Program) -> None:
    assert program.ready["profile"] == "none"


def _serves(name: str) -> Callable[[Program], None]:
    def check(program: Program) -> None:
        assert program.ask(f"/v1/models/{name}")[0] == 200
        assert program.ask("/v1/models/of-nobody")[0] == (200 if name == "any-name" else 404)

    return check


def _data(program: Program) -> None:
    assert program.ready["ca"].startswith("DATA")


def _listen(program: Program) -> None:
    assert program.url.startswith("http://[::1]:")
    assert program.ask("/v1/models")[0] == 200


def _log_format(program: Program) -> None:
    assert (program.line() or "").startswith("fakeai-proxy ")
    assert "synth on http://127.0.0.1:" in program.lines_until("try")


def _intercept(program: Program) -> None:
    assert _connect(program, "llm.example:443").startswith("HTTP/1.1 200")
    assert _connect(program, "other.example:443").startswith("HTTP/1.1 403")


@dataclass(frozen=True)
class Effect:
    value: str
    check: Callable[[Program], None]


EFFECTS: dict[str, Effect] = {}
