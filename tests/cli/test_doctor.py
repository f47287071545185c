"""`doctor` with the clients that the test environment has, and with clients that fail."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run, Start

#: What the extra `test` installs.
PRESENT = {
    "curl", "python urllib", "python requests", "python httpx", "python aiohttp", "openai SDK",
    "anthropic SDK", "python websockets",
}  # fmt: skip


def findings(text: str) -> dict[str, dict[str, str]]:
    return {one["client"]: one for one in json.loads(text)}


def test_every_installed_client_goes_through_and_trusts(run: Run) -> None:
    done = run("doctor", "--json", "--python", sys.executable)
    found = findings(done.stdout)
    assert {name for name in PRESENT if found[name]["outcome"] != "ok"} == set(), done.stdout
    node = found["node fetch"]
    if node["outcome"] == "fail":
        assert "NODE_USE_ENV_PROXY" in node["detail"]
    assert done.returncode == (1 if node["outcome"] == "fail" else 0)


def test_a_running_proxy_is_checked_in_its_place(program: Start, run: Run) -> None:
    started = program()
    done = run("doctor", "--proxy", started.url, "--python", sys.executable)
    assert "python httpx" in done.stdout
    assert "The store: " in done.stdout
    assert "OK" in done.stdout


@pytest.mark.parametrize("url", ["nonsense", "http://host", "http://host:port", "ftp://host:1"])
def test_what_is_no_url_of_a_proxy_is_said(run: Run, url: str) -> None:
    done = run("doctor", "--proxy", url)
    assert done.returncode == 2
    assert f"--proxy {url}" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_proxy_that_is_not_there_is_said(run: Run) -> None:
    done = run("doctor", "--proxy", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert "127.0.0.1:9" in done.stderr
    assert done.stderr.count("\n") == 1


def _only(folder: Path, **scripts: str) -> str:
    """A PATH with these programs alone."""
    for name, text in scripts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    for tool in ("cat", "sh"):
        os.symlink(shutil.which(tool) or "", folder / tool)
    return str(folder)


@pytest.fixture
def bin_folder(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    return tmp_path / "bin"


def test_a_client_that_does_not_trust_is_told_apart_and_advised(run: Run, bin_folder: Path) -> None:
    path = _only(
        bin_folder,
        curl="#!/bin/sh\necho 'SSL certificate problem: unable to get local issuer' >&2\nexit 60\n",
        python3="#!/bin/sh\nexit 77\n",
    )
    done = run("doctor", "--json", env={"PATH": path})
    found = findings(done.stdout)
    assert done.returncode == 1
    assert found["curl"]["outcome"] == "fail"
    assert "issuer" in found["curl"]["detail"]
    assert "SSL_CERT_FILE" in found["curl"]["advice"]
    assert found["openai SDK"]["outcome"] == "not installed"
    assert found["node fetch"]["outcome"] == "not installed"


def test_an_answer_from_somewhere_else_is_no_proof(run: Run, bin_folder: Path) -> None:
    path = _only(
        bin_folder,
        curl='#!/bin/sh\necho \'{"status": "ok", "service": "fakeai-proxy", "instance": "0"}\'\n',
        python3="#!/bin/sh\nexit 77\n",
    )
    done = run("doctor", env={"PATH": path})
    assert done.returncode == 1
    assert "not by this proxy" in done.stdout


def test_a_node_without_proxies_is_told_what_to_do(run: Run, bin_folder: Path) -> None:
    path = _only(
        bin_folder,
        node="#!/bin/sh\necho 'Node 20.1.0 has no NODE_USE_ENV_PROXY' >&2\nexit 1\n",
        python3="#!/bin/sh\nexit 77\n",
    )
    found = findings(run("doctor", "--json", env={"PATH": path}).stdout)
    assert "OPENAI_BASE_URL" in found["node fetch"]["advice"]
