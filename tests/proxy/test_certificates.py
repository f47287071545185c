"""Leaves and their contexts."""

from __future__ import annotations

import asyncio
import ssl
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from fakeai_proxy.clock import SystemClock, VirtualClock
from fakeai_proxy.providers import host_matches
from fakeai_proxy.proxy import certificates, leaf
from fakeai_proxy.proxy.authority import Authority
from fakeai_proxy.proxy.certificates import Certificates
from fakeai_proxy.proxy.leaf import issue

HOSTS = ("api.openai.com", "*.openai.azure.com", "203.0.113.7")
DAY_S = 86400


@pytest.fixture
def clock() -> VirtualClock:
    """Begins so that real TLS clients agree with what is issued at once, and 25 days later."""
    return VirtualClock(autojump=False, epoch=SystemClock().wall() - 25.5 * DAY_S)


@pytest.fixture
def authority(tmp_path: Path, clock: VirtualClock) -> Authority:
    return Authority.open(tmp_path / "ca", HOSTS, clock.wall)


@pytest.fixture
def issuer(authority: Authority, clock: VirtualClock) -> Certificates:
    return Certificates(
        lambda: authority, lambda name: any(host_matches(name, host) for host in HOSTS), clock.wall
    )


def handshake(authority: Authority, server: ssl.SSLContext, name: str | None) -> x509.Certificate:
    """The certificate that a client of Python 3.13's strictness accepts."""
    trust = ssl.create_default_context(cafile=str(authority.root_path))
    trust.verify_flags |= ssl.VERIFY_X509_STRICT
    trust.check_hostname = name is not None
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trust.wrap_bio(to_client, to_server, server_hostname=name)
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(5):
        with suppress(ssl.SSLWantReadError):
            client.do_handshake()
        with suppress(ssl.SSLError):  # the client is told of it by an alert
            ours.do_handshake()
    der = client.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der)


def test_a_leaf_is_as_clients_want_it(authority: Authority, clock: VirtualClock) -> None:
    pem, expires_at = issue(authority, "api.openai.com", clock.wall())
    leaf, intermediate = x509.load_pem_x509_certificates(pem)
    assert intermediate == authority.intermediate
    leaf.verify_directly_issued_by(intermediate)
    get = leaf.extensions.get_extension_for_class
    names = get(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["api.openai.com"]
    assert not leaf.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    key_id = intermediate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert get(x509.AuthorityKeyIdentifier).value.key_identifier == key_id.digest
    assert get(x509.SubjectKeyIdentifier).value.digest != key_id.digest
    assert leaf.not_valid_after_utc.timestamp() == expires_at
    assert leaf.not_valid_before_utc < datetime.fromtimestamp(clock.wall(), UTC)
    assert int(expires_at - clock.wall()) // DAY_S == 29  # 30 days less the fraction of a second


@pytest.mark.parametrize(
    ("host", "name"),
    [("api.openai.com", "api.openai.com"), ("api.openai.com", None), ("203.0.113.7", "203.0.113.7"),
     ("api.openai.com", "mine.openai.azure.com"), ("mine.openai.azure.com", "localhost"),
     ("127.0.0.1", "127.0.0.1"), ("::1", "::1")],
)  # fmt: skip
async def test_strict_clients_accept_the_chain(
    authority: Authority, issuer: Certificates, host: str, name: str | None
) -> None:
    leaf = handshake(authority, await issuer.context(host), name)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(one.value) for one in names] == [name or host]


@pytest.mark.parametrize("name", ["example.com", "openai.azure.com", "api.openai.com.evil.test"])
async def test_a_name_beyond_the_list_is_refused(
    authority: Authority, issuer: Certificates, name: str
) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        handshake(authority, await issuer.context("api.openai.com"), name)


async def test_the_proxys_own_certificate_is_for_its_address_or_localhost(
    authority: Authority, issuer: Certificates
) -> None:
    for address, name in (("127.0.0.2", "127.0.0.2"), ("::1", "::1"), ("192.0.2.1", "localhost")):
        assert await issuer.own_context(address) is await issuer.context(name)


async def test_a_host_has_one_context_however_many_ask(
    issuer: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued_in: list[str] = []

    def counting(*args: object) -> tuple[bytes, float]:
        issued_in.append(threading.current_thread().name)
        return issue(*args)  # type: ignore[arg-type] # passed on as they came

    monkeypatch.setattr(leaf, "issue", counting)
    made = await asyncio.gather(*(issuer.context("api.openai.com") for _ in range(20)))
    assert len(set(made)) == 1
    assert len(issued_in) == 1
    assert issued_in != [threading.main_thread().name]


async def test_a_certificate_is_renewed_before_it_expires(
    authority: Authority, issuer: Certificates, clock: VirtualClock
) -> None:
    first = await issuer.context("api.openai.com")
    clock.advance(24.9 * DAY_S)
    assert await issuer.context("api.openai.com") is first
    clock.advance(0.2 * DAY_S)
    second = await issuer.context("api.openai.com")
    assert second is not first
    left_s = handshake(authority, second, "api.openai.com").not_valid_after_utc.timestamp()
    assert left_s - clock.wall() > 29 * DAY_S


async def test_no_leaf_outlives_its_authority_and_none_is_made_at_every_use(
    issuer: Certificates, authority: Authority, clock: VirtualClock
) -> None:
    clock.advance(authority.expires_at - clock.wall() - DAY_S)
    _, expires_at = issue(authority, "api.openai.com", clock.wall())
    assert expires_at == authority.expires_at
    first = await issuer.context("api.openai.com")
    assert await issuer.context("api.openai.com") is first


async def test_the_least_used_context_goes_first(
    issuer: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "MAX_CONTEXTS", 2)
    kept = await issuer.context("a.openai.azure.com")
    dropped = await issuer.context("b.openai.azure.com")
    assert await issuer.context("a.openai.azure.com") is kept
    await issuer.context("c.openai.azure.com")
    assert await issuer.context("a.openai.azure.com") is kept
    assert await issuer.context("b.openai.azure.com") is not dropped


async def test_without_memory_files_a_temporary_one_does_and_is_gone_after(
    authority: Authority, issuer: Certificates, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delattr("os.memfd_create")
    drafts = tmp_path / "drafts"
    drafts.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(drafts))
    assert handshake(authority, await issuer.context("api.openai.com"), "api.openai.com")
    assert not list(drafts.iterdir())
