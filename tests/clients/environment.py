"""An environment of pinned packages, apart from the suite's: made when its list has changed, else kept."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

_FOLDER = Path(__file__).parent / "environments"
_INSTALL_S = 600.0


def interpreter(name: str) -> Path:
    """The Python of `environments/NAME`. What cannot be installed is the test's failure."""
    folder = _FOLDER / name
    pinned = folder / "requirements.txt"
    made = folder / ".venv"
    python = made / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    wanted = hashlib.sha256(pinned.read_bytes() + sys.version.encode()).hexdigest()
    stamp = made / ".installed-from"
    with pinned.open("rb") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)  # several test processes share the folder
        if not stamp.is_file() or stamp.read_text("utf-8") != wanted:
            _run(["-m", "venv", "--clear", "--without-pip", str(made)])
            # Nothing is left to be resolved, which takes minutes among packages that disagree.
            _run(["-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps",
                  "--requirement", str(pinned)])  # fmt: skip
            stamp.write_text(wanted, "utf-8")
    return python


def _run(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, *arguments],
        text=True,
        capture_output=True,
        timeout=_INSTALL_S,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"python {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
