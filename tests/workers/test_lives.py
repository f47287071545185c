"""Processes that die, that are ended, and that cannot start; the state that nobody wants to keep."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import pytest

from fakeai_proxy.cli.scratch import Scratch
from tests.cli.conftest import Run, Start
from tests.cli.conftest import environ as environ  # noqa: PLC0414 - a fixture
from tests.cli.conftest import program as program  # noqa: PLC0414
from tests.cli.conftest import run as run  # noqa: PLC0414
from tests.cli.test_options import unfinished_request
from tests.workers.conftest import Service, children_of, kill, serving

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}


def until_two_serve(service: Service, gone: int) -> list[int]:
    """The processes, once the one that has gone has been replaced and the other one is there."""
    with httpx.Client(base_url=service.program.url, timeout=60) as client:
        while client.get("/_fakeai/health").json()["workers"] != 2:
            pass
    found = children_of(service.program.pid)
    assert len(found) == 2
    assert gone not in found
    return found


def test_a_process_that_is_killed_is_replaced_and_the_others_go_on(tmp_path: Path) -> None:
    arguments = ("--profile", "none", "--limits", str(_limits(tmp_path, "concurrent = 100")))
    with serving(tmp_path, *arguments) as service:
        service.control("POST", "faults", {"rule": "418:model=teapot"})
        first, second = children_of(service.program.pid)
        kill(first)
        for client in service.clients:
            try:
                answer = service.chat(client)
            except httpx.TransportError:  # its connection has died with the process
                answer = service.chat(client)
            assert answer.status_code == 200
        assert second in until_two_serve(service, gone=first)
        for client in service.clients * 2:
            assert service.chat(client).status_code == 200
            assert service.chat(client, model="teapot").status_code == 418
        assert any("was ended by SIGKILL" in line for line in service.program.said)
        assert service.program.stop() == 0


def _limits(folder: Path, row: str) -> Path:
    file = folder / "limits.toml"
    file.write_text(f'description = "x"\nsource = "made up for a test"\n[[limit]]\n{row}\n')
    return file


def test_what_a_killed_process_held_is_given_back(tmp_path: Path) -> None:
    slow = tmp_path / "slow.toml"
    slow.write_text(
        'description = "For ever"\nsource = "made up for a test"\nillustrative = true\n'
        '[[latency]]\nmodel = "*"\nttft_p50_ms = 600000.0\nttft_sigma = 0.0\nitl_p50_ms = 0.0\n'
    )
    limits = str(_limits(tmp_path, "concurrent = 1"))
    with serving(tmp_path, "--profile", str(slow), "--limits", limits) as service:
        authority = service.program.authority.partition(":")
        with socket.create_connection((authority[0], int(authority[2])), timeout=60) as waiting:
            body = json.dumps(CHAT).encode()
            waiting.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n"
                b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (len(body), body)
            )
            other = service.clients[0]
            path = "/_fakeai/v1/limits"
            while [row["remaining"] for row in other.get(path).json()["data"]] != [0]:
                pass
            assert service.chat(other).status_code == 429
            for pid in children_of(service.program.pid):
                if _has_peer(pid, waiting):
                    kill(pid)
            assert waiting.recv(1) == b""
        with httpx.Client(base_url=service.program.url, timeout=60) as client:
            while [row["remaining"] for row in client.get(path).json()["data"]] != [1]:
                pass


def _has_peer(pid: int, sock: socket.socket) -> bool:
    """Whether a process has the other end of a connection."""
    mine, theirs = sock.getsockname()[1], sock.getpeername()[1]
    inodes = {
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if (line.split()[1][-4:], line.split()[2][-4:]) == (f"{theirs:04X}", f"{mine:04X}")
    }
    held = set()
    for one in Path(f"/proc/{pid}/fd").iterdir():
        held.add(os.readlink(one))
    return any(f"socket:[{inode}]" in held for inode in inodes)


def test_sigterm_drains_all_of_them(tmp_path: Path) -> None:
    with serving(tmp_path, "--profile", "quick") as service:
        body = json.dumps({**CHAT, "stream": True, "max_tokens": 60}).encode()
        host, _, port = service.program.authority.partition(":")
        socks = [socket.create_connection((host, int(port)), timeout=60) for _ in range(4)]
        for sock in socks:
            sock.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n"
                b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (len(body), body)
            )
        begun = [sock.recv(100) for sock in socks]
        assert all(one.startswith(b"HTTP/1.1 200") for one in begun)
        os.kill(service.program.pid, signal.SIGTERM)
        for sock in socks:
            whole = b""
            while piece := sock.recv(65536):
                whole += piece
            assert b"data: [DONE]" in whole
            sock.close()
        assert service.program.end() == 0
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((host, int(port)), timeout=5)


def test_the_second_signal_ends_all_at_once(program: Start) -> None:
    started = program("--workers", "2", "--drain-timeout", "600")
    children = children_of(started.process.pid)
    with unfinished_request(started):
        started.signal(signal.SIGINT)
        started.said("Again to end at once")
        started.signal(signal.SIGINT)
        assert started.wait() == 130
    while any(_lives(pid) for pid in children):
        pass


def test_processes_end_with_the_one_that_started_them(program: Start) -> None:
    started = program("--workers", "2")
    children = children_of(started.process.pid)
    kill(started.process.pid)
    started.wait()
    while any(_lives(pid) for pid in children):
        pass


def _lives(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--profile", "1xh100-8b"), "--workers 1"),
        (
            ("--mode", "auto", "--upstream", "http://127.0.0.1:9"),
            "mode auto replays what it records",
        ),
        (
            ("--mode", "record", "--upstream", "http://127.0.0.1:9", "--cassette", "a.jsonl"),
            "NAME.fcz",
        ),
        (("--mode", "replay", "--cassette", "nowhere.fcz"), "nowhere.fcz"),
        (("--listen", "192.0.2.1:1"), "--listen HOST:PORT"),
    ],
)
def test_what_several_processes_cannot_do_is_said_once(
    arguments: tuple[str, ...], said: str, run: Run, tmp_path: Path
) -> None:
    done = run("--workers", "2", *arguments, cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert done.stderr.count("fakeai-proxy:") == 1
    assert done.stdout == ""


def test_processes_that_all_die_at_their_start_are_given_up(run: Run, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, os\nif 'fakeai_proxy.cli.worker' in sys.orig_argv: os._exit(7)\n"
    )
    done = run("--workers", "2", env={"PYTHONPATH": f"{tmp_path}:{os.getcwd()}"})
    assert done.returncode == 1
    assert "ended with status 7, as did 4 before it" in done.stderr


def test_without_a_folder_the_state_is_shared_and_gone_at_the_end(program: Start) -> None:
    started = program("--workers", "2", "--profile", "none")
    mine = _shared_by(started.process.pid)
    assert mine is not None
    with httpx.Client(base_url=started.url, headers={"authorization": "Bearer k"}) as one:
        made = one.post(
            "/v1/files", data={"purpose": "user_data"}, files={"file": ("a.txt", b"words")}
        ).json()
        for _ in range(3):
            with httpx.Client(base_url=started.url, headers={"authorization": "Bearer k"}) as other:
                assert other.get(f"/v1/files/{made['id']}").json() == made
    assert started.stop() == 0
    assert not mine.exists()


def test_state_that_a_killed_program_left_is_cleared_away_by_the_next(program: Start) -> None:
    started = program("--workers", "2")
    left = _shared_by(started.process.pid)
    assert left is not None
    kill(started.process.pid)
    started.wait()
    other = program("--workers", "2")
    assert not left.exists()
    assert other.stop() == 0


def _shared_by(pid: int) -> Path | None:
    held = [os.readlink(one) for one in Path(f"/proc/{pid}/fd").iterdir()]
    return next((Path(one) for one in held if "fakeai-proxy-shared-" in one), None)


def test_a_folder_that_somebody_holds_is_not_cleared_away(tmp_path: Path) -> None:
    one = Scratch((tmp_path,))
    other = Scratch((tmp_path,))
    assert one.folder.exists()
    assert one.folder != other.folder
    assert one.folder.stat().st_mode & 0o777 == 0o700
    one.close()
    assert not one.folder.exists()
    left = Path(tempfile.mkdtemp(prefix="fakeai-proxy-shared-", dir=tmp_path))
    Scratch((tmp_path,)).close()
    assert not left.exists()
    assert other.folder.exists()
    other.close()


def test_one_process_loads_nothing_of_several() -> None:
    code = (
        "import sys; from fakeai_proxy.app import App; from fakeai_proxy.config import Config;"
        "App(Config.load()); bad = [name for name in sys.modules if name in "
        "('fakeai_proxy.shared.hub', 'fakeai_proxy.shared.peer', 'redis')]; sys.exit(bool(bad))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
