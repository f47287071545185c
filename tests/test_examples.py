"""Every example runs as it stands, says what it promises, and is short."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.doubles.program import ROOT, bare_environment

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
LINES_MAX = 40
#: Name -> what its output must contain.
PROMISES = {
    "https_proxy": ("asked:    https://api.openai.com/v1/", "answered: "),
    "in_your_tests": (
        "0 replayed, 1 recorded, 0 missed",
        "1 replayed, 0 recorded, 0 missed, 0 unused",
    ),
    "put_answers_ready": ("-> Hello from gpt-5-mini", '-> {"number":42}', "five words -> "),
    "record_then_replay": ("recorded: ", "replayed: the same chatcmpl-"),
    "resilient_client": (
        "429-retry-after good honoured_retry_after",
        "truncated bad broken_taken_for_whole",
    ),
    "serve_and_ask": ("likeness: 0.",),
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(example: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(example)], cwd=tmp_path, text=True, capture_output=True, timeout=60,
        env=bare_environment(PYTHONPATH=str(ROOT), XDG_DATA_HOME=str(tmp_path)), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    for promise in PROMISES[example.stem]:
        assert promise in done.stdout, done.stdout + done.stderr
    assert example.read_text("utf-8").count("\n") < LINES_MAX
