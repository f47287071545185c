"""Starting, logging, draining and ending of the real program."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import fakeai_proxy
from tests.cli.conftest import Program, Run, Start
from tests.cli.test_options import unfinished_request


def test_it_says_what_it_serves_and_what_to_try_first(program: Start) -> None:
    ready = program().ready
    assert ready["version"] == fakeai_proxy.__version__
    assert ready["mode"] == "synth"
    assert ready["intercepted"] > 10
    assert ready["first"].startswith(f"curl -N {ready['url']}/v1/chat/completions")


def test_a_forwarding_mode_is_tried_through_the_environment(program: Start, tmp_path: Path) -> None:
    ready = program("--mode", "pass", "--data", str(tmp_path / "my data")).ready
    authority = ready["url"].removeprefix("http://")
    assert ready["first"] == (
        f"eval \"$(fakeai-proxy --listen {authority} --data '{tmp_path}/my data' env)\""
    )


@pytest.mark.parametrize(
    ("arguments", "profile"),
    [
        (["--mode", "synth"], "quick"),
        (["--mode", "hybrid"], "quick"),
        (["--mode", "pass"], ""),
        (["--mode", "pass", "--timing", "profile"], "quick"),
        (["--mode", "synth", "--timing", "none"], ""),
    ],
)
def test_it_names_a_profile_only_where_one_sets_the_pace(
    arguments: list[str], profile: str, program: Start, tmp_path: Path
) -> None:
    (tmp_path / "empty.jsonl").touch()
    started = program(*arguments, "--cassette", str(tmp_path / "empty.jsonl"))
    assert started.ready["profile"] == profile


def test_the_way_in_that_it_names_works_in_a_shell(program: Start, environ: dict[str, str]) -> None:
    ready = program("--mode", "pass").ready
    command = f"{sys.executable} -m fakeai_proxy"
    line = ready["first"].replace("fakeai-proxy", command, 1) + '; echo "$HTTPS_PROXY"'
    done = subprocess.run(
        ["bash", "-c", line], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ready["url"]


def test_one_line_for_each_exchange(program: Start) -> None:
    started = program()
    started.ask("/v1/models?key=secret-in-the-query")
    line = started.event("exchange")
    assert line["method"] == "GET"
    assert line["path"] == "/v1/models"
    assert line["status"] == 200
    assert line["source"] == "SYNTH"
    assert line["bytes"] > 0
    assert 0 <= line["ttft_ms"] <= line["total_ms"]
    assert started.stop() == 0


def test_a_refused_request_is_logged_with_its_status(program: Start) -> None:
    started = program()
    started.ask("/v1/models", key="invalid")
    assert started.event("exchange")["status"] == 401


def test_without_a_log_nothing_follows_the_start(program: Start) -> None:
    started = program("--log-format", "none", wait_ready=False)
    started.ready = {"url": (started.line() or "").split()[-1]}
    rows = []
    while not rows or rows[-1][0] != "try":
        rows.append((started.line() or "try").split())
    assert ["watch", f"{started.ready['url']}/_fakeai/"] in rows
    assert started.ask("/v1/models")[0] == 200
    assert started.stop() == 0
    assert started.line() is None


def test_a_terminal_gets_colours_and_words(environ: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "fakeai_proxy"],
        env={**environ, "TERM": "xterm-256color"}, stdout=theirs, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    try:
        while b'"Hello"' not in seen:
            seen += os.read(ours, 4096)
    finally:
        process.send_signal(signal.SIGTERM)
        while True:
            try:
                if not os.read(ours, 4096):
                    break
            except OSError:
                break
        assert process.wait(30) == 0
        os.close(ours)
    assert b"\x1b[" in seen
    command = next(line for line in seen.splitlines() if b"curl -N" in line)
    assert b'"Hello"' in command, "wrapped, it could not be copied"
    assert b'{"event"' not in seen


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_what_is_under_way(program: Start, number: signal.Signals) -> None:
    started = program()
    with unfinished_request(started) as sock:
        started.signal(number)
        started.said("Draining")
        with pytest.raises(OSError, match="refused"):
            _dial(started)
        sock.sendall(b"{}")
        assert b" 200 " in sock.makefile("rb").readline()
    assert started.wait() == 0
    assert "Closed" in "".join(started.errors)


def test_what_outlasts_the_drain_is_cut(program: Start) -> None:
    started = program("--drain-timeout", "0.05")
    with unfinished_request(started) as sock:
        started.signal(signal.SIGTERM)
        assert started.wait() == 0
        assert sock.recv(100) == b""


def test_a_second_signal_ends_it_at_once(program: Start) -> None:
    started = program("--drain-timeout", "1000")
    with unfinished_request(started):
        started.signal(signal.SIGINT)
        started.said("Draining")
        started.signal(signal.SIGINT)
        assert started.wait() == 130


def test_a_port_in_use_is_said_with_the_next_step(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        done = run("--listen", listen)
    assert done.returncode in (1, 2)
    assert listen in done.stderr
    assert "in use" in done.stderr
    assert "--listen" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_log_whose_reader_has_left_stops_no_reply(environ: dict[str, str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "fakeai_proxy", "--log-format", "json"],
        env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    process.stdout.close()
    process.stdout = io.StringIO()
    started = Program(process)
    started.ready = ready
    try:
        assert [started.ask("/v1/models")[0] for _ in range(3)] == [200, 200, 200]
    finally:
        status = started.stop()
        assert process.stderr is not None
        process.stderr.close()
    assert status == 0
    assert "Traceback" not in "".join(started.errors)


def test_open_files_may_be_as_many_as_the_system_allows(program: Start) -> None:
    started = program()
    limits = Path(f"/proc/{started.process.pid}/limits")
    if not limits.exists():
        pytest.skip("this system does not show another process's limits")
    line = next(one for one in limits.read_text().splitlines() if one.startswith("Max open files"))
    soft, hard = line.split()[3:5]
    assert soft == hard


def test_the_version_is_the_packages(run: Run) -> None:
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"fakeai-proxy {fakeai_proxy.__version__}\n")


def _dial(program: Program) -> None:
    host, _, port = program.url.rpartition("//")[2].rpartition(":")
    socket.create_connection((host, int(port)), timeout=10).close()


def test_a_warning_says_whose_request_it_is_about(program: Start, tmp_path: Path) -> None:
    """The id is the one that the client was given."""
    tape = tmp_path / "loose.jsonl"
    first = program("--mode", "hybrid", "--on-miss", "record-synth", "--cassette", str(tape))
    chat = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 3}
    assert first.ask("/v1/chat/completions", chat)[0] == 200
    assert first.stop() == 0
    server = program(
        "--mode", "replay", "--match", "loose", "--cassette", str(tape), "--log-format", "json"
    )
    server.ask("/v1/chat/completions", {**chat, "max_tokens": 4})
    exchange = server.event("exchange")
    server.said('"event":"log"')
    assert server.stop() == 0
    (line,) = [line for line in server.errors if '"event":"log"' in line]
    told = json.loads(line)
    assert (told["level"], told["id"]) == ("warning", exchange["id"])
    assert "is answered by recording" in told["message"]
