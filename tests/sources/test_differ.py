"""Replay and live side by side."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fakeai_proxy.app import App
from tests.conftest import Serve, serving
from tests.doubles.upstream import FakeUpstream, json_reply, sse_reply

CHAT = "/v1/chat/completions"
USAGE = {"prompt_tokens": 100, "completion_tokens": 100}


def answer(text: str, **more: object) -> Any:
    message = {"role": "assistant", "content": text}
    return json_reply(
        {"model": "gpt-4o", "choices": [{"message": message}], "usage": USAGE, **more}
    )


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as made:
        made.on("POST", CHAT, answer("I have seen many whales"))
        yield made


async def ask(app: App, question: str = "one", path: str = CHAT) -> httpx.Response:
    async with httpx.AsyncClient(base_url=app.url, trust_env=False) as client:
        said = {"model": "gpt-4o", "messages": [{"role": "user", "content": question}]}
        return await client.post(path, json=said, headers={"authorization": "Bearer key-of-theirs"})


async def page(app: App, name: str) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=app.url, trust_env=False) as client:
        return dict((await client.get(f"/_fakeai/v1/{name}")).json())


@pytest.fixture
async def cassette(tmp_path: Path, upstream: FakeUpstream) -> Path:
    path = tmp_path / "c.fcz"
    async with serving(mode="record", cassette=(path,), upstream=upstream.url) as app:
        await ask(app)
    upstream.requests.clear()
    return path


async def test_the_client_gets_the_recording_and_what_differs_is_told(
    serve: Serve, upstream: FakeUpstream, cassette: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = await serve(mode="diff", cassette=(cassette,), upstream=upstream.url, strict=("all",))
    recorded = (await ask(app)).json()
    assert recorded["choices"][0]["message"]["content"] == "I have seen many whales"
    drift = await page(app, "drift")
    assert (drift["compared"], drift["same"], drift["drifting"]) == (1, 1, 0)
    assert drift["data"] == []
    assert drift["ttft_ms"]["live"]["p50"] > 0
    upstream.on("POST", CHAT, answer("I have seen few whales", service_tier="default"))
    with caplog.at_level(logging.WARNING):
        assert (await ask(app)).json() == recorded
        drift = await page(app, "drift")
    assert (drift["compared"], drift["same"], drift["drifting"]) == (2, 1, 1)
    told = {(one["kind"], one["difference"]): one["count"] for one in drift["data"]}
    assert told == {
        ("shape", "new: body.service_tier: string"): 1, ("text", "the text differs"): 1,
    }  # fmt: skip
    examples = [one["example"] for one in drift["data"]]
    assert any("at word 4: 'have seen many whales' became 'have seen few whales'" in str(one)
               for one in examples)  # fmt: skip
    assert "drift: POST /v1/chat/completions, gpt-4o (" in caplog.text
    assert "service_tier" in caplog.text
    assert upstream.requests[0].header(b"authorization") == b"Bearer key-of-theirs"
    verdict = await page(app, "verdict")
    assert (verdict["counts"]["HIT"], verdict["counts"]["DRIFT"]) == (2, 1)
    assert verdict["spent_usd"] == pytest.approx(2 * 0.00125)
    assert verdict["counts"]["TEXT"] == 1
    assert [one["verdict"] for one in verdict["told"]] == ["DRIFT", "TEXT"]
    assert verdict["failures"] == ["DRIFT"]


async def test_a_stream_of_other_words_and_cuts_is_no_drift(
    serve: Serve, upstream: FakeUpstream, tmp_path: Path
) -> None:
    def stream(*words: str) -> Any:
        frames = [b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % word.encode()
                  for word in words]  # fmt: skip
        return sse_reply([*frames, b"data: [DONE]\n\n"])

    path = tmp_path / "c.fcz"
    upstream.on("POST", CHAT, stream("a", "b"))
    async with serving(mode="record", cassette=(path,), upstream=upstream.url) as app:
        await ask(app)
    upstream.on("POST", CHAT, stream("a", "c", "d"))
    app = await serve(mode="diff", cassette=(path,), upstream=upstream.url, strict=("text",))
    assert b'"b"' in (await ask(app)).content
    drift = await page(app, "drift")
    assert drift["drifting"] == 0
    assert [one["kind"] for one in drift["data"]] == ["text"]
    verdict = await page(app, "verdict")
    [told] = verdict["told"]
    assert (told["verdict"], verdict["counts"]["DRIFT"]) == ("TEXT", 0)
    assert verdict["failures"] == ["TEXT"]
    assert "at word 1: 'ab' became 'acd'" in told["request"]


@pytest.mark.parametrize("on_miss", ["error", "record", "pass", "synth"])
async def test_what_is_missing_is_not_compared(
    serve: Serve, upstream: FakeUpstream, cassette: Path, on_miss: str
) -> None:
    app = await serve(mode="diff", cassette=(cassette,), upstream=upstream.url, on_miss=on_miss)
    status = (await ask(app, "two")).status_code
    assert status == (404 if on_miss == "error" else 200)
    assert len(upstream.requests) == (on_miss in ("record", "pass"))
    assert (await page(app, "drift"))["compared"] == 0


async def test_a_budget_of_nothing_compares_nothing_and_the_client_does_not_notice(
    serve: Serve, upstream: FakeUpstream, cassette: Path
) -> None:
    app = await serve(
        mode="diff", cassette=(cassette,), upstream=upstream.url, max_live_usd=0
    )  # fmt: skip
    assert (await ask(app)).status_code == 200
    drift = await page(app, "drift")
    assert (drift["compared"], list(drift["not_compared"].values())) == (0, [1])
    [told] = (await page(app, "verdict"))["told"]
    assert told["verdict"] == "SKIPPED"
    assert "--max-live-usd" in told["request"]
    assert not upstream.requests


async def test_a_status_that_differs_is_drift_and_a_slow_upstream_keeps_nobody(
    serve: Serve, upstream: FakeUpstream, cassette: Path
) -> None:
    gate = asyncio.Event()
    late = json_reply({"error": {"message": "no"}}, 400)
    late.steps = (gate, *late.steps)
    upstream.on("POST", CHAT, late)
    app = await serve(mode="diff", cassette=(cassette,), upstream=upstream.url)
    assert (await ask(app)).status_code == 200
    gate.set()
    drift = await page(app, "drift")
    assert [one["difference"] for one in drift["data"]] == ["200 became 400"]


async def test_a_reset_forgets_the_drift(
    serve: Serve, upstream: FakeUpstream, cassette: Path
) -> None:
    app = await serve(mode="diff", cassette=(cassette,), upstream=upstream.url)
    await ask(app)
    assert (await page(app, "drift"))["compared"] == 1
    async with httpx.AsyncClient(base_url=app.url, trust_env=False) as client:
        assert "drift" in (await client.post("/_fakeai/v1/reset")).json()["reset"]
    assert (await page(app, "drift"))["compared"] == 0
