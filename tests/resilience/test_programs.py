"""Real programs, each bad in one way: the verdict names that and nothing else."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run, environ, run

__all__ = ["environ", "run"]

PROGRAMS = Path(__file__).parent / "programs"

CASES = [
    ("careful.py", "429-retry-after-ms,cut,400-context-length", (), {}),
    ("good.py", "429-bare,truncated", (), {}),
    ("hammering.py", "429-bare,outage", (), {
        "429-bare": {"hammered"}, "outage": {"hammered", "too_many_attempts"}}),
    ("deaf.py", "429-bare,503-retry-after", (), {"503-retry-after": {"ignored_retry_after"}}),
    ("patient.py", "stall", ("--budget", "6"), {"stall": {"no_read_timeout"}}),
    ("gullible.py", "reset,cut,truncated", (), {
        "cut": {"broken_taken_for_whole"}, "truncated": {"broken_taken_for_whole"}}),
    ("stubborn.py", "401", (), {"401": {"retried_permanent"}}),
    ("agent.py", "tool-result", (), {}),
    ("agent.py forgetful", "tool-result", (), {"tool-result": {"repeated_side_effect"}}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("program", "only", "more", "expected"), CASES, ids=[case[0] for case in CASES]
)
def test_a_program_is_told_its_faults_and_only_those(
    run: Run, program: str, only: str, more: tuple[str, ...], expected: dict[str, set[str]]
) -> None:
    name, *arguments = program.split()
    done = run(
        "resilience", "--json", "--only", only, *more, "--", sys.executable, str(PROGRAMS / name),
        *arguments, env={"OPENAI_API_KEY": "any"},
    )  # fmt: skip
    told = json.loads(done.stdout)
    found = {
        trial["name"]: {one["code"] for one in trial["findings"] if one["severity"] != "good"}
        for trial in told["trials"]
    }
    assert {name: codes for name, codes in found.items() if codes} == expected, done.stderr
    assert all(trial["verdict"] for trial in told["trials"]), "every trial met its program"
    assert done.returncode == (1 if expected else 0)
