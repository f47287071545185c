"""`profiles`: every shipped one is listed, and what is shown can be used."""

from __future__ import annotations

from pathlib import Path

from fakeai_proxy.profiles import hosted_names, load_hosted
from tests.cli.conftest import Run


def test_every_shipped_profile_is_listed_with_its_numbers(run: Run) -> None:
    lines = run("profiles", "ls").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == hosted_names()
    assert all(" ms " in line for line in lines[1:])


def test_what_is_shown_is_a_profile(run: Run, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(run("profiles", "show", "quick").stdout)
    quick, copy = load_hosted("quick"), load_hosted(str(own))
    assert quick is not None
    assert copy is not None
    assert copy.latency == quick.latency
    assert run("profiles", "show", str(own)).stdout == own.read_text()


def test_an_unknown_or_broken_profile_is_said(run: Run, tmp_path: Path) -> None:
    unknown = run("profiles", "show", "nosuch")
    assert unknown.returncode == 2
    assert "quick" in unknown.stderr
    (tmp_path / "broken.toml").write_text("description = 1\n")
    broken = run("profiles", "show", str(tmp_path / "broken.toml"))
    assert broken.returncode == 2
    assert "broken.toml" in broken.stderr
