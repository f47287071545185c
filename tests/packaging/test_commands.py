"""The commands that are written down in more than one place are the same everywhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def test_ci_runs_exactly_the_readmes_test_command() -> None:
    script = ROOT / ".ci/run"
    last = script.read_text().strip().splitlines()[-1]
    tests = (ROOT / "README.md").read_text().partition("## Tests")[2]
    assert f"```sh\n{last}\n```" in tests
    assert os.access(script, os.X_OK)


def test_every_make_target_that_is_written_down_exists() -> None:
    if shutil.which("make") is None:
        pytest.skip("there is no make on this machine")
    said = subprocess.run(["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True)
    targets = set(re.findall(r"make (\w+)", said.stdout))
    assert targets == {"help", "check", "test", "lint", "types", "serve"}
    assert set(re.findall(r"    make (\w+)", (ROOT / "CONTRIBUTING.md").read_text())) <= targets


def test_the_licence_is_the_whole_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert all(f"\n   {number}. " in text for number in range(1, 10))
    assert "END OF TERMS AND CONDITIONS" in text
    assert "APPENDIX: How to apply the Apache License to your work." in text
