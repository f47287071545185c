"""`ca`: what lies on the disk and what is said about it."""

from __future__ import annotations

import stat
from pathlib import Path

from tests.cli.conftest import Run


def test_the_root_is_made_on_first_use_and_stays(run: Run) -> None:
    first, second = run("ca", "path"), run("ca", "path")
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    root = Path(first.stdout.strip())
    pem = root.read_text()
    assert pem.startswith("-----BEGIN CERTIFICATE-----")
    assert "PRIVATE" not in pem
    for entry in root.parent.iterdir():
        if "PRIVATE" in entry.read_text():
            assert stat.S_IMODE(entry.stat().st_mode) == 0o600


def test_export_prints_or_writes_the_root(run: Run, tmp_path: Path) -> None:
    pem = run("ca", "export").stdout
    run("ca", "export", str(tmp_path / "copy.pem"))
    assert (tmp_path / "copy.pem").read_text() == pem
    assert Path(run("ca", "path").stdout.strip()).read_text() == pem


def test_show_tells_fingerprint_and_hosts(run: Run) -> None:
    text = run("ca", "show").stdout
    assert "api.openai.com" in text
    assert "openai.azure.com" in text
    assert "sha256" in text
    assert text.count(":") >= 31


def test_a_host_that_the_authority_may_not_sign_for_asks_for_a_new_one(run: Run) -> None:
    old = run("ca", "export").stdout
    refused = run("ca", "path", "--intercept", "llm.example")
    assert refused.returncode == 2
    assert "fakeai-proxy ca create --intercept llm.example" in refused.stderr
    made = run("ca", "create", "--intercept", "llm.example")
    assert made.returncode == 0, made.stderr
    assert "llm.example" in run("ca", "show", "--intercept", "llm.example").stdout
    assert run("ca", "export").stdout != old


def test_a_place_that_cannot_be_written_is_said(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("ca", "path", "--data", str(tmp_path / "file"))
    assert done.returncode != 0
    assert str(tmp_path / "file") in done.stderr
    assert done.stderr.count("\n") == 1
