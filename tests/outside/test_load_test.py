"""The example of a load test, with each benchmark client that is here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.doubles.program import ROOT, bare_environment
from tests.outside.running import RUN_S

#: As examples/load_test.py has it.
REQUESTS = 32


def client(name: str) -> str | None:
    return os.environ.get(f"FAKEAI_TEST_{name.upper()}") or shutil.which(name)


@pytest.mark.timeout(RUN_S)
@pytest.mark.parametrize("name", ["aiperf", "guidellm"])
def test_every_request_of_the_client_is_counted(name: str, tmp_path: Path) -> None:
    program = client(name)
    if program is None:
        pytest.skip(
            f"NOT TESTED against {name}: it is not on PATH. `pip install {name}` in an environment of its "
            f"own, and FAKEAI_TEST_{name.upper()}=its executable"
        )
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "load_test.py"), str(Path(program).absolute())],
        cwd=tmp_path, text=True, capture_output=True, timeout=RUN_S, check=False,
        env=bare_environment(PYTHONPATH=str(ROOT), XDG_DATA_HOME=str(tmp_path)),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    counted = re.findall(r"^vllm:request_success_total\{.*\} (\S+)$", done.stdout, re.M)
    assert sum(map(float, counted)) == REQUESTS
