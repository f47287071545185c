"""What shells are told: commands, options, and the values of settings."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from fakeai_proxy.cli.main import COMMANDS
from tests.cli.conftest import ROOT, Run


def completed(run: Run, line: str) -> list[str]:
    """What bash would offer at the end of `line`."""
    words = line.split(" ")
    said = run(
        env={
            "_FAKEAI_PROXY_COMPLETE": "bash_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
        }
    )
    return [one.partition(",")[2] for one in said.stdout.splitlines()]


def test_its_help_has_lines_to_copy(run: Run) -> None:
    said = run("completion", "--help", env={"COLUMNS": "80"}).stdout
    assert 'eval "$(fakeai-proxy completion bash)"' in said
    assert "> ~/.config/fish/completions/fakeai-proxy.fish\n" in said


def test_commands_are_offered(run: Run) -> None:
    assert completed(run, "fakeai-proxy ") == list(COMMANDS)
    assert completed(run, "fakeai-proxy cassette sp") == ["split"]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("fakeai-proxy --mode re", ["record", "replay"]),
        ("fakeai-proxy --profile 8xh100-70b-tp4", ["8xh100-70b-tp4x2"]),
        ("fakeai-proxy --scenario brown", ["brown-out"]),
        ("fakeai-proxy --fault malformed_j", ["malformed_json"]),
        ("fakeai-proxy --limits ope", ["openai"]),
        ("fakeai-proxy --explain", ["--explain-hits"]),
    ],
)
def test_values_of_settings_are_offered(run: Run, line: str, offered: list[str]) -> None:
    assert completed(run, line) == offered


def test_files_are_left_to_the_shell(run: Run) -> None:
    said = run(
        env={
            "_FAKEAI_PROXY_COMPLETE": "bash_complete",
            "COMP_WORDS": "fakeai-proxy --cassette ./de",
            "COMP_CWORD": "2",
        }
    )
    assert said.stdout.splitlines() == ["file,./de"]


def test_bash_completes_with_what_is_printed(run: Run) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    script = run("completion", "bash").stdout
    asked = (
        "COMP_WORDS=(fakeai-proxy --mode hy) COMP_CWORD=2\n"
        '_fakeai_proxy_completion fakeai-proxy\necho "${COMPREPLY[@]}"\n'
    )
    # It asks the program by the name that was typed, which need not be installed here.
    told = script.replace("$1", f"{sys.executable} -m fakeai_proxy")
    said = subprocess.run(
        [bash, "--noprofile", "--norc", "-c", told + asked],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert said.stdout.split() == ["hybrid"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_theirs(run: Run, shell: str) -> None:
    said = run("completion", shell)
    assert said.returncode == 0
    assert "_FAKEAI_PROXY_COMPLETE" in said.stdout
