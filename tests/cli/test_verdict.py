"""What the started program says of a run with a cassette, and with which status it ends."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Program, Run, Start
from tests.cli.upstreams import counting

#: Asks each path on the base URL that the environment names, whatever comes of it.
ASK = """
import os, sys, urllib.request as u, urllib.error as e
for path in sys.argv[1:]:
    try: u.build_opener(u.ProxyHandler({})).open(os.environ["OPENAI_BASE_URL"][:-3] + path).read()
    except e.HTTPError: pass
"""


@pytest.fixture
def upstream() -> Iterator[str]:
    with counting() as url:
        yield url


@pytest.fixture
def cassette(tmp_path: Path, upstream: str, run: Run) -> str:
    """Holds /one and /two."""
    path = str(tmp_path / "c.fcz")
    done = run(
        "--mode", "record", "--cassette", path, "--upstream", upstream,
        "run", "--", sys.executable, "-c", ASK, "/one", "/two",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "  NEW          2  recorded" in done.stderr
    return path


def asked(run: Run, upstream: str, *options: str, env: dict[str, str] | None = None) -> Run:
    def go(*paths: str) -> object:
        return run(
            *options,
            "--upstream",
            upstream,
            "run",
            "--",
            sys.executable,
            "-c",
            ASK,
            *paths,
            env=env,
        )

    return go  # type: ignore[return-value] # the same, with paths only


def test_a_command_fails_for_what_strict_names_and_its_own_status_wins(
    run: Run, upstream: str, cassette: str
) -> None:
    replay = ("--mode", "replay", "--cassette", cassette)
    lax = asked(run, upstream, *replay)("/one", "/three")
    assert lax.returncode == 0
    assert "  HIT          1  replayed" in lax.stderr
    assert "  MISS         1  not on the cassette\n           GET /three" in lax.stderr
    assert "  UNUSED       1  recordings that nobody asked for" in lax.stderr
    assert "GET /two" in lax.stderr
    strict = asked(run, upstream, *replay, "--strict", "unused,live")("/one", "/three")
    assert strict.returncode == 1
    assert "--strict: there were UNUSED\n" in strict.stderr
    both = asked(run, upstream, *replay, "--strict", "all")("/one", "/two")
    assert both.returncode == 0, both.stderr
    failing = run(*replay, "--strict", "all", "run", "--", sys.executable, "-c", "exit(7)")
    assert failing.returncode == 7


def test_json_goes_into_a_file_beside_annotations(
    tmp_path: Path, run: Run, upstream: str, cassette: str
) -> None:
    file = tmp_path / "verdict.json"
    options = ("--mode", "auto", "--cassette", cassette, "--verdict", str(file))
    done = asked(run, upstream, *options, env={"GITHUB_ACTIONS": "true"})("/one", "/three")
    told = json.loads(file.read_text())
    assert told["counts"] == {
        "HIT": 1, "NEW": 1, "STALE": 0, "LIVE": 0, "MISS": 0, "UNUSED": 1, "DRIFT": 0, "TEXT": 0,
        "SKIPPED": 0,
    }  # fmt: skip
    assert [one["request"] for one in told["unused"]] == ["GET /two"]
    assert "::warning title=fakeai-proxy UNUSED::1 UNUSED: recordings that nobody" in done.stderr
    assert "GET /two" in done.stderr
    assert "::notice title=fakeai-proxy::1 HIT, 1 NEW, 1 UNUSED; $0 saved" in done.stderr
    quiet = asked(run, upstream, "--mode", "auto", "--cassette", cassette, "--verdict", "none")
    assert quiet("/one").stderr == ""


def test_several_processes_give_one_verdict(program: Start, upstream: str, cassette: str) -> None:
    options = ("--mode", "replay", "--cassette", cassette, "--workers", "2", "--strict", "miss")
    started = program(*options)
    for path in ("/one", "/two", "/one", "/three", "/three"):
        started.ask(path)
    page = told(started)
    assert page["counts"]["HIT"] == 3
    assert page["counts"]["MISS"] == 2
    assert page["counts"]["UNUSED"] == 0
    assert page["failures"] == ["MISS"]
    assert started.stop() == 1
    said = "".join(started.errors)
    assert "  HIT          3  replayed" in said
    assert "GET /three (2 times)" in said
    assert "UNUSED" not in said


def test_live_calls_alone_are_judged_where_somebody_asks(
    program: Start, run: Run, upstream: str
) -> None:
    live = ("--mode", "pass", "--upstream", upstream)
    started = program(*live, "--workers", "2", "--strict", "live", "--verdict", "json")
    for path in ("/one", "/one", "/two"):
        started.ask(path)
    assert told(started)["counts"]["LIVE"] == 3
    assert started.stop() == 1
    said = "".join(started.errors)
    assert '"cassettes": [], "counts": {"HIT": 0, "NEW": 0, "STALE": 0, "LIVE": 3,' in said
    assert "--strict: there were LIVE\n" in said
    assert asked(run, upstream, "--mode", "pass")("/one").stderr == ""
    one = asked(run, upstream, "--mode", "pass", "--verdict", "table")("/one")
    assert "fakeai-proxy: pass: $0 saved, $0 spent\n  LIVE         1  asked live" in one.stderr


def told(started: Program) -> dict[str, dict[str, int]]:
    status, page = started.ask("/_fakeai/v1/verdict")
    assert status == 200
    return dict(page)
