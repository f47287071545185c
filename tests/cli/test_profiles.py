"""`profiles`: every shipped one is listed, and what is shown can be used."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from fakeai_proxy.cli.main import root
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.profiles import fleet_names, hosted_names, load_fleet, load_hosted
from fakeai_proxy.profiles.architecture import model_names
from fakeai_proxy.profiles.gpu import gpu_names
from tests.cli.conftest import Run


def test_every_shipped_back_end_is_listed_with_its_numbers(run: Run) -> None:
    lines = run("profiles", "ls").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == hosted_names() + fleet_names()
    assert all(" ms " in line for line in lines[1:])


def test_gpus_and_models_are_listed_by_kind(run: Run) -> None:
    for kind, names in (("gpus", gpu_names()), ("models", model_names())):
        lines = run("profiles", "ls", "--kind", kind).stdout.splitlines()
        assert [line.split()[0] for line in lines[1:]] == names
    listed = json.loads(run("profiles", "ls", "--kind", "gpus", "--json").stdout)
    assert {entry["name"]: entry["hbm_mib"] for entry in listed}["h100"] == 81559


@pytest.mark.parametrize("name", ["openai", "mixed"])
def test_what_is_shown_is_a_profile(run: Run, tmp_path: Path, name: str) -> None:
    own = tmp_path / "own.toml"
    own.write_text(run("profiles", "show", name).stdout)
    if name == "openai":
        assert load_hosted(str(own)).latency == load_hosted(name).latency  # type: ignore[union-attr]  # neither is `none`
    else:
        assert load_fleet(str(own)).pool == load_fleet(name).pool
    assert run("profiles", "show", str(own)).stdout.startswith(own.read_text())


def test_the_list_is_json_for_programs(run: Run) -> None:
    listed = json.loads(run("profiles", "ls", "--json").stdout)
    assert [entry["name"] for entry in listed] == hosted_names() + fleet_names()
    for entry in listed:
        assert entry["ttft_p50_ms"] > 0
        assert entry["tokens_per_s"] > 0
        assert entry["source"]
        assert isinstance(entry.get("illustrative", False), bool)
    assert {entry["name"]: entry.get("gpus") for entry in listed}["8xh100-70b-tp4x2"] == 8


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


def test_a_fleet_tells_its_room_speed_and_power(run: Run) -> None:
    said = run("profiles", "show", "disaggregated").stdout
    prefill, decode = said.partition("# prefill:")[2].split("# decode:")
    assert "TTFT" in prefill
    assert "tokens/s" not in prefill
    assert "tokens/s" in decode
    for part in (prefill, decode):
        assert "225,728 tokens in 3,527 blocks of 64" in part
        assert "140 W idle" in part


def test_an_unknown_or_broken_profile_is_said(run: Run, tmp_path: Path) -> None:
    unknown = run("profiles", "show", "nosuch")
    assert unknown.returncode == 2
    assert "quick" in unknown.stderr
    (tmp_path / "broken.toml").write_text("description = 1\n")
    broken = run("profiles", "show", str(tmp_path / "broken.toml"))
    assert broken.returncode == 2
    assert "broken.toml" in broken.stderr


@pytest.mark.parametrize("command", [("profiles", "check"), ("scenarios", "check"), ("--profile",)])
def test_a_file_that_is_not_there_is_no_unknown_name(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    shipped = "calm" if command[0] == "scenarios" else "quick"
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "torn.toml").write_text("pool = [")
    for name, said in (
        (tmp_path / "missing.toml", r"missing\.toml: there is no such file\.$"),
        (f"{shipped}.toml", rf"there is no such file\. '{shipped}' alone is the shipped one\.$"),
        (tmp_path / "folder.toml", r"folder\.toml: it is a folder; name the TOML file in it\.$"),
        (shipped + "s", rf"Did you mean {shipped}\?$"),
        (tmp_path / "torn.toml", ": it is no TOML: "),
    ):
        with pytest.raises(ConfigError, match=said):
            root.main([*command, str(name)], standalone_mode=False)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("replicas = 2", "replicas = 0", "pool.0.replicas"),
        ("replicas = 2", "replica = 2", "pool.0.replica"),
        ('gpu = "h100"', 'gpu = "h1000"', "h1000"),
        ('model = "llama-3.1-8b"', 'model = "llama-9"', "llama-9"),
        ('gpu = "h100"', 'gpu = "l4"\nnum_gpu_blocks = -1', "pool.0.num_gpu_blocks"),
        ('model = "llama-3.1-8b"', 'model = "llama-3.1-405b"', "llama-3.1-405b"),
        ("latency_ms = 15", "latency_ms = inf", "frontend.latency_ms"),
        ("source =", "origin =", "source"),
    ],
)
def test_check_names_the_key_that_is_wrong(
    run: Run, tmp_path: Path, old: str, new: str, said: str
) -> None:
    file = tmp_path / "mine.toml"
    text = run("profiles", "show", "quick").stdout
    assert old in text
    file.write_text(text.replace(old, new))
    done = run("profiles", "check", str(file))
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_check_takes_every_kind(run: Run, tmp_path: Path) -> None:
    files = []
    for name in ("quick", "openai", "h100", "qwen3-8b"):
        files.append(tmp_path / f"{name}.toml")
        files[-1].write_text(run("profiles", "show", name).stdout)
    lines = run("profiles", "check", *map(str, files)).stdout.splitlines()
    kinds = [line.rpartition(": ")[2].partition(",")[0] for line in lines]
    assert kinds == ["a fleet", "a hosted back end", "a GPU", "a model"]


@pytest.mark.parametrize("base", ["mixed", "openai", "h100"])
def test_a_profile_can_be_begun_from_another(run: Run, tmp_path: Path, base: str) -> None:
    place = tmp_path / "mine"
    made = run("profiles", "new", str(place), "--from", base)
    assert made.returncode == 0, made.stderr
    text = place.with_suffix(".toml").read_text()
    assert tomllib.loads(text) == tomllib.loads(run("profiles", "show", base).stdout)
    if base == "mixed":
        for setting in ("overlap_weight = 1.0", "max_queue = 0", "on_death ="):
            assert f"#   {setting}" in text
    assert run("profiles", "check", f"{place}.toml").returncode == 0
    again = run("profiles", "new", str(place), "--from", base)
    assert again.returncode == 2
    assert "is there already" in again.stderr
