"""Limits through the program: official SDKs over real sockets, on a virtual clock."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path

import anthropic
import anyio
import httpx
import openai
import pytest

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock
from tests.conftest import Serve, serving
from tests.doubles.upstream import HANG, Answer, FakeUpstream, json_reply, sse_reply

HELLO = [{"role": "user", "content": "Hello there"}]
OWN = """
description = "A test's own"
source = "made up for a test"
"""


def toml(folder: Path, text: str) -> tuple[str, ...]:
    (folder / "own.toml").write_text(OWN + text)
    return (str(folder / "own.toml"),)


def client(app: App, retries: int = 0) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=app.url + "/v1", api_key="sk-a", max_retries=retries)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def waits(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long SDKs sleep between tries, which here is no time at all, but for the virtual clock."""
    slept: list[float] = []

    async def sleep(delay: float) -> None:
        slept.append(delay)
        clock.advance(delay)

    monkeypatch.setattr(anyio, "sleep", sleep)
    return slept


async def test_openais_sdk_succeeds_at_once_after_the_wait_it_was_told(
    serve: Serve, clock: VirtualClock, waits: list[float]
) -> None:
    app = await serve(clock=clock, limits=("openai:free",))
    async with client(app, retries=1) as sdk:
        for _ in range(6):
            await sdk.chat.completions.create(model="gpt-4o-mini", messages=HELLO)
    assert waits == [20.0, 20.0, 20.0]


async def test_openais_sdk_raises_its_rate_limit_error(serve: Serve, clock: VirtualClock) -> None:
    app = await serve(clock=clock, limits=("openai:free",))
    async with client(app) as sdk:
        for _ in range(3):
            await sdk.chat.completions.create(model="gpt-4o-mini", messages=HELLO)
        with pytest.raises(openai.RateLimitError) as caught:
            await sdk.chat.completions.create(model="gpt-4o-mini", messages=HELLO)
        error = caught.value
        assert (error.code, error.type) == ("rate_limit_exceeded", "requests")
        assert error.response.headers["retry-after-ms"] == "20000"
        assert set(error.response.json()["error"]) == {"message", "type", "param", "code"}
        clock.advance(19.9)
        with pytest.raises(openai.RateLimitError, match="try again in 100ms"):
            await sdk.chat.completions.create(model="gpt-4o-mini", messages=HELLO)
        clock.advance(0.1)
        await sdk.chat.completions.create(model="gpt-4o-mini", messages=HELLO)


async def test_every_answer_tells_how_one_stands(serve: Serve, clock: VirtualClock) -> None:
    app = await serve(clock=clock, limits=("openai:1",))
    async with client(app) as sdk:
        plain = await sdk.chat.completions.with_raw_response.create(
            model="gpt-4.1-mini", messages=HELLO, max_tokens=7
        )
        streamed = await sdk.chat.completions.with_raw_response.create(
            model="gpt-4.1-mini", messages=HELLO, max_tokens=7, stream=True
        )
        embedded = await sdk.embeddings.with_raw_response.create(
            model="text-embedding-3-small", input="Hello there"
        )
        with pytest.raises(openai.BadRequestError) as caught:
            await sdk.chat.completions.create(model="gpt-4.1-mini", messages=HELLO, n=-1)
        listed = await sdk.models.with_raw_response.list()

    def told(headers: httpx.Headers) -> list[str]:
        return [headers.get(f"x-ratelimit-{name}", "-") for name in (
            "limit-requests", "remaining-requests", "reset-requests",
            "limit-tokens", "remaining-tokens", "reset-tokens",
        )]  # fmt: skip

    assert told(plain.headers) == ["500", "499", "120ms", "200000", "199990", "3ms"]
    assert told(streamed.headers) == ["500", "498", "240ms", "200000", "199980", "6ms"]
    assert told(embedded.headers) == ["3000", "2999", "20ms", "1000000", "999997", "0s"]
    assert told(caught.value.response.headers)[:2] == ["500", "497"]
    assert told(listed.headers) == ["-"] * 6


async def test_a_key_that_is_refused_takes_nothing(serve: Serve, clock: VirtualClock) -> None:
    app = await serve(clock=clock, limits=("openai:free",))
    async with client(app).with_options(api_key="sk-invalid") as sdk:
        for _ in range(5):
            with pytest.raises(openai.AuthenticationError) as caught:
                await sdk.chat.completions.create(model="gpt-4o-mini", messages=HELLO)
    assert "x-ratelimit-limit-requests" not in caught.value.response.headers
    assert {row["remaining"] == row["limit"] for row in app.limiter.status()} == {True}


async def test_pages_of_ours_and_lists_are_never_limited(serve: Serve, clock: VirtualClock) -> None:
    app = await serve(clock=clock, limits=("openai:free",))
    async with httpx.AsyncClient(headers={"authorization": "Bearer sk-a"}) as http:
        for path in ("/_fakeai/health", "/v1/models"):
            seen = {(await http.get(app.url + path)).status_code for _ in range(10)}
            assert seen == {200}
        for path in ("/health", "/metrics"):
            seen = {(await http.get(app.url + path)).status_code for _ in range(10)}
            assert 429 not in seen


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as up:
        yield up


def message(read: int, written: int, cached: int = 0) -> dict[str, object]:
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-6",
        "content": [{"type": "text", "text": "Hello"}], "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": read, "cache_creation_input_tokens": 0,
                  "cache_read_input_tokens": cached, "output_tokens": written},
    }  # fmt: skip


async def test_anthropics_sdk_obeys_too_and_what_the_upstream_says_is_replaced(
    serve: Serve, clock: VirtualClock, waits: list[float], upstream: FakeUpstream
) -> None:
    theirs = {"anthropic-ratelimit-requests-remaining": "7", "x-served-by": "upstream"}
    upstream.on("POST", "/v1/messages", json_reply(message(9, 3), headers=theirs))
    app = await serve(clock=clock, mode="pass", upstream=upstream.url, limits=("anthropic:1",))
    async with anthropic.AsyncAnthropic(base_url=app.url, api_key="k", max_retries=1) as sdk:
        ask = sdk.messages.with_raw_response.create
        for k in range(51):
            reply = await ask(model="claude-sonnet-4-6", max_tokens=16_000, messages=HELLO)
            assert reply.headers["anthropic-ratelimit-requests-remaining"] == str(max(0, 49 - k))
        assert reply.headers["x-served-by"] == "upstream"
        assert waits == [2.0]
        with pytest.raises(anthropic.RateLimitError) as caught:
            await sdk.with_options(max_retries=0).messages.create(
                model="claude-sonnet-4-6", max_tokens=16_000, messages=HELLO
            )
    body = caught.value.response.json()
    assert body["type"] == "error"
    assert body["error"]["type"] == "rate_limit_error"
    assert "of 50 requests per minute (org: " in body["error"]["message"]


@pytest.mark.parametrize(
    ("dialect", "path", "keys"),
    [
        ("auto", "/v1/chat/completions", {"message", "type", "param", "code"}),
        ("auto", "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
         {"code", "message"}),
        ("vllm", "/v1/chat/completions", {"message", "type", "param", "code"}),
    ],
)  # fmt: skip
async def test_a_refusal_is_wrapped_as_its_vendor_does(
    serve: Serve, tmp_path: Path, dialect: str, path: str, keys: set[str]
) -> None:
    own = toml(tmp_path, "[[limit]]\nrpd = 1\n")
    app = await serve(limits=own, dialect=dialect)
    headers = {"authorization": "Bearer k", "api-key": "k"}
    async with httpx.AsyncClient(headers=headers) as http:
        body = {"model": "gpt-4o", "messages": HELLO}
        replies = [await http.post(app.url + path, json=body) for _ in range(2)]
    assert [reply.status_code for reply in replies] == [200, 429]
    assert set(replies[1].json()["error"]) == keys
    assert len(replies[1].headers.get_list("date")) == 1


def left(app: App, amount: str) -> object:
    return next(row["remaining"] for row in app.limiter.status() if row["amount"] == amount)


@pytest.mark.parametrize("streamed", [False, True])
async def test_what_an_upstream_says_it_cost_is_settled_without_cached_tokens(
    serve: Serve, clock: VirtualClock, upstream: FakeUpstream, streamed: bool
) -> None:
    start = {"type": "message_start", "message": message(1_000, 1, cached=20_000)}
    end = {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 4_321}}
    pieces = [b"data: " + json.dumps(one).encode() + b"\n\n" for one in (start, end)]
    whole = json_reply(message(1_000, 4_321, cached=20_000))
    upstream.on("POST", "/v1/messages", sse_reply(pieces) if streamed else whole)
    app = await serve(clock=clock, mode="pass", upstream=upstream.url, limits=("anthropic:1",))
    async with httpx.AsyncClient() as http:
        body = {"model": "claude-sonnet-4-6", "max_tokens": 64_000, "messages": HELLO}
        await http.post(app.url + "/v1/messages", json=body, headers={"x-api-key": "k"})
    assert (left(app, "itpm"), left(app, "otpm")) == (29_000, 3_679)


async def test_true_up_gives_back_what_was_estimated_too_high(
    serve: Serve, clock: VirtualClock
) -> None:
    async def cost(**settings: object) -> int:
        async with serving(clock, limits=("openai:1",), **settings) as app:
            async with client(app) as sdk:
                reply = await sdk.chat.completions.create(
                    model="gpt-4.1-mini", messages=HELLO, max_tokens=9_000, stop=["."]
                )
            assert reply.usage is not None
            actual = reply.usage.total_tokens
            used = 200_000 - int(str(left(app, "tpm")))
            return used if used != actual else -1

    assert await cost() == 9_003
    assert await cost(limit_charge="max_tokens") == 9_000
    assert await cost(limit_charge="input") == -1
    assert await cost(limit_charge="actual") == -1
    assert await cost(limit_true_up="on") == -1
    assert await cost(limit_charge="input", limit_true_up="off") == -1


async def test_money_is_counted_as_it_is_spent(
    serve: Serve, clock: VirtualClock, tmp_path: Path
) -> None:
    own = toml(
        tmp_path,
        "[[limit]]\nusd_per_month = 0.01\n[[price]]\nmodel = 'gpt-*'\ninput_usd = 500\noutput_usd = 50\n",
    )
    app = await serve(clock=clock, limits=own)
    async with client(app) as sdk:
        reply = await sdk.chat.completions.create(model="gpt-4o", messages=HELLO, max_tokens=9)
        assert reply.usage is not None
        spent = (reply.usage.prompt_tokens * 500 + reply.usage.completion_tokens * 50) / 1e6
        rules = app.limiter.rules_for("openai")
        assert rules is not None
        (ledger,) = rules.ledgers()
        told = ledger.quotas[0].meter.standing(ledger.state, 0, clock.now())
        assert told.used == pytest.approx(spent)
        while spent < 0.01:
            await sdk.chat.completions.create(model="gpt-4o", messages=HELLO, max_tokens=9)
            spent += told.used
        with pytest.raises(openai.RateLimitError) as caught:
            await sdk.chat.completions.create(model="gpt-4o", messages=HELLO, max_tokens=9)
        assert caught.value.code == "insufficient_quota"


async def test_a_compressed_body_counts_by_what_is_in_it(serve: Serve, clock: VirtualClock) -> None:
    app = await serve(clock=clock, limits=("openai:1",))
    body = gzip.compress(json.dumps(
        {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "x" * 4000}]}
    ).encode())  # fmt: skip
    headers = {"content-encoding": "gzip", "authorization": "Bearer k",
               "content-type": "application/json"}  # fmt: skip
    async with httpx.AsyncClient() as http:
        reply = await http.post(app.url + "/v1/chat/completions", content=body, headers=headers)
    assert reply.headers["x-ratelimit-remaining-tokens"] == str(200_000 - 1_016)


async def test_a_client_that_goes_gives_its_place_back(
    serve: Serve, clock: VirtualClock, upstream: FakeUpstream, tmp_path: Path
) -> None:
    upstream.on("POST", "/v1/chat/completions", Answer(steps=[b"{", HANG], length=9))
    own = toml(tmp_path, "[[limit]]\nconcurrent = 1\n")
    app = await serve(clock=clock, mode="pass", upstream=upstream.url, limits=own)
    async with httpx.AsyncClient(timeout=None) as http:
        ask = {"url": app.url + "/v1/chat/completions", "json": {"model": "m", "messages": []}}
        first = asyncio.create_task(http.post(**ask))  # type: ignore[arg-type] # keyword by keyword
        await (await upstream.request()).answering.wait()
        assert (await http.post(**ask)).status_code == 429  # type: ignore[arg-type] # as above
        first.cancel()
        while left(app, "concurrent") == 0:
            await asyncio.wait([first], timeout=0.01)
    assert left(app, "concurrent") == 1


async def test_a_replayed_answer_is_limited_and_tells_our_limits(
    serve: Serve, clock: VirtualClock, upstream: FakeUpstream, tmp_path: Path
) -> None:
    theirs = {"x-ratelimit-remaining-requests": "12345", "x-ratelimit-limit-project-tokens": "1"}
    upstream.on("POST", "/v1/chat/completions", json_reply({"id": "1"}, headers=theirs))
    place = (str(tmp_path / "a.fcz"),)
    body = {"model": "gpt-4o", "messages": HELLO}
    path = "/v1/chat/completions"
    own = toml(tmp_path, "[[limit]]\nrpm = 2\n")
    async with httpx.AsyncClient(headers={"authorization": "Bearer sk-a"}) as http:
        async with serving(
            clock, mode="record", cassette=place, upstream=upstream.url, limits=own
        ) as app:
            recorded = await http.post(app.url + path, json=body)
        assert recorded.headers["x-ratelimit-remaining-requests"] == "1"
        async with serving(clock, mode="replay", cassette=place) as app:
            assert (await http.post(app.url + path, json=body)).headers[
                "x-ratelimit-remaining-requests"
            ] == "12345"
        async with serving(clock, mode="replay", cassette=place, limits=own) as app:
            replies = [await http.post(app.url + path, json=body) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert [reply.headers["x-ratelimit-remaining-requests"] for reply in replies] == ["1", "0", "0"]
    assert "x-ratelimit-limit-project-tokens" not in replies[0].headers


async def test_limits_are_replaced_while_the_program_runs(
    serve: Serve, clock: VirtualClock
) -> None:
    app = await serve(clock=clock)
    async with client(app) as sdk:
        ask = sdk.chat.completions.with_raw_response.create
        reply = await ask(model="gpt-4o-mini", messages=HELLO)
        assert "x-ratelimit-limit-requests" not in reply.headers
        app.limiter.use(["openai:3"])
        reply = await ask(model="gpt-4o-mini", messages=HELLO)
        assert reply.headers["x-ratelimit-limit-requests"] == "5000"
        app.limiter.exhaust("sk-a")
        with pytest.raises(openai.RateLimitError, match="exceeded your current quota"):
            await ask(model="gpt-4o-mini", messages=HELLO)
        app.limiter.restore("sk-a")
        app.limiter.use([])
        reply = await ask(model="gpt-4o-mini", messages=HELLO)
        assert "x-ratelimit-limit-requests" not in reply.headers


async def test_a_long_body_is_read_once_and_counted_whole(
    serve: Serve, clock: VirtualClock
) -> None:
    app = await serve(clock=clock, limits=("openai:5",))
    content = "light " * 20_000
    async with client(app) as sdk:
        reply = await sdk.chat.completions.with_raw_response.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": content}], max_tokens=1
        )
    assert reply.headers["x-ratelimit-remaining-tokens"] == str(150_000_000 - 30_001)


async def test_what_is_wrong_with_a_body_is_still_said(serve: Serve, clock: VirtualClock) -> None:
    app = await serve(clock=clock, limits=("openai:1",))
    deep = b'{"model": "gpt-4o", "x": ' + b"[" * 300 + b"]" * 300 + b"}"
    headers = {"authorization": "Bearer sk-a", "content-type": "application/json"}
    async with httpx.AsyncClient(headers=headers) as http:
        url = app.url + "/v1/chat/completions"
        for content, said in (
            (b"{nonsense", "could not parse"),
            (b"", "must provide a model"),
            (b"[1]", "could not parse"),
            (deep, "nested at most"),
            (b'{"model": 3}', "Missing required parameter: 'messages'"),
        ):
            reply = await http.post(url, content=content)
            assert (reply.status_code, said in reply.text) == (400, True), reply.text
