"""Where a benchmark client is: where it was said to be, on PATH, or in a virtual environment of its own,
which is made when there is none. They are large: aiperf takes 1.2 GB, guidellm 6 GB.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

_INSTALL_S_MAX = 1800
_TOLD_CHARS = 1500


class ClientMissingError(Exception):
    """A client that is not there and could not be installed; says why."""


def default_folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(cache) if cache else Path.home() / ".cache") / "fakeai-proxy" / "clients"


def executable(client: str, said: Path | None, folder: Path) -> Path:
    """Raises ClientMissingError."""
    if said is not None:
        if not os.access(said, os.X_OK):
            raise ClientMissingError(f"{said} is no program")
        return said.absolute()
    own = folder / client
    program = own / "bin" / client
    found = shutil.which(client)
    if not program.exists() and found:
        return Path(found)
    if not program.exists():
        print(f"{client}: is installed into {own}", file=sys.stderr, flush=True)
        _run(sys.executable, "-m", "venv", own)
        _run(own / "bin" / "python", "-m", "pip", "install", "--quiet", client)
    return program


def interpreter(program: Path) -> Path:
    """The Python that a client's command runs under: the one beside it."""
    python = program.resolve().parent / "python"
    if not python.exists():
        raise ClientMissingError(
            f"{program} has no Python beside it, so it is in no virtual environment"
        )
    return python


def _run(*command: object) -> None:
    try:
        done = subprocess.run(
            [str(word) for word in command],
            capture_output=True, text=True, timeout=_INSTALL_S_MAX, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ClientMissingError(f"was not installed after {_INSTALL_S_MAX} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout)[-_TOLD_CHARS:].strip()
        raise ClientMissingError(f"could not be installed: {said}")
