"""What each mode asks its upstream for, through the SDKs on the base URL, in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import anthropic
import httpx
import openai
import pytest
from openai import AsyncOpenAI

from fakeai_proxy.app import App
from tests.conftest import Ended, Serve, serving
from tests.doubles.upstream import HANG, Answer, FakeUpstream, json_reply, sse_reply

CHAT = "/v1/chat/completions"


def chat(text: str) -> Answer:
    """An answer of the chat API that says `text`."""
    message = {"role": "assistant", "content": text}
    return json_reply(
        {
            "id": "chatcmpl-upstream", "object": "chat.completion", "created": 1_750_000_000,
            "model": "gpt-4o",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        }
    )  # fmt: skip


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as made:
        made.on("POST", CHAT, chat("from upstream"))
        yield made


@pytest.fixture
def cassette(tmp_path: Path) -> str:
    return str(tmp_path / "modes.fcz")


async def ask(app: App, question: str) -> str:
    async with AsyncOpenAI(base_url=f"{app.url}/v1", api_key="sk-test", max_retries=0) as client:
        answer = await client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": question}], max_tokens=16
        )
    return answer.choices[0].message.content or ""


async def record(upstream: FakeUpstream, cassette: str, *questions: str) -> None:
    async with serving(mode="record", cassette=(cassette,), upstream=upstream.url) as app:
        for question in questions:
            assert await ask(app, question) == "from upstream"
    upstream.requests.clear()


async def test_hybrid_synthesizes_what_the_cassette_lacks(
    serve: Serve, upstream: FakeUpstream, cassette: str
) -> None:
    await record(upstream, cassette, "known")
    app = await serve(mode="hybrid", cassette=(cassette,))
    assert await ask(app, "known") == "from upstream"
    assert await ask(app, "unknown") not in ("", "from upstream")
    assert not upstream.requests


async def test_auto_asks_its_upstream_once_for_each_new_request(
    serve: Serve, upstream: FakeUpstream, cassette: str
) -> None:
    await record(upstream, cassette, "known")
    app = await serve(mode="auto", cassette=(cassette,), upstream=upstream.url)
    for question in ("known", "fresh", "fresh", "fresh"):
        assert await ask(app, question) == "from upstream"
    assert len(upstream.requests) == 1


async def test_pass_always_asks_its_upstream(serve: Serve, upstream: FakeUpstream) -> None:
    app = await serve(mode="pass", upstream=upstream.url)
    for _ in range(3):
        assert await ask(app, "again") == "from upstream"
    assert len(upstream.requests) == 3


async def test_a_429_is_recorded_and_replayed_as_one(upstream: FakeUpstream, cassette: str) -> None:
    error = {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}
    limits = {"retry-after-ms": "1500", "x-ratelimit-remaining-requests": "0"}
    upstream.on("POST", CHAT, json_reply({"error": error}, 429, limits))
    seen = []
    for mode in ("record", "replay"):
        async with serving(
            mode=mode, cassette=(cassette,), upstream=upstream.url, explain_hits=False
        ) as app:
            with pytest.raises(openai.RateLimitError) as caught:
                await ask(app, "too fast")
        seen.append((caught.value.code, dict(caught.value.response.headers)))
    assert seen[0] == seen[1]
    assert seen[0][1].items() >= limits.items()


async def test_a_miss_is_not_retried_by_the_openai_sdk(
    serve: Serve, upstream: FakeUpstream, cassette: str
) -> None:
    await record(upstream, cassette, "known")
    observer = Ended()
    app = await serve(observer=observer, mode="replay", cassette=(cassette,))
    async with AsyncOpenAI(base_url=f"{app.url}/v1", api_key="sk-test") as client:
        with pytest.raises(openai.APIStatusError) as caught:
            await client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": "never recorded"}]
            )
    assert 400 <= caught.value.status_code < 500
    assert caught.value.code == "cassette_miss"
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert len(observer.exchanges) == 1


async def test_a_miss_is_not_retried_by_the_anthropic_sdk(
    serve: Serve, upstream: FakeUpstream, cassette: str
) -> None:
    await record(upstream, cassette, "known")
    observer = Ended()
    app = await serve(observer=observer, mode="replay", cassette=(cassette,))
    async with anthropic.AsyncAnthropic(base_url=app.url, api_key="sk-test") as client:
        with pytest.raises(anthropic.APIStatusError) as caught:
            await client.messages.create(
                model="claude-opus-4-6",
                max_tokens=10,
                messages=[{"role": "user", "content": "never recorded"}],
            )
    assert 400 <= caught.value.status_code < 500
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert len(observer.exchanges) == 1


@pytest.mark.parametrize("mode", ["pass", "record"])
async def test_a_client_that_leaves_frees_its_upstream_request(
    serve: Serve, upstream: FakeUpstream, cassette: str, mode: str
) -> None:
    upstream.on("POST", CHAT, sse_reply([b"data: {}\n\n", HANG]))
    app = await serve(mode=mode, cassette=(cassette,), upstream=upstream.url)
    async with (
        httpx.AsyncClient(timeout=30) as client,
        client.stream("POST", f"{app.url}{CHAT}", json={"model": "gpt-4o"}) as reply,
    ):
        assert await anext(reply.aiter_bytes()) == b"data: {}\n\n"
        request = await upstream.request()
        assert not request.gone.is_set()
    await asyncio.wait_for(request.gone.wait(), 30)


async def test_a_client_that_leaves_while_the_upstream_thinks_frees_it_too(
    serve: Serve, upstream: FakeUpstream, cassette: str
) -> None:
    never = asyncio.Event()
    upstream.on("POST", CHAT, Answer(framing="raw", steps=[never]))
    app = await serve(mode="record", cassette=(cassette,), upstream=upstream.url)
    async with httpx.AsyncClient(timeout=30) as client:
        asking = asyncio.create_task(client.post(f"{app.url}{CHAT}", json={"model": "gpt-4o"}))
        request = await upstream.request()
        await request.whole.wait()
        asking.cancel()
        await asyncio.wait_for(request.gone.wait(), 30)
