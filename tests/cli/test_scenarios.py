"""`scenarios`: they are listed, drawn, checked, and run as a server."""

from __future__ import annotations

import json
from pathlib import Path

from fakeai_proxy.profiles.scenario import scenario_names
from tests.cli.conftest import Run, Start

OWN = """
description = "A test's own"
source = "made up for a test"
illustrative = true
[[phase]]
name = "calm"
duration = "1m"
[[phase]]
name = "storm"
duration = "30s"
ramp = "10s"
faults = ["503:p=0.5"]
"""


def test_every_shipped_scenario_is_listed(run: Run) -> None:
    lines = run("scenarios", "ls").stdout.splitlines()
    assert [line.split()[0] for line in lines] == scenario_names()
    listed = json.loads(run("scenarios", "ls", "--json").stdout)
    assert [entry["name"] for entry in listed] == scenario_names()
    assert all(entry["phases"] for entry in listed)


def test_phases_are_drawn_along_time(run: Run, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(OWN)
    lines = run("scenarios", "show", str(own)).stdout.splitlines()
    [calm] = [line for line in lines if "calm" in line]
    [storm] = [line for line in lines if "storm" in line]
    assert calm.split() == ["0s", "calm", "█" * 32, "-"]
    assert storm.split() == ["1m", "storm", "░" * 5 + "█" * 11, "status:code=503,p=0.5"]
    assert storm.index("░") == calm.rindex("█") + 1


def test_a_day_is_drawn_by_the_clock(run: Run) -> None:
    shown = run("scenarios", "show", "quota-at-noon").stdout
    assert "12:00  no quota" in shown
    assert "again after 1d" in shown


def test_a_check_tells_what_is_wrong_with_a_file(run: Run, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(OWN)
    done = run("scenarios", "check", str(own), "calm")
    assert (done.returncode, done.stdout) == (
        0,
        f"{own}: 2 phases, 1m30s\ncalm: 1 phases, no end\n",
    )
    own.write_text(OWN.replace("503:p", "503:q"))
    done = run("scenarios", "check", str(own))
    assert done.returncode == 2
    assert "phase.1.faults.0 (of storm): status: there is no parameter 'q'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_check_sees_what_the_server_would_lack(run: Run, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(OWN + "limits = { scale = 0.5 }\n")
    assert "start with --limits" in run("scenarios", "check", str(own)).stderr
    assert run("scenarios", "check", str(own), "--limits", "openai:1").returncode == 0


def test_run_serves_and_says_when_a_phase_begins(program: Start, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(OWN.replace("1m", "100ms").replace("30s", "100h").replace("10s", "10h"))
    started = program("scenarios", "run", str(own))
    assert started.ready["mode"] == "synth"
    started.said("scenario own: calm (1 of 2) for 100ms, then storm: nothing goes wrong.")
    started.said("scenario own: storm (2 of 2) for 4d4h: status:code=503,p=0.5.")
    status, body = started.ask("/_fakeai/v1/scenario")
    assert (status, body["phase"], body["next"]) == (200, "storm", None)


def test_run_takes_what_the_scenario_suggests_unless_told_otherwise(program: Start) -> None:
    suggested = program("scenarios", "run", "rate-limit-storm")
    assert suggested.ask("/_fakeai/v1/limits")[1]["limits"] == ["openai:1"]
    other = program("scenarios", "run", "rate-limit-storm", env={"FAKEAI_PROXY_LIMITS": "openai:3"})
    assert other.ask("/_fakeai/v1/limits")[1]["limits"] == ["openai:3"]
