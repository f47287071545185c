"""What a test with a cassette can reach, and what tests without one notice of all this."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.doubles.program import ROOT, bare_environment
from tests.plugin.conftest import PLUGIN, Project, Upstream

CONNECT = (
    "import socket",
    "def connect(host='127.0.0.1', port={port}):",
    "    with socket.create_connection((host, port), 5): return True",
)


def connecting(upstream: Upstream, *lines: str) -> tuple[str, ...]:
    port = str(upstream.double.port)
    return tuple(line.replace("{port}", port) for line in (*CONNECT, *lines))


def test_a_server_of_this_machine_is_out_of_reach(project: Project, upstream: Upstream) -> None:
    project.tests(
        *connecting(upstream, "@pytest.mark.cassette", "def test_it(): connect()"),
        "@pytest.mark.cassette",
        "def test_quietly():",
        "    with pytest.raises(PermissionError, match='allow_hosts'): connect()",
        "    assert socket.socket().connect_ex(('127.0.0.1', 9)) == 0",
        "def test_after(): assert connect()",
        "@pytest.mark.cassette",
        "async def test_on_a_loop():",
        "    import asyncio",
        "    with pytest.raises(PermissionError, match='allow_hosts'):",
        f"        await asyncio.open_connection('127.0.0.1', {upstream.double.port})",
    )
    result = project.run()
    result.assert_outcomes(passed=2, failed=2)
    said = result.stdout.str()
    assert f"wanted to connect to 127.0.0.1:{upstream.double.port}, past the cassette" in said
    assert "fakeai: blocked" in said
    assert "127.0.0.1:9, past the cassette" in said


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.1:{port}", "*:{port}"])
def test_what_a_mark_allows_is_reached(project: Project, upstream: Upstream, host: str) -> None:
    host = host.replace("{port}", str(upstream.double.port))
    project.tests(
        *connecting(
            upstream,
            f"@pytest.mark.cassette(allow_hosts=[{host!r}])",
            "def test_it(): assert connect()",
        )
    )
    project.passes()


def test_what_the_configuration_allows_is_reached(project: Project, upstream: Upstream) -> None:
    project.pytester.makeini("[pytest]\nfakeai_allow_hosts = db.internal localhost\n")
    project.tests(
        *connecting(upstream, "@pytest.mark.cassette", "def test_it(): connect('localhost')")
    )
    project.passes()


def test_another_port_or_name_is_not_allowed_with_it(project: Project, upstream: Upstream) -> None:
    project.tests(
        *connecting(
            upstream,
            "@pytest.mark.cassette(allow_hosts='127.0.0.1:9')",
            "def test_port(): connect()",
            "@pytest.mark.cassette(allow_hosts='*.internal')",
            "def test_name(): socket.getaddrinfo('llm.example', 443)",
            "@pytest.mark.cassette(allow_hosts='*.internal')",
            "def test_old_name(): socket.gethostbyname('llm.example')",
        )
    )
    result = project.run()
    result.assert_outcomes(failed=3)
    assert "wanted to connect to llm.example, past the cassette" in result.stdout.str()


def test_a_name_that_is_allowed_is_reached_at_its_address(
    project: Project, upstream: Upstream
) -> None:
    project.tests(
        *connecting(
            upstream,
            "real = socket.getaddrinfo",
            "def look_up(host, *more, **named):",
            "    return real('127.0.0.1' if host == 'db.internal' else host, *more, **named)",
            "@pytest.fixture(autouse=True, scope='module')",
            "def names():",
            "    with pytest.MonkeyPatch.context() as patch:",
            "        patch.setattr(socket, 'getaddrinfo', look_up)",
            "        yield",
            "def test_before(): assert connect('db.internal')",
            "@pytest.mark.cassette(allow_hosts='db.internal')",
            "def test_it(): assert connect('db.internal')",
        )
    )
    project.passes()


def test_recording_does_not_open_a_way_past_the_cassette(
    project: Project, upstream: Upstream
) -> None:
    upstream.answers("one")
    project.live(upstream)
    project.tests(
        *connecting(
            upstream,
            "@pytest.mark.cassette",
            "def test_it():",
            "    assert ask() == 'one'",
            "    with pytest.raises(PermissionError): connect()",
        )
    )
    project.passes("--fakeai-record=once")


def test_sockets_of_the_file_system_and_pairs_are_none_of_its_business(project: Project) -> None:
    project.tests(
        "import asyncio, multiprocessing, socket",
        "@pytest.mark.cassette",
        "def test_it(tmp_path, monkeypatch):",
        "    monkeypatch.chdir(tmp_path)",
        "    with socket.socket(socket.AF_UNIX) as here, socket.socket(socket.AF_UNIX) as there:",
        "        here.bind('s'); here.listen()",
        "        there.connect('s')",
        "    a, b = socket.socketpair()",
        "    a.close(); b.close()",
        "    asyncio.run(asyncio.to_thread(int))",
    )
    project.passes()


def test_tests_without_a_mark_meet_nothing(project: Project) -> None:
    project.tests(
        test_plain="""
        import os, socket, sys
        connect, look_up, environ = socket.socket.connect, socket.getaddrinfo, dict(os.environ)
        def test_it():
            assert socket.socket.connect is connect and socket.getaddrinfo is look_up
            assert 'OPENAI_BASE_URL' not in os.environ
            heavy = ('fakeai_proxy.app', 'fakeai_proxy.config', 'aiohttp', 'pydantic', 'numpy')
            assert [name for name in heavy if name in sys.modules] == []
        """
    )
    said = project.passes(apart=True)
    assert "fakeai-proxy -" not in said
    assert "- fakeai-proxy" not in said


def test_the_environment_is_as_it_was_afterwards(project: Project, upstream: Upstream) -> None:
    project.live(upstream)
    project.tests(
        "import os, socket",
        "before = dict(os.environ), socket.socket.connect, socket.getaddrinfo",
        "@pytest.mark.cassette",
        "def test_it(): assert os.environ['OPENAI_BASE_URL'] != before[0]['OPENAI_BASE_URL']",
        "def test_after():",
        "    now = dict(os.environ), socket.socket.connect, socket.getaddrinfo",
        "    for environ in (before[0], now[0]): environ.pop('PYTEST_CURRENT_TEST', None)",
        "    assert now == before",
    )
    project.passes()


def test_nothing_is_left_behind_by_a_run(project: Project) -> None:
    project.tests(
        "@pytest.mark.cassette",
        "def test_it(fakeai):",
        "    with pytest.raises(openai.NotFoundError): ask()",
    )
    script = (
        "import os, pytest, sys, tempfile, threading\n"
        f"pytest.main(['-p', {PLUGIN!r}, '-p', 'no:xdist', '-q', 'test_it.py'])\n"
        "print('THREADS', [thread.name for thread in threading.enumerate()])\n"
        "print('FILES', [name for name in os.listdir(tempfile.gettempdir()) if 'fakeai' in name])\n"
    )
    folder = project.path / "tmp"
    folder.mkdir()
    said = subprocess.run(
        [sys.executable, "-c", script], cwd=project.path, capture_output=True, text=True,
        check=True, env=bare_environment(PYTHONPATH=str(ROOT), TMPDIR=str(folder)),
    ).stdout  # fmt: skip
    assert "1 MISS" in said
    assert "THREADS ['MainThread']" in said
    assert "FILES []" in said
