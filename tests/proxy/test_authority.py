"""The certificate authority on disk."""

from __future__ import annotations

import logging
import os
import shutil
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from fakeai_proxy.clock import SystemClock, VirtualClock
from fakeai_proxy.errors import ApiError, ConfigError
from fakeai_proxy.proxy.authority import Authority
from fakeai_proxy.proxy.certificates import Certificates
from fakeai_proxy.proxy.leaf import issue

WALL = SystemClock().wall
HOSTS = ("api.openai.com", "*.openai.azure.com", "203.0.113.7", "[2001:db8::1]")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data" / "ca"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_made_once_and_loaded_afterwards(directory: Path) -> None:
    first = Authority.open(directory, HOSTS, WALL)
    second = Authority.open(directory, HOSTS, WALL)
    assert first.root_pem == second.root_pem == first.root_path.read_bytes()
    assert first.intermediate == second.intermediate


def test_nobody_else_can_read_the_key(directory: Path) -> None:
    Authority.open(directory, HOSTS, WALL)
    assert mode(directory) == 0o700
    assert mode(directory / "authority.pem") == 0o600
    assert sorted(os.listdir(directory)) == ["authority.pem", "root.pem"]


def test_the_key_of_the_root_is_nowhere(directory: Path) -> None:
    authority = Authority.open(directory, HOSTS, WALL)
    assert (directory / "authority.pem").read_bytes().count(b"PRIVATE KEY-----") == 2
    assert authority.key.public_key() == authority.intermediate.public_key()
    assert authority.key.public_key() != authority.root.public_key()


def test_both_tiers_are_constrained_and_short_lived(directory: Path) -> None:
    authority = Authority.open(directory, HOSTS, WALL)
    authority.intermediate.verify_directly_issued_by(authority.root)
    for certificate, path_length in ((authority.root, 1), (authority.intermediate, 0)):
        constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints)
        assert constraints.critical
        permitted = constraints.value.permitted_subtrees
        assert permitted is not None
        assert [str(name.value) for name in permitted] == [
            "localhost", "api.openai.com", "openai.azure.com",
            "127.0.0.0/8", "::1/128", "203.0.113.7/32", "2001:db8::1/128",
        ]  # fmt: skip
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        assert basic.critical
        assert basic.value == x509.BasicConstraints(ca=True, path_length=path_length)
        assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days == 825
        public = certificate.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        assert isinstance(public.curve, ec.SECP256R1)


def test_the_coverage_of_a_pattern(directory: Path) -> None:
    authority = Authority.open(directory, HOSTS, WALL)
    for host in (*HOSTS, "API.openai.com", "a.b.openai.azure.com", "localhost", "127.8.8.8", "::1"):
        assert authority.covers(host), host
    for host in ("openai.com", "notapi.openai.co", "azure.com", "203.0.113.8", "::2", "com"):
        assert not authority.covers(host), host


async def test_an_authority_older_than_the_list_of_hosts_serves_what_it_covers(
    directory: Path,
) -> None:
    Authority.open(directory, HOSTS, WALL)
    again = Authority.open(directory, (*HOSTS, "llm.example"), WALL, required=HOSTS)
    certificates = Certificates(lambda: again, lambda _: True, WALL)
    await certificates.require("api.openai.com")
    with pytest.raises(ApiError) as caught:
        await certificates.require("llm.example")
    assert "fakeai-proxy ca create" in caught.value.message


def test_a_host_beyond_the_constraints_is_told_with_the_command(directory: Path) -> None:
    Authority.open(directory, HOSTS, WALL)
    with pytest.raises(ConfigError) as caught:
        Authority.open(directory, (*HOSTS, "llm.example", "*.models.example"), WALL)
    assert "fakeai-proxy ca create --intercept llm.example --intercept *.models.example" in str(
        caught.value
    )


def test_a_new_one_takes_the_place_of_the_old(directory: Path) -> None:
    old = Authority.open(directory, HOSTS, WALL)
    made = Authority.create(directory, (*HOSTS, "llm.example"), WALL)
    assert made.covers("llm.example")
    assert made.root_pem != old.root_pem
    assert made.root.subject != old.root.subject
    assert made.root_path.read_bytes() == made.root_pem


def test_two_processes_that_start_at_once_agree(directory: Path) -> None:
    code = (
        "import sys, pathlib; from fakeai_proxy.clock import SystemClock;"
        "from fakeai_proxy.proxy.authority import Authority;"
        "a = Authority.open(pathlib.Path(sys.argv[1]), ('api.openai.com',), SystemClock().wall);"
        "sys.stdout.buffer.write(a.root_pem + a.root_path.read_bytes())"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(directory)], stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    said = {process.communicate(timeout=60)[0] for process in running}
    assert len(said) == 1
    assert next(iter(said)).count(b"BEGIN CERTIFICATE") == 2


def test_threads_that_open_at_once_agree(directory: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: Authority.open(directory, HOSTS, WALL), range(32)))
    assert len({authority.root_pem for authority in opened}) == 1
    assert sorted(os.listdir(directory)) == ["authority.pem", "root.pem"]


def test_an_expired_one_is_told_with_its_date(directory: Path) -> None:
    clock = VirtualClock(autojump=False)
    Authority.open(directory, HOSTS, clock.wall)
    clock.advance(823 * 86400)
    Authority.open(directory, HOSTS, clock.wall)
    clock.advance(86400)
    with pytest.raises(ConfigError, match=r"expired on 2027-09-17.*fakeai-proxy ca create"):
        Authority.open(directory, HOSTS, clock.wall)


def test_a_key_that_others_can_read_is_warned_about(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Authority.open(directory, HOSTS, WALL)
    assert not caplog.records
    (directory / "authority.pem").chmod(0o640)
    with caplog.at_level(logging.WARNING):
        Authority.open(directory, HOSTS, WALL)
    assert "chmod 600" in caplog.text


@pytest.mark.parametrize("damage", ["empty", "torn", "garbage", "other key", "directory"])
def test_a_broken_file_is_told_with_its_path(directory: Path, damage: str) -> None:
    Authority.open(directory, HOSTS, WALL)
    path = directory / "authority.pem"
    data = path.read_bytes()
    other = Authority.open(directory.with_name("other"), HOSTS, WALL)
    other_key = (other.directory / "authority.pem").read_bytes().split(b"-----BEGIN CERT")[0]
    at = data.index(b"-----BEGIN CERT")
    path.unlink()
    match damage:
        case "directory":
            path.mkdir()
        case _:
            path.write_bytes(
                {
                    "empty": b"",
                    "torn": data[: len(data) // 2],
                    "garbage": b"\x00" * 100,
                    "other key": other_key + data[at:],
                }[damage]
            )
    with pytest.raises(ConfigError, match="cannot be used: ") as caught:
        Authority.open(directory, HOSTS, WALL)
    assert str(path) in str(caught.value)


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = "file cannot be written to: there is a file in its place. Choose another with --data DIR"
    for make in (Authority.open, Authority.create):
        with pytest.raises(ConfigError, match=said):
            make(tmp_path / "file" / "ca", HOSTS, WALL)


class TestBundle:
    def test_it_is_certifis_and_our_root(self, directory: Path) -> None:
        authority = Authority.open(directory, HOSTS, WALL)
        authority.write_bundle(directory / "bundle.pem")
        known = Path(certifi.where()).read_bytes().rstrip()
        assert (directory / "bundle.pem").read_bytes() == known + b"\n\n" + authority.root_pem
        assert mode(directory / "bundle.pem") == 0o644

    def test_one_that_is_set_already_is_extended_once(self, directory: Path) -> None:
        authority = Authority.open(directory, HOSTS, WALL)
        other = Authority.open(directory.with_name("other"), HOSTS, WALL)
        path = directory / "bundle.pem"
        authority.write_bundle(path, str(other.root_path))
        authority.write_bundle(path, str(path))
        assert x509.load_pem_x509_certificates(path.read_bytes()) == [other.root, authority.root]

    def test_one_that_cannot_be_used_is_told(self, directory: Path) -> None:
        authority = Authority.open(directory, HOSTS, WALL)
        with pytest.raises(ConfigError, match="cannot be read"):
            authority.write_bundle(directory / "b.pem", str(directory / "none.pem"))
        (directory / "text").write_text("no certificates")
        with pytest.raises(ConfigError, match="holds no PEM certificates"):
            authority.write_bundle(directory / "b.pem", str(directory / "text"))
        assert not (directory / "b.pem").exists()


@pytest.mark.parametrize(
    ("host", "accepted"),
    [("api.openai.com", True), ("x.openai.azure.com", True), ("203.0.113.7", True),
     ("example.com", False), ("198.51.100.1", False)],
)  # fmt: skip
def test_openssl_enforces_the_constraints(directory: Path, host: str, accepted: bool) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl here")
    authority = Authority.open(directory, HOSTS, WALL)
    pem, _ = issue(authority, host, WALL())
    (directory / "leaf.pem").write_bytes(pem)
    done = subprocess.run(
        [openssl, "verify", "-x509_strict", "-CAfile", str(authority.root_path), "-untrusted",
         str(directory / "leaf.pem"), str(directory / "leaf.pem")],
        capture_output=True, timeout=30, check=False, text=True,
    )  # fmt: skip
    assert (done.returncode == 0) is accepted, done.stderr
    assert accepted or "permitted subtree violation" in done.stderr
