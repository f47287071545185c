"""One command with a proxy around it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fakeai_proxy.cli.run import child_environment
from fakeai_proxy.config import Config
from tests.cli.conftest import Program, Run, Start

PYTHON = sys.executable
ENVIRONMENT = (PYTHON, "-c", "import json, os; print(json.dumps(dict(os.environ)))")
ASK = (
    PYTHON, "-c",
    "import urllib.request as u; r = u.Request('https://api.openai.com/v1/models', "
    "headers={'authorization': 'Bearer any'}); print(u.urlopen(r, timeout=30).read().decode())",
)  # fmt: skip


@pytest.mark.parametrize("before", [True, False])
def test_the_child_is_served_wherever_the_options_stand(run: Run, before: bool) -> None:
    options = ("--mode", "synth")
    done = run(*options, "run", "--", *ASK) if before else run("run", *options, "--", *ASK)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["object"] == "list"
    assert done.stderr == ""


def test_each_run_takes_a_port_of_its_own(run: Run, environ: dict[str, str]) -> None:
    del environ["FAKEAI_PROXY_LISTEN"]
    seen = json.loads(run("run", "--", *ENVIRONMENT).stdout)
    assert seen["HTTPS_PROXY"].startswith("http://127.0.0.1:")
    assert not seen["HTTPS_PROXY"].endswith((":8000", ":0"))


def test_the_log_goes_to_stderr_when_asked_for(run: Run) -> None:
    done = run("run", "--log-format", "json", "--", *ASK)
    assert json.loads(done.stdout)["object"] == "list"
    line = json.loads(done.stderr)
    assert (line["event"], line["host"], line["status"]) == ("exchange", "api.openai.com", 200)


def test_keys_are_filled_in_only_where_nothing_is_forwarded(run: Run) -> None:
    def keys(*options: str, **env: str) -> tuple[str | None, str | None]:
        seen = json.loads(run(*options, "run", "--", *ENVIRONMENT, env=env).stdout)
        return seen.get("OPENAI_API_KEY"), seen.get("ANTHROPIC_API_KEY")

    mine, filled = keys(OPENAI_API_KEY="mine", ANTHROPIC_API_KEY="")
    assert (mine, filled) == ("mine", "")
    unset, _ = keys()
    assert unset
    assert "invalid" not in unset


@pytest.mark.parametrize(
    ("mode", "live"),
    [("synth", False), ("replay", False), ("hybrid", False), ("auto", True), ("record", True),
     ("pass", True)],
)  # fmt: skip
def test_a_mode_that_forwards_gets_no_made_up_key(mode: str, live: bool, tmp_path: Path) -> None:
    config = Config.load(flags={"mode": mode, "data": tmp_path})
    assert config.is_live is live
    environ = child_environment(config, "http://127.0.0.1:8000", {})
    assert ("OPENAI_API_KEY" in environ) is not live
    assert "OPENAI_BASE_URL" not in environ


def test_with_an_upstream_the_sdk_is_led_to_it_unless_it_has_an_address(tmp_path: Path) -> None:
    config = Config.load(flags={"mode": "pass", "upstream": "http://127.0.0.1:9", "data": tmp_path})
    url = "http://127.0.0.1:8000"
    assert child_environment(config, url, {})["OPENAI_BASE_URL"] == f"{url}/v1"
    mine = {"OPENAI_BASE_URL": "http://elsewhere"}
    assert child_environment(config, url, mine)["OPENAI_BASE_URL"] == "http://elsewhere"


@pytest.mark.parametrize("status", [0, 3, 255])
def test_it_ends_with_the_childs_status(run: Run, status: int) -> None:
    assert run("run", "--", PYTHON, "-c", f"raise SystemExit({status})").returncode == status


def test_a_child_killed_by_a_signal_is_told_as_shells_do(run: Run) -> None:
    done = run("run", "--", PYTHON, "-c", "import os; os.kill(os.getpid(), 9)")
    assert done.returncode == 128 + 9


def test_arguments_and_streams_are_the_childs_own(run: Run) -> None:
    script = "import sys; print(sys.argv[1:]); print('to err', file=sys.stderr)"
    done = run("run", PYTHON, "-c", script, "--mode", "nonsense", "-x")
    assert done.stdout == "['--mode', 'nonsense', '-x']\n"
    assert done.stderr == "to err\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_reach_the_child(program: Start, number: signal.Signals) -> None:
    script = (
        "import signal, sys\n"
        "for n in (1, 2, 15): signal.signal(n, lambda got, _: (print('got', got), sys.exit(40 + got)))\n"
        "print('ready', flush=True)\n"
        "signal.pause()\n"
    )
    started = program("run", "--", PYTHON, "-uc", script, wait_ready=False)
    assert started.line() == "ready\n"
    started.signal(number)
    assert started.line() == f"got {number.value}\n"
    assert started.wait() == 40 + number.value


def test_a_command_that_is_not_there_is_127(run: Run) -> None:
    done = run("run", "--", "no-such-command-here")
    assert done.returncode == 127
    assert "no-such-command-here" in done.stderr


def test_a_program_that_cannot_start_is_126(run: Run, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o755)
    done = run("run", "--", str(broken))
    assert done.returncode == 126
    assert done.stderr.count("\n") == 1


def test_without_a_command_it_says_so(run: Run) -> None:
    done = run("run")
    assert done.returncode == 2
    assert "COMMAND" in done.stderr


def test_a_pipe_through_it_stays_a_pipe(environ: dict[str, str]) -> None:
    done = subprocess.run(
        [PYTHON, "-m", "fakeai_proxy", "run", "--", "cat"],
        input="in and out", env=environ, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == "in and out"


def test_the_proxy_ends_with_the_child(program: Start) -> None:
    started: Program = program("run", "--", *ENVIRONMENT, wait_ready=False)
    seen = json.loads(started.line() or "")
    assert started.wait() == 0
    started.ready = {"url": seen["HTTPS_PROXY"]}
    with pytest.raises(OSError, match="refused"):
        started.ask("/v1/models")
