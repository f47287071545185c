"""The authority as a start needs it: looked at, made where there is none, read late."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fakeai_proxy.clock import SystemClock, VirtualClock
from fakeai_proxy.errors import ApiError, ConfigError
from fakeai_proxy.proxy.authority import LIFETIME, Authority
from fakeai_proxy.proxy.certificates import Certificates
from fakeai_proxy.proxy.installed import Installed

WALL = SystemClock().wall
HOSTS = ("api.openai.com", "*.openai.azure.com")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "ca"


def test_one_that_is_there_is_read_when_it_is_asked_for(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Authority.open(directory, HOSTS, WALL)
    installed = Installed(directory, HOSTS, WALL, ())
    with monkeypatch.context() as patched:
        patched.setattr(Authority, "open", None)
        installed.check()
    assert installed.authority().root_pem == made.root_pem
    assert installed.authority() is installed.authority()


def test_where_there_is_none_the_check_makes_it(directory: Path) -> None:
    Installed(directory, HOSTS, WALL, ()).check()
    assert Authority.open(directory, HOSTS, WALL).root_path.read_bytes().startswith(b"-----BEGIN")


@pytest.mark.parametrize("published", [None, b"", b"another's"])
def test_clients_find_its_root_after_the_check(directory: Path, published: bytes | None) -> None:
    made = Authority.open(directory, HOSTS, WALL)
    if published is None:
        made.root_path.unlink()
    else:
        made.root_path.write_bytes(published)
    Installed(directory, HOSTS, WALL, ()).check()
    assert made.root_path.read_bytes() == made.root_pem


def test_what_cannot_be_used_is_said_by_the_check(directory: Path) -> None:
    Authority.open(directory, HOSTS, WALL)
    other = directory.with_name("other")
    Authority.open(other, HOSTS, WALL)
    path = directory / "authority.pem"
    whole = path.read_bytes()
    key, certificates = whole.split(b"-----BEGIN CERT", 1)
    their_key, _ = (other / "authority.pem").read_bytes().split(b"-----BEGIN CERT", 1)
    for broken in (b"", whole[:-40], key, their_key + b"-----BEGIN CERT" + certificates):
        path.write_bytes(broken)
        with pytest.raises(ConfigError, match="ca create"):
            Installed(directory, HOSTS, WALL, ()).check()


def test_one_that_is_over_is_said_by_the_check(directory: Path) -> None:
    clock = VirtualClock()
    Authority.open(directory, HOSTS, clock.wall)
    clock.advance(LIFETIME.total_seconds())
    with pytest.raises(ConfigError, match="expired on"):
        Installed(directory, HOSTS, clock.wall, ()).check()


def test_hosts_that_the_user_names_are_looked_for_in_it(directory: Path) -> None:
    Authority.open(directory, HOSTS, WALL)
    with pytest.raises(ConfigError, match=r"llm\.example"):
        Installed(directory, (*HOSTS, "llm.example"), WALL, ("llm.example",)).check()


async def test_one_that_breaks_after_the_start_is_told_to_clients(directory: Path) -> None:
    installed = Installed(directory, HOSTS, WALL, ())
    Authority.open(directory, HOSTS, WALL)
    installed.check()
    (directory / "authority.pem").write_bytes(b"no key")
    certificates = Certificates(installed.authority, lambda name: True, WALL)
    for asked in (certificates.require("api.openai.com"), certificates.own_context("127.0.0.1")):
        with pytest.raises(ApiError, match="ca create") as caught:
            await asked
        assert (caught.value.status, caught.value.code) == (502, "authority_unusable")


def test_a_start_brings_nothing_that_only_later_needs_have(directory: Path) -> None:
    heavy = ["cryptography", "numpy", "PIL", "av", "aiohttp.web", "sqlite3", "quicktok"]
    code = (
        "import asyncio, sys\n"
        "from fakeai_proxy.app import App\nfrom fakeai_proxy.config import Config\n"
        "async def start():\n"
        "    app = App(Config.load(flags={'listen': '0', 'profile': 'none'}))\n"
        "    await app.open()\n    await app.close()\n"
        "asyncio.run(start())\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    Authority.open(directory.parent / "fakeai-proxy" / "ca", HOSTS, WALL)
    environ = {**os.environ, "XDG_DATA_HOME": str(directory.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
