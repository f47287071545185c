"""`cassette serve`, as a started program."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from tests.cli.conftest import ROOT, Run, Start

SHIPPED = str(ROOT / "cassettes" / "quickstart.jsonl")


def test_a_cassette_is_served_with_what_it_holds_and_a_line_that_works(program: Start) -> None:
    started = program("cassette", "serve", SHIPPED, "--timing", "none")
    ready = started.ready
    assert (ready["mode"], ready["cassette"]) == ("replay", [SHIPPED])
    (holds,) = ready["holds"]
    assert "6 recordings; models gpt-4o-mini 3" in holds
    assert "POST /v1/chat/completions 4" in holds
    assert ready["first"].startswith(f"curl {ready['url']}/v1/")
    line = [*shlex.split(ready["first"]), "-sSi"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("HTTP/1.1 200")
    assert "x-fakeai-cassette: hit" in done.stdout.lower()


def test_several_are_served_and_options_are_the_servers(program: Start, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    started = program(
        "cassette", "serve", str(tmp_path / "empty.jsonl"), SHIPPED, "--mode", "hybrid",
    )  # fmt: skip
    assert started.ready["mode"] == "hybrid"
    assert [text.partition(": ")[2].split(" ")[0] for text in started.ready["holds"]] == ["0", "6"]


def test_what_does_not_replay_is_refused(run: Run) -> None:
    assert (
        "use replay, auto or hybrid" in run("cassette", "serve", SHIPPED, "--mode", "synth").stderr
    )
    named = run("cassette", "serve", SHIPPED, "--cassette", "other.fcz")
    assert "instead of --cassette" in named.stderr
    missing = run("cassette", "serve", "missing.fcz").stderr
    assert "missing.fcz: there is no such cassette. To record one: fakeai-proxy --mode" in missing
