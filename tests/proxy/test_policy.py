"""Who may go where."""

from __future__ import annotations

import base64
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.proxy.policy import (
    Policy,
    PolicySettings,
    Verdict,
    canonical_host,
    is_internal,
)


def policy(*allow_host: str, intercept: tuple[str, ...] = (), auth: str | None = None) -> Policy:
    return Policy(PolicySettings(allow_host=allow_host, intercept=intercept, proxy_auth=auth))


@pytest.mark.parametrize(
    ("entries", "host", "port", "verdict"),
    [
        ((), "api.openai.com", 443, Verdict.INTERCEPT),
        ((), "API.OpenAI.com", 8443, Verdict.INTERCEPT),
        ((), "mine.openai.azure.com", 443, Verdict.INTERCEPT),
        ((), "openai.azure.com", 443, Verdict.REFUSE),
        ((), "evil-api.openai.com", 443, Verdict.REFUSE),
        ((), "api.openai.com.evil.test", 443, Verdict.REFUSE),
        (("any",), "api.openai.com", 443, Verdict.INTERCEPT),
        (("any",), "example.com", 443, Verdict.TUNNEL),
        (("any",), "example.com", 80, Verdict.TUNNEL),
        (("any",), "example.com", 22, Verdict.REFUSE),
        (("any:22",), "example.com", 22, Verdict.TUNNEL),
        (("any:22",), "example.com", 443, Verdict.REFUSE),
        (("example.com",), "EXAMPLE.com.", 443, Verdict.TUNNEL),
        (("example.com",), "www.example.com", 443, Verdict.REFUSE),
        (("*.example.com",), "www.example.com", 443, Verdict.TUNNEL),
        (("*.example.com",), "example.com", 443, Verdict.REFUSE),
        (("*.example.com:8443",), "www.example.com", 8443, Verdict.TUNNEL),
        (("example.com:8443",), "example.com", 443, Verdict.REFUSE),
        (("::1",), "::1", 443, Verdict.TUNNEL),
        (("[::1]:8443",), "::1", 8443, Verdict.TUNNEL),
        (("2001:db8::2:1",), "2001:db8::2:1", 443, Verdict.TUNNEL),
        (("2001:db8:0::2:1",), "2001:db8::2:1", 443, Verdict.TUNNEL),
    ],
)
def test_verdicts(entries: tuple[str, ...], host: str, port: int, verdict: Verdict) -> None:
    assert policy(*entries).verdict(host, port) is verdict


def test_more_hosts_are_intercepted_on_demand() -> None:
    chosen = policy(intercept=("LLM.example", "*.models.example", "[::1]"))
    for host in ("llm.example", "a.models.example", "::1"):
        assert chosen.verdict(host, 443) is Verdict.INTERCEPT
    assert chosen.verdict("models.example", 443) is Verdict.REFUSE


def test_only_an_entry_of_its_own_names_a_host() -> None:
    chosen = policy("any", "*.example.com", "a.example.com", "db.test:5432")
    assert chosen.names("a.example.com", 443)
    assert chosen.names("db.test", 5432)
    assert not chosen.names("db.test", 443)
    assert not chosen.names("b.example.com", 443)
    assert not chosen.names("other.test", 443)


@pytest.mark.parametrize(
    "entry", ["", "*", "a b", "http://example.com", "example.com:0", "example.com:70000",
              "*.*.com", "[::1", "ex_ample..com", "any.", "*.any:x"],
)  # fmt: skip
def test_an_entry_that_is_no_host_is_told_at_start(entry: str) -> None:
    if entry == "any.":
        assert policy(entry).verdict("any", 443) is Verdict.TUNNEL  # a host of that name
        return
    with pytest.raises(ConfigError, match="allow_host: "):
        policy(entry)
    with pytest.raises(ConfigError, match="intercept: "):
        policy(intercept=(entry,))


def test_credentials_without_a_password_are_told_at_start() -> None:
    with pytest.raises(ConfigError, match="proxy_auth") as caught:
        policy(auth="geheim")
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "admitted"),
    [
        (b"Basic " + base64.b64encode(b"user:pass"), True),
        (b"bAsIc   " + base64.b64encode(b"user:pass"), True),
        (b"Basic " + base64.b64encode(b"user:wrong"), False),
        (b"Bearer " + base64.b64encode(b"user:pass"), False),
        (b"Basic user:pass", False),
        (b"Basic \xff\xfe", False),
        (b"Basic", False),
        (b"", False),
        (None, False),
    ],
)
def test_credentials(value: bytes | None, admitted: bool) -> None:
    assert policy(auth="user:pass").admits(value) is admitted
    assert policy().admits(value)


def test_an_open_relay_is_one_without_bounds_or_credentials() -> None:
    assert policy("any").is_open_relay
    assert policy("any:22").is_open_relay
    assert not policy("any", auth="u:p").is_open_relay
    assert not policy("example.com").is_open_relay


def test_a_refusal_says_what_to_start_with() -> None:
    for authority, host in (("a.test:8443", "a.test"), ("a.test", "a.test"), ("[::1]:80", "[::1]")):
        message = policy().refusal(authority).message
        assert f"--intercept {host} to" in message
        assert f"--allow-host {authority} to" in message


@given(st.ip_addresses())
def test_an_ipv4_address_is_as_internal_in_ipv6_clothes(address: IPv4Address | IPv6Address) -> None:
    if isinstance(address, IPv6Address):
        assert canonical_host(f"[{address.exploded}]") == str(address)
        return
    for prefix in ("::ffff:0:0", "64:ff9b::"):
        clothed = ip_address(int(ip_address(prefix)) | int(address))
        if is_internal(str(address)):
            assert is_internal(str(clothed))
    assert canonical_host(str(address)) == str(address)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254",
                "100.100.100.200", "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::",
                "fe80::1%lo", "fd00::1", "ff02::1", "::ffff:10.0.0.1", "2002:7f00:1::"],
)  # fmt: skip
def test_internal_addresses(address: str) -> None:
    assert is_internal(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "104.18.7.192", "2606:4700::6812:7c0"])
def test_public_addresses(address: str) -> None:
    assert not is_internal(address)


@given(st.text(max_size=300))
def test_a_canonical_host_stays_as_it_is(text: str) -> None:
    host = canonical_host(text)
    if host is not None:
        assert canonical_host(host) == host
        assert host.isascii()
