"""`resilience` through the started program: what it prints and writes, and how it ends."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.resilience.trial import load_course
from tests.cli.conftest import ROOT, Run, Start

#: Asks for the models once; any failure is the end of it.
ASK = (
    sys.executable, "-c",
    "import sys, urllib.request as u\n"
    "r = u.Request('https://api.openai.com/v1/models/gpt-4o-mini', headers={'authorization': 'Bearer any'})\n"
    "try: print(len(u.urlopen(r, timeout=30).read()))\n"
    "except OSError as error: sys.exit(f'failed\\x07: {error}')",
)  # fmt: skip


def test_a_table_tells_what_happened_and_what_to_do(run: Run) -> None:
    done = run("resilience", "--only", "500", "--fail-on", "weak", "--", *ASK)
    assert done.returncode == 1
    assert "Gave up after the first attempt: it ended with status 1." in done.stdout
    assert "Ask again a few times" in done.stdout
    assert "1 good, 1 weak" in done.stdout
    assert done.stdout.isascii()  # no frames where nobody sees them
    assert done.stderr == ""


def test_what_is_weak_fails_only_where_asked(run: Run) -> None:
    assert run("resilience", "--only", "500", "--", *ASK).returncode == 0


def test_junit_has_a_case_for_each_trial(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "report.xml"
    run("resilience", "--only", "500,529", "--fail-on", "weak", "--junit", str(file), "--", *ASK)
    suite = ElementTree.parse(file).getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    calm, failing, skipped = suite
    assert calm.find("failure") is None
    failure = failing.find("failure")
    assert failure is not None
    assert failure.get("type") == "not_tried_again"
    assert "failed" in (failing.findtext("system-out") or "")
    assert skipped.find("skipped") is not None


def test_a_program_that_does_not_work_is_told_so_and_no_more(run: Run) -> None:
    done = run("resilience", "--json", "--", sys.executable, "-c", "raise SystemExit(3)")
    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert [one["code"] for one in told["trials"][0]["findings"]] == ["unreachable"]
    assert {trial["verdict"] for trial in told["trials"][1:]} == {None}


def test_the_course_lies_over_recordings_too(run: Run) -> None:
    cassette = str(ROOT / "cassettes" / "quickstart.jsonl")
    done = run("resilience", "--mode", "replay", "--cassette", cassette, "--only", "401,529", "--json",
               "--", *ASK)  # fmt: skip
    told = json.loads(done.stdout)
    calm, _, refused = told["trials"]
    assert told["mode"] == "replay"
    assert calm["verdict"] == refused["verdict"] == "good"
    assert refused["asks"][0]["attempts"][0]["status"] == 401


def test_its_output_is_shown_when_asked_for_and_where_it_does_badly(run: Run) -> None:
    quiet = (sys.executable, "-c", ASK[2] + "\nprint('said to err', file=sys.stderr)")
    assert "said to err" in run("resilience", "--only", "calm", "--verbose", "--", *quiet).stderr
    assert run("resilience", "--only", "calm", "--", *quiet).stderr == ""
    done = run(
        "resilience", "--", sys.executable, "-c", "print('a word before'); raise SystemExit(1)"
    )
    assert "a word before" in done.stderr


def test_the_trials_are_listed(run: Run) -> None:
    done = run("resilience", "--list")
    names = [line.split()[0] for line in done.stdout.splitlines()[1:]]
    assert names == [trial.name for trial in load_course().trial]
    left = json.loads(run("resilience", "--list", "--json", "--skip", "500,401").stdout)
    assert len(left) == len(names) - 2


def test_a_course_of_ones_own_is_run(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        'description = "mine"\n'
        '[[trial]]\nname = "calm"\nmeaning = "-"\nexpected = "answer"\n'
        '[[trial]]\nname = "teapot"\nmeaning = "-"\nexpected = "no_retry"\nfault = ["status:code=418"]\n'
    )
    told = json.loads(run("resilience", "--course", str(file), "--json", "--", *ASK).stdout)
    assert [trial["name"] for trial in told["trials"]] == ["calm", "teapot"]
    assert {one["code"] for one in told["trials"][1]["findings"]} == {"not_retried", "gave_up_well"}


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("--only", "nothing", "--", "true"), 2, "there is no trial 'nothing'"),
        (("--fault", "500", "--", "true"), 2, "the course says what goes wrong"),
        ((), 2, "COMMAND"),
        (("--", "no-such-command-here"), 127, "there is no such command"),
    ],
)
def test_what_cannot_be_run_says_so(
    run: Run, arguments: tuple[str, ...], status: int, message: str
) -> None:
    done = run("resilience", *arguments)
    assert done.returncode == status
    assert message in done.stderr


def test_an_interrupt_ends_the_program_too(program: Start, tmp_path: Path) -> None:
    script = "import os, signal, sys; print('pid', os.getpid(), flush=True); signal.pause()"
    started = program(
        "resilience", "--verbose", "--", sys.executable, "-c", script, wait_ready=False
    )
    started.said("pid")
    started.signal(signal.SIGINT)
    assert started.wait() == 130
    child = int("".join(started.errors).split("pid ")[1].split()[0])
    assert not Path(f"/proc/{child}/cmdline").exists()


def test_every_shipped_trial_has_rules_that_are_rules() -> None:
    from fakeai_proxy.shaping.faults.parsing import rules_of

    for trial in load_course().trial:
        assert len(rules_of(trial.fault)) == len(trial.fault)


def test_a_course_begins_calmly(tmp_path: Path) -> None:
    file = tmp_path / "wild.toml"
    file.write_text('description = "-"\n[[trial]]\nname = "a"\nmeaning = "-"\nexpected = "retry"\n')
    with pytest.raises(ConfigError, match="the first has"):
        load_course(str(file))
