"""Requests through the real gateway to an upstream of the tests' own, compared on the wire."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import tracemalloc
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import aiohttp
import brotli
import pytest
import zstandard

from fakeai_proxy import errors
from fakeai_proxy.body import Body
from fakeai_proxy.clock import SystemClock, turn
from fakeai_proxy.errors import ApiError, ConfigError, StreamCut
from fakeai_proxy.exchange import Exchange, Request
from fakeai_proxy.proxy.policy import PolicySettings
from fakeai_proxy.sources.destination import below
from fakeai_proxy.sources.trust import tls_context
from fakeai_proxy.sources.upstream import HOPS, Upstream, UpstreamSettings
from tests.doubles.live_proxy import live_proxy
from tests.doubles.upstream import (
    CLOSE,
    CUT,
    HANG,
    Answer,
    FakeUpstream,
    bytes_reply,
    json_reply,
    sse_reply,
)


def lines_without_hops(head: bytes) -> list[bytes]:
    return [line for line in head.split(b"\r\n") if not line.startswith(HOPS)]


async def test_a_request_reaches_the_upstream_as_it_was_sent() -> None:
    async with FakeUpstream() as up, live_proxy(upstream=up.url) as proxy:
        up.on("GET", "*", json_reply({}))
        await proxy.exchange(
            b"GET //a/../b%2Fc?x|y&z=%7e? HTTP/1.1\r\n"
            b"accept: */*\r\n"
            b"Host: somewhere\r\n"
            b"X-Twice: 1\r\n"
            b"aUTHORIZATION: Bearer sk-1\r\n"
            b"x-twice: 2\r\n"
            b"X-Name: \xc3\xa9t\xc3\xa9\r\n"
            b"Accept-Encoding: gzip, br\r\n"
            b"X-Mine: gone\r\n"
            b"Connection: close, x-mine\r\n"
            b"Proxy-Authorization: Basic eDp5\r\n\r\n"
        )
        assert lines_without_hops(up.requests[0].head) == [
            b"GET //a/../b%2Fc?x|y&z=%7e? HTTP/1.1",
            b"accept: */*",
            b"Host: 127.0.0.1:%d" % up.port,
            b"X-Twice: 1",
            b"aUTHORIZATION: Bearer sk-1",
            b"x-twice: 2",
            b"X-Name: \xc3\xa9t\xc3\xa9",
            b"Accept-Encoding: gzip, br",
            b"",
            b"",
        ]


@pytest.mark.parametrize("target", [b"/v1/models?", b"/v1/models#x?y", b"/%"])
async def test_odd_targets_stay_as_they_are(target: bytes) -> None:
    async with FakeUpstream() as up, live_proxy(upstream=up.url) as proxy:
        up.on("GET", "*", json_reply({}))
        await proxy.exchange(b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % target)
        assert up.requests[0].target == target


async def test_a_reply_comes_back_as_the_upstream_sent_it() -> None:
    head = [
        (b"X-B", b"2"),
        (b"set-cookie", b"a=1; Path=/"),
        (b"Set-Cookie", b"b=2"),
        (b"X-Odd", b"caf\xe9 \xff"),
        (b"Content-Type", b"application/json"),
        (b"X-A", b"1"),
    ]
    async with FakeUpstream() as up, live_proxy(upstream=up.url) as proxy:
        up.on("POST", "/v1/x", Answer(202, head, [b'{"a": 1}'], reason=b"Tr\xe8s bien"))
        answer = await proxy.exchange(
            b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
        )
    assert answer.split(b"\r\n") == [
        b"HTTP/1.1 202 Tr\xe8s bien",
        *[b"%b: %b" % pair for pair in head],
        b"Content-Length: 8",
        b"Connection: close",
        b"",
        b'{"a": 1}',
    ]


async def test_pieces_go_on_as_they_come_and_are_stamped() -> None:
    gates = [asyncio.Event() for _ in range(3)]
    pieces = [b'data: {"n": %d}\n\n' % n for n in range(4)]
    async with FakeUpstream() as up, live_proxy(upstream=up.url) as proxy:
        steps = [pieces[0], gates[0], pieces[1], gates[1], pieces[2], gates[2], pieces[3]]
        up.on("POST", "/v1/chat/completions", sse_reply(steps))
        reader, writer = await proxy.connect()
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
        )
        await reader.readuntil(b"\r\n\r\n")
        for index, piece in enumerate(pieces):
            size = int(await reader.readuntil(b"\r\n"), 16)
            assert await reader.readexactly(size + 2) == piece + b"\r\n"
            if index < len(gates):
                gates[index].set()
        assert await reader.readexactly(5) == b"0\r\n\r\n"
        writer.close()
        exchange = proxy.ended[0]
    assert exchange.end == "ok"
    assert exchange.reply is not None
    assert exchange.reply.provenance == "LIVE"
    assert exchange.reply.head_age_s is not None
    assert exchange.dice_key


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        (b"gzip", gzip.compress(b'{"a": 1}' * 50, mtime=0)),
        (b"br", brotli.compress(b'{"a": 1}' * 50)),
        (b"zstd", zstandard.compress(b'{"a": 1}' * 50)),
    ],
)
async def test_compressed_bodies_stay_compressed(coding: bytes, body: bytes) -> None:
    async with FakeUpstream() as up, live_proxy(upstream=up.url) as proxy:
        up.on("GET", "/v1/x", bytes_reply(body, [(b"Content-Encoding", coding)]))
        answer = await proxy.exchange(b"GET /v1/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.partition(b"\r\n\r\n")[2] == body


async def test_a_429_stays_a_429_with_its_headers() -> None:
    async with FakeUpstream() as up, live_proxy(upstream=up.url) as proxy:
        limits = {"Retry-After": "7", "x-ratelimit-remaining-tokens": "0"}
        body = {"error": {"message": "slow", "type": "tokens", "code": "rate_limit_exceeded"}}
        up.on("POST", "/v1/chat/completions", json_reply(body, 429, limits))
        async with (
            aiohttp.ClientSession() as session,
            session.post(proxy.url + "/v1/chat/completions", json={}) as answer,
        ):
            assert answer.status == 429
            assert answer.headers["Retry-After"] == "7"
            assert answer.headers["x-ratelimit-remaining-tokens"] == "0"
            assert await answer.json() == body


async def test_replies_without_a_body_end_at_their_head() -> None:
    async with FakeUpstream() as up, live_proxy(upstream=up.url) as proxy:
        up.on("HEAD", "/h", Answer(200, [(b"Content-Length", b"1234")], framing="none"))
        up.on("DELETE", "/d", Answer(204, framing="none"))
        up.on("GET", "/n", Answer(304, [(b"ETag", b'"x"')], framing="none"))
        reader, writer = await proxy.connect()
        heads = []
        for line in (b"HEAD /h", b"DELETE /d", b"GET /n"):
            writer.write(line + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()
        assert b"Content-Length: 1234\r\n" in heads[0]
        assert heads[1].startswith(b"HTTP/1.1 204 ")
        assert heads[2].startswith(b"HTTP/1.1 304 ")
        assert all(b"ransfer-" not in head for head in heads)
        assert up.requests[1].header(b"content-length") is None
        assert {seen.connection for seen in up.requests} == {1}, "one connection is kept alive"


async def test_requests_run_side_by_side() -> None:
    gate = asyncio.Event()
    async with FakeUpstream() as up, live_proxy(upstream=up.url) as proxy:
        up.on("GET", "/slow", sse_reply([gate, b"slow"]))
        up.on("GET", "/fast", bytes_reply(b"fast"))
        async with aiohttp.ClientSession() as session:
            slow = asyncio.create_task(session.get(proxy.url + "/slow"))
            await up.request(0)
            async with session.get(proxy.url + "/fast") as answer:
                assert await answer.read() == b"fast"
            gate.set()
            async with await slow as answer:
                assert await answer.read() == b"slow"


async def test_100_mb_are_streamed_up_without_being_held() -> None:
    block, count = bytes(range(256)) * 4096, 100
    digest = hashlib.sha256()

    async def blocks() -> AsyncIterator[bytes]:
        for _ in range(count):
            digest.update(block)
            yield block

    async with FakeUpstream() as up, live_proxy(upstream=up.url) as proxy:
        up.on("POST", "/v1/files", json_reply({"id": "file-1"}))
        tracemalloc.start()
        async with (
            aiohttp.ClientSession() as session,
            session.post(proxy.url + "/v1/files", data=blocks()) as answer,
        ):
            assert answer.status == 200
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        seen = up.requests[0]
        assert (seen.size, seen.chunked) == (count * len(block), True)
        assert seen.sha256 == digest.hexdigest()
        assert peak_bytes < 20 << 20


async def test_a_declared_length_is_kept_and_expect_is_answered_here() -> None:
    async with FakeUpstream() as up, live_proxy(upstream=up.url) as proxy:
        up.on("POST", "/v1/x", json_reply({}))
        reader, writer = await proxy.connect()
        writer.write(
            b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n"
            b"Connection: close\r\n\r\n"
        )
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hello")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        writer.close()
        seen = up.requests[0]
        assert (seen.body, seen.header(b"content-length")) == (b"hello", b"5")
        assert seen.header(b"expect") is None
        assert seen.header(b"transfer-encoding") is None


async def test_a_client_that_leaves_ends_the_upstream_request() -> None:
    async with FakeUpstream() as up, live_proxy(upstream=up.url) as proxy:
        up.on("GET", "/thinking", Answer(steps=[HANG], framing="chunked"))
        up.on("GET", "/streaming", sse_reply([b"data: 1\n\n", HANG]))
        for index, (target, sign) in enumerate(
            [(b"/thinking", b"HTTP/1.1"), (b"/streaming", b"data: 1")]
        ):
            reader, writer = await proxy.connect()
            writer.write(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % target)
            seen = await up.request(index)
            await reader.readuntil(sign)
            writer.transport.abort()
            await seen.gone.wait()


async def test_a_client_that_leaves_before_the_head_ends_the_upstream_request() -> None:
    async with FakeUpstream() as up, live_proxy(upstream=up.url) as proxy:
        up.on("GET", "/thinking", Answer(steps=[HANG], framing="raw"))
        _, writer = await proxy.connect()
        writer.write(b"GET /thinking HTTP/1.1\r\nHost: x\r\n\r\n")
        seen = await up.request()
        writer.transport.abort()
        await seen.gone.wait()


async def test_a_client_that_leaves_in_its_upload_ends_the_upstream_request() -> None:
    async with FakeUpstream() as up, live_proxy(upstream=up.url) as proxy:
        _, writer = await proxy.connect()
        writer.write(b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nhello")
        seen = await up.request()
        writer.transport.abort()
        await seen.gone.wait()
        assert not seen.whole.is_set()


@pytest.mark.parametrize("length", [None, 100])
async def test_a_body_that_fails_on_the_clients_side_is_no_failure_of_the_upstream(
    length: int | None,
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"hello"
        raise errors.bad_request("the body is broken off")

    async with FakeUpstream() as up:
        upstream = Upstream(UpstreamSettings(upstream=up.url), SystemClock())
        headers = () if length is None else ((b"Content-Length", b"%d" % length),)
        request = Request("POST", "/v1/x", headers, Body(broken(), length))
        with pytest.raises(ApiError, match="broken off"):
            await upstream.reply(Exchange("1", request, 0.0))
        await upstream.close()
        seen = await up.request()
        await seen.gone.wait()
        assert not seen.whole.is_set()


async def test_a_reply_that_nobody_reads_is_given_back() -> None:
    async with FakeUpstream() as up:
        up.on("GET", "/", sse_reply([b"data: 1\n\n", HANG]))
        upstream = Upstream(UpstreamSettings(upstream=up.url), SystemClock())
        reply = await upstream.reply(Exchange("1", Request("GET", "/", (), Body()), 0.0))
        assert isinstance(reply.chunks, AsyncGenerator)
        await reply.chunks.aclose()
        await (await up.request()).gone.wait()
        await upstream.close()


async def test_an_answer_before_the_end_of_the_upload_is_passed_on() -> None:
    async with FakeUpstream() as up, live_proxy(upstream=up.url) as proxy:
        refusal = json_reply({"error": {"message": "too large"}}, 413)
        refusal.early = True
        up.on("POST", "/v1/files", refusal)
        reader, writer = await proxy.connect()
        writer.write(b"POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\nhello")
        assert (await reader.readuntil(b"}}")).startswith(b"HTTP/1.1 413 ")
        writer.close()


async def test_a_small_body_in_chunks_goes_on_in_chunks() -> None:
    async with FakeUpstream() as up, live_proxy(upstream=up.url) as proxy:
        up.on("POST", "/v1/files", json_reply({"id": "file-1"}))
        answer = await proxy.exchange(
            b"POST /v1/files HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        )
        assert answer.startswith(b"HTTP/1.1 200")
        assert (up.requests[0].body, up.requests[0].chunked) == (b"abcde", True)


@pytest.mark.parametrize("framing", ["chunked", "length"])
async def test_a_reply_cut_upstream_is_cut_here_after_its_last_byte(framing: str) -> None:
    pieces = [b"data: %d\n\n" % n for n in range(3)]
    async with FakeUpstream() as up, live_proxy(upstream=up.url) as proxy:
        up.on("GET", "/c", Answer(steps=[*pieces, CLOSE], framing=framing, length=1000))
        answer = await proxy.exchange(b"GET /c HTTP/1.1\r\nHost: x\r\n\r\n")
        body = answer.partition(b"\r\n\r\n")[2]
        assert b"".join(body.split(b"\r\n")[1::2] if framing == "chunked" else [body]) == b"".join(
            pieces
        )
        assert not body.endswith(b"0\r\n\r\n")
        assert proxy.ended[0].end == "cut"


async def test_what_came_before_a_cut_reaches_a_slow_reader_too() -> None:
    gate = asyncio.Event()
    async with FakeUpstream() as up:
        up.on("GET", "/", Answer(steps=[b"one", gate, b"two", b"three", CLOSE], length=1000))
        upstream = Upstream(UpstreamSettings(upstream=up.url), SystemClock())
        reply = await upstream.reply(Exchange("1", Request("GET", "/", (), Body()), 0.0))
        assert isinstance(reply.chunks, AsyncGenerator)
        assert (await anext(reply.chunks)).data == b"one"
        gate.set()
        while reply.chunks._response.content.exception() is None:  # type: ignore[attr-defined]  # the end arrives unread
            await turn()
        assert (await anext(reply.chunks)).data == b"twothree"
        with pytest.raises(StreamCut):
            await anext(reply.chunks)
        await upstream.close()


async def test_redirects_and_cookies_are_the_clients_business() -> None:
    async with FakeUpstream() as up, live_proxy(upstream=up.url) as proxy:
        moved = [(b"Location", b"/v1/models"), (b"Set-Cookie", b"session=1; Path=/")]
        up.on("GET", "/old", Answer(307, moved))
        up.on("GET", "/v1/models", json_reply({}))
        answer = await proxy.exchange(b"GET /old HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 307 ")
        await proxy.exchange(b"GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert [seen.target for seen in up.requests] == [b"/old", b"/v1/models"]
        assert up.requests[1].header(b"cookie") is None


async def test_large_headers_pass() -> None:
    async with FakeUpstream() as up, live_proxy(upstream=up.url) as proxy:
        up.on("GET", "/", Answer(200, [(b"X-Large", b"x" * 100_000), *[(b"X-Many", b"y")] * 300]))
        answer = await proxy.exchange(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b"x" * 100_000 in answer
    assert answer.count(b"X-Many: y\r\n") == 300


async def test_a_body_that_ends_with_its_connection_is_whole() -> None:
    async with FakeUpstream() as up, live_proxy(upstream=up.url) as proxy:
        up.on("GET", "/", Answer(steps=[b"HTTP/1.0 200 OK\r\n\r\n", b"all", CLOSE], framing="raw"))
        answer = await proxy.exchange(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert answer.endswith(b"\r\n\r\n3\r\nall\r\n0\r\n\r\n")
        assert proxy.ended[0].end == "ok"


async def test_the_proxys_own_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with FakeUpstream() as up, live_proxy(upstream=up.url) as proxy:
        up.on("GET", "/", json_reply({}))
        answer = await proxy.exchange(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_target_without_a_path_is_a_400() -> None:
    async with FakeUpstream() as up, live_proxy(upstream=up.url) as proxy:
        answer = await proxy.exchange(b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert not up.requests


async def test_errors_come_in_the_envelope_of_the_vendor() -> None:
    async with FakeUpstream() as gone:
        dead = gone.url
    async with live_proxy(upstream=dead) as proxy, aiohttp.ClientSession() as session:
        async with session.post(proxy.url + "/v1/chat/completions", json={}) as answer:
            assert answer.status == 502
            error = (await answer.json())["error"]
            assert error["code"] == "upstream_unreachable"
            assert "connection refused" in error["message"]
        async with session.post(proxy.url + "/v1/messages", json={}) as answer:
            assert answer.status == 502
            body = await answer.json()
            assert (body["type"], body["error"]["type"]) == ("error", "api_error")
            assert body["request_id"] == answer.headers["request-id"]


async def failing(proxy_url: str, target: str = "/v1/models") -> tuple[int, dict[str, str]]:
    async with aiohttp.ClientSession() as session, session.get(proxy_url + target) as answer:
        return answer.status, (await answer.json())["error"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(steps=[CUT], framing="raw"), "without an answer"),
        (Answer(steps=[CLOSE], framing="raw"), "without an answer"),
        (Answer(steps=[b"SSH-2.0-OpenSSH\r\n\r\n", CLOSE], framing="raw"), "not HTTP"),
    ],
)
async def test_an_upstream_that_breaks_off_before_its_head_is_a_502(
    answer: Answer, words: str
) -> None:
    async with FakeUpstream() as up, live_proxy(upstream=up.url) as proxy:
        up.on("GET", "*", answer)
        status, error = await failing(proxy.url)
    assert (status, error["code"]) == (502, "upstream_unreachable")
    assert words in error["message"]


async def test_a_name_that_does_not_resolve_is_a_502() -> None:
    async with live_proxy(upstream="http://nowhere.invalid") as proxy:
        status, error = await failing(proxy.url)
    assert (status, error["code"]) == (502, "upstream_unreachable")
    assert "nowhere.invalid" in error["message"]
    assert "could not be resolved" in error["message"]


async def test_a_silent_upstream_is_a_504() -> None:
    async with (
        FakeUpstream() as up,
        live_proxy(upstream=up.url, upstream_read_timeout=0.05) as proxy,
    ):
        up.on("GET", "*", Answer(steps=[HANG], framing="raw"))
        status, error = await failing(proxy.url)
    assert (status, error["code"]) == (504, "upstream_timeout")
    assert "--upstream-read-timeout" in error["message"]


async def test_a_stream_that_falls_silent_is_cut() -> None:
    async with (
        FakeUpstream() as up,
        live_proxy(upstream=up.url, upstream_read_timeout=0.05) as proxy,
    ):
        up.on("GET", "*", sse_reply([b"data: 1\n\n", HANG]))
        answer = await proxy.exchange(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer.endswith(b"9\r\ndata: 1\n\n\r\n")
        assert proxy.ended[0].end == "cut"


async def test_an_upstream_that_never_finishes_the_handshake_is_a_504() -> None:
    async with (
        FakeUpstream() as up,  # speaks no TLS and waits for a request head
        live_proxy(upstream=f"https://127.0.0.1:{up.port}", upstream_connect_timeout=0.05) as proxy,
    ):
        status, error = await failing(proxy.url)
    assert (status, error["code"]) == (504, "upstream_timeout")
    assert "--upstream-connect-timeout" in error["message"]


async def test_no_upstream_at_all_is_said() -> None:
    async with live_proxy() as proxy:
        status, error = await failing(proxy.url)
    assert (status, error["code"]) == (502, "no_upstream")


async def test_absolute_form_goes_to_the_host_it_names() -> None:
    async with FakeUpstream() as up, FakeUpstream() as other:
        policy = PolicySettings(intercept=("127.0.0.1",))
        async with live_proxy(policy, upstream=other.url) as proxy:
            up.on("GET", "/v1/models?a=1", json_reply({"data": []}))
            answer = await proxy.exchange(
                b"GET http://127.0.0.1:%d/v1/models?a=1 HTTP/1.1\r\nHost: elsewhere\r\n"
                b"Connection: close\r\n\r\n" % up.port
            )
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert up.requests[0].header(b"host") == b"127.0.0.1:%d" % up.port
        assert not other.requests


@pytest.mark.parametrize(
    ("prefix", "target", "joined"),
    [
        ("/", "/v1/models", "/v1/models"),
        ("", "//odd", "//odd"),
        ("/v1", "/v1/models", "/v1/models"),
        ("/v1/", "/v1", "/v1"),
        ("/v1", "/v1?x=1", "/v1?x=1"),
        ("/v1", "/models", "/v1/models"),
        ("/v1", "/v1beta/models", "/v1/v1beta/models"),
        ("/api/v1", "/v1/models", "/api/v1/v1/models"),
    ],
)
def test_a_path_of_the_upstream_is_not_doubled(prefix: str, target: str, joined: str) -> None:
    assert below(prefix, target) == joined


async def test_a_loop_is_noticed() -> None:
    async with live_proxy(upstream="self") as proxy:
        status, error = await failing(proxy.url)
        # Twice through: the second time it sees its own name.
        assert (status, error["code"], len(proxy.ended)) == (508, "upstream_loop", 2)


async def test_hops_of_other_proxies_are_kept() -> None:
    async with FakeUpstream() as up, live_proxy(upstream=up.url) as proxy:
        up.on("GET", "*", json_reply({}))
        await proxy.exchange(
            b"GET / HTTP/1.1\r\nHost: x\r\n%b: other\r\nX-Fakeai-Session: mine\r\n"
            b"Connection: close\r\n\r\n" % HOPS
        )
        assert up.requests[0].header(b"x-fakeai-session") is None  # said to us
        hops = up.requests[0].header(HOPS)
        assert hops is not None
        assert hops.startswith(b"other, ")


@pytest.mark.parametrize(
    "settings",
    [
        {"upstream": "api.openai.com"},
        {"upstream": "ftp://x"},
        {"upstream": "https://user:pass@host"},
        {"upstream": "https://host/v1?x=1"},
        {"upstream_proxy": "socks5://127.0.0.1:1"},
        {"upstream_read_timeout": 0},
        {"upstream_connect_timeout": float("inf")},
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="upstream"):
        UpstreamSettings.model_validate(settings)


def test_a_file_without_certificates_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    for path in (empty, tmp_path / "absent.pem"):
        with pytest.raises(ConfigError, match="upstream_ca"):
            tls_context(path)


def test_the_credentials_of_the_parent_proxy_are_not_shown() -> None:
    settings = UpstreamSettings(upstream_proxy="http://user:hunter2@proxy:3128")  # type: ignore[arg-type]  # pydantic converts
    assert "hunter2" not in repr(settings)
