"""Upstreams behind TLS, and through parent proxies."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from fakeai_proxy.clock import SystemClock, turn
from fakeai_proxy.sources.trust import Trust
from tests.doubles.authority import Authority
from tests.doubles.connect_proxy import ConnectProxy
from tests.doubles.live_proxy import LiveProxy, live_proxy
from tests.doubles.upstream import HANG, FakeUpstream, json_reply, sse_reply

ASK = b"GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
SECRET = "hunter2"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def ask(proxy: LiveProxy, up: FakeUpstream) -> bytes:
    up.on("GET", "/v1/models", json_reply({"data": []}))
    return await proxy.exchange(ASK)


async def test_an_authority_of_the_users_own_is_trusted(authority: Authority) -> None:
    async with (
        FakeUpstream(authority.server("127.0.0.1")) as up,
        live_proxy(upstream=up.url, upstream_ca=authority.pem) as proxy,
    ):
        assert (await ask(proxy, up)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("names", "expired", "trusted", "words"),
    [
        (("127.0.0.1",), False, False, b"unable to get local issuer certificate"),
        (("localhost",), False, True, b"IP address mismatch"),
        (("127.0.0.1",), True, True, b"certificate has expired"),
    ],
)
async def test_a_bad_certificate_is_a_502_that_says_why(
    authority: Authority, names: tuple[str, ...], expired: bool, trusted: bool, words: bytes
) -> None:
    async with (
        FakeUpstream(authority.server(*names, expired=expired)) as up,
        live_proxy(upstream=up.url, upstream_ca=authority.pem if trusted else None) as proxy,
    ):
        answer = await ask(proxy, up)
        assert not up.requests
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"upstream_certificate" in answer
    assert words in answer
    assert b"\r\nx-should-retry: false\r\n" in answer


async def test_requests_that_come_together_share_what_one_of_them_made() -> None:
    trust = Trust(None, SystemClock())
    first, second = await asyncio.gather(trust.context(), trust.context())
    assert first is second is await trust.context()
    assert first.verify_mode == ssl.CERT_REQUIRED


async def test_who_goes_away_takes_nothing_from_who_waits_too() -> None:
    trust = Trust(None, SystemClock())
    leaving = asyncio.ensure_future(trust.context())
    staying = asyncio.ensure_future(trust.context())
    await turn()
    leaving.cancel()
    assert (await staying).verify_mode == ssl.CERT_REQUIRED


async def test_plain_http_where_tls_is_expected_is_a_502(authority: Authority) -> None:
    async with (
        FakeUpstream(authority.server("127.0.0.1")) as up,
        live_proxy(upstream=f"http://127.0.0.1:{up.port}") as proxy,
    ):
        answer = await ask(proxy, up)
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"upstream_unreachable" in answer


async def test_a_client_that_leaves_ends_a_request_inside_tls(authority: Authority) -> None:
    async with (
        FakeUpstream(authority.server("127.0.0.1")) as up,
        live_proxy(upstream=up.url, upstream_ca=authority.pem) as proxy,
    ):
        up.on("GET", "/", sse_reply([b"data: 1\n\n", HANG]))
        reader, writer = await proxy.connect()
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"data: 1")
        writer.transport.abort()
        await (await up.request()).gone.wait()


@pytest.mark.parametrize("proxy_tls", [False, True], ids=["http proxy", "https proxy"])
@pytest.mark.parametrize("up_tls", [False, True], ids=["http upstream", "https upstream"])
async def test_a_parent_proxy_is_used_with_its_credentials(
    authority: Authority, proxy_tls: bool, up_tls: bool
) -> None:
    tls = authority.server("127.0.0.1")
    async with (
        FakeUpstream(tls if up_tls else None) as up,
        ConnectProxy(f"us er:{SECRET}", tls if proxy_tls else None) as parent,
        live_proxy(
            upstream=up.url,
            upstream_ca=authority.pem,
            upstream_proxy=parent.url(f"us%20er:{SECRET}"),
        ) as proxy,
    ):
        assert (await ask(proxy, up)).startswith(b"HTTP/1.1 200 ")
        method = b"CONNECT " if up_tls else b"GET http://"
        assert parent.heads[0].startswith(method + b"127.0.0.1:%d" % up.port)
        assert up.requests[0].target == b"/v1/models"
        assert up.requests[0].header(b"proxy-authorization") is None


@pytest.mark.parametrize("up_tls", [False, True], ids=["http upstream", "https upstream"])
async def test_wrong_credentials_are_a_502_that_does_not_show_them(
    authority: Authority, up_tls: bool
) -> None:
    async with (
        FakeUpstream(authority.server("127.0.0.1") if up_tls else None) as up,
        ConnectProxy("user:other") as parent,
        live_proxy(upstream=up.url, upstream_proxy=parent.url(f"user:{SECRET}")) as proxy,
    ):
        answer = await ask(proxy, up)
        assert not up.requests
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"the upstream proxy refused its credentials (407)" in answer
    assert SECRET.encode() not in answer


async def test_a_dead_parent_proxy_is_a_502_that_names_it_as_the_cause() -> None:
    async with ConnectProxy() as parent:
        dead = parent.url(f"user:{SECRET}")
    async with FakeUpstream() as up, live_proxy(upstream=up.url, upstream_proxy=dead) as proxy:
        answer = await ask(proxy, up)
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"no way through the upstream proxy, connection refused" in answer
    assert SECRET.encode() not in answer


async def test_a_parent_proxy_with_a_bad_certificate_is_named(authority: Authority) -> None:
    async with (
        FakeUpstream() as up,
        ConnectProxy(tls=authority.server("127.0.0.1")) as parent,
        live_proxy(upstream=up.url, upstream_proxy=parent.url(f"user:{SECRET}")) as proxy,
    ):
        answer = await ask(proxy, up)
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"certificate of the upstream 127.0.0.1:%d was refused" % parent.port in answer
    assert SECRET.encode() not in answer
