"""`profiles`: every shipped one is listed, and what is shown can be used."""

from __future__ import annotations

import json
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
    assert run("profiles", "show", str(own)).stdout.startswith(own.read_text())


def test_the_list_is_json_for_programs(run: Run) -> None:
    listed = json.loads(run("profiles", "ls", "--json").stdout)
    assert [entry["name"] for entry in listed] == hosted_names()
    for entry in listed:
        assert entry["ttft_p50_ms"] > 0
        assert entry["tokens_per_s"] > 0
        assert entry["source"]
        assert isinstance(entry["illustrative"], bool)


def test_the_distributions_are_drawn(run: Run) -> None:
    lines = run("profiles", "show", "openai").stdout.splitlines()
    profile = load_hosted("openai")
    assert profile is not None
    for row in profile.latency:
        assert any(line.startswith(f"# {row.model}: ") for line in lines)
    assert any("P50" in line and "P99" in line for line in lines)
    bars = [line for line in lines if line.startswith("#   TTFT ") and line.endswith("#")]
    assert len(bars) >= 8
    assert max(line.count("#") for line in bars) == 41


def test_an_unknown_or_broken_profile_is_said(run: Run, tmp_path: Path) -> None:
    unknown = run("profiles", "show", "nosuch")
    assert unknown.returncode == 2
    assert "quick" in unknown.stderr
    (tmp_path / "broken.toml").write_text("description = 1\n")
    broken = run("profiles", "show", str(tmp_path / "broken.toml"))
    assert broken.returncode == 2
    assert "broken.toml" in broken.stderr
