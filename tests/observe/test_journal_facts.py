"""What the journal tells of an exchange besides when and how: the work, the money, the instants."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.observe.journal import route_of
from tests.conftest import Serve, serving
from tests.doubles.upstream import Answer, FakeUpstream, json_reply, sse_reply
from tests.observe.asking import CHAT, ask, chat
from tests.observe.test_journal import JOURNAL, entries

STEADY = """
description = "A token every 100 ms"
source = "A test's own invention"
illustrative = true
[[latency]]
model = "*"
ttft_p50_ms = 500.0
ttft_sigma = 0.0
itl_p50_ms = 100.0
"""
COUNTED = {"prompt_tokens": 1_000, "completion_tokens": 10, "total_tokens": 1_010,
           "prompt_tokens_details": {"cached_tokens": 600}}  # fmt: skip
FACTS = ("model", "prompt_tokens", "output_tokens", "cached_tokens", "finish", "source")
#: Of gpt-4o-mini: 0.15, cached 0.075, and 0.60 dollars for a million.
USD = (400 * 0.15 + 600 * 0.075 + 10 * 0.60) / 1e6


def facts(entry: dict[str, Any]) -> list[Any]:
    return [entry[name] for name in FACTS]


async def test_a_timeline_has_the_instant_of_every_token(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "steady.toml").write_text(STEADY)
    app = await serve(VirtualClock(), profile=str(tmp_path / "steady.toml"))
    await chat(app, stream=True, max_tokens=5)
    [entry] = await entries(app)
    assert entry["finish"] == "length"
    assert entry["itl_ms"] == dict.fromkeys(("p50", "p90", "p99", "max"), pytest.approx(100, 0.01))
    told = (await ask(app, f"{JOURNAL}/{entry['id']}")).body["timeline"]
    assert told["token_ms"] == pytest.approx([500, 600, 700, 800, 900], rel=0.01)
    assert told["prefill_ms"] == pytest.approx(entry["ttft_ms"]) == pytest.approx(500, 0.01)
    assert (told["queue_ms"], told["is_thinned"]) == (0.0, False)


async def test_a_fleets_timeline_is_queue_prefill_and_tokens(serve: Serve) -> None:
    app = await serve(VirtualClock(), profile="quick")
    reply = await chat(app, stream=True, max_tokens=20)
    told = (await ask(app, f"{JOURNAL}/{reply.headers['x-request-id']}")).body
    timeline = told["timeline"]
    first = timeline["token_ms"][0]
    assert timeline["queue_ms"] + timeline["prefill_ms"] == pytest.approx(first, abs=0.01)
    assert sorted(timeline["token_ms"]) == timeline["token_ms"]
    assert timeline["token_ms"][-1] <= told["total_ms"] + 0.01


async def test_calls_of_tools_are_told_as_the_reason_to_stop(serve: Serve) -> None:
    app = await serve()
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    await chat(app, tools=[tool], tool_choice="required")
    await ask(
        app, "/v1/messages", "POST",
        {"model": "claude-sonnet-4-5", "max_tokens": 4, "messages": CHAT["messages"]},
        {"x-api-key": "any", "anthropic-version": "2023-06-01"},
    )  # fmt: skip
    assert [entry["finish"] for entry in await entries(app)] == ["max_tokens", "tool_calls"]


async def test_the_journals_dollars_are_the_bills(serve: Serve) -> None:
    app = await serve(VirtualClock(epoch=1_750_000_000.0), profile="quick", any_model=True)
    long = [{"role": "user", "content": "Count the boats in the harbour. " * 400}]
    for _ in range(2):  # the second is partly cached
        await chat(app, model="gpt-4o", messages=long)
    await chat(app, service_tier="flex", model="o4-mini")
    await ask(
        app, "/v1/embeddings", "POST", {"model": "text-embedding-3-small", "input": "boats"},
        {"authorization": "Bearer any"},
    )  # fmt: skip
    await ask(
        app, "/v1/audio/speech", "POST", {"model": "tts-1", "input": "boats", "voice": "alloy"},
        {"authorization": "Bearer any"},
    )  # fmt: skip
    told = await entries(app)
    assert any(entry["cached_tokens"] for entry in told)
    assert all(entry["cost_usd"] for entry in told)
    query = "start_time=1749945600&end_time=1750032000"
    page = await ask(
        app, f"/v1/organization/costs?{query}", headers={"authorization": "Bearer any"}
    )
    billed = sum(result["amount"]["value"] for result in page.body["data"][0]["results"])
    assert sum(entry["cost_usd"] for entry in told) == pytest.approx(billed)


@pytest.mark.parametrize("coded", [False, True])
async def test_what_an_upstream_says_of_its_answer_is_told(serve: Serve, coded: bool) -> None:
    body = {
        "model": "gpt-4o-mini", "choices": [{"index": 0, "finish_reason": "stop"}], "usage": COUNTED
    }  # fmt: skip
    answer = json_reply(body)
    if coded:
        answer = Answer(
            200,
            [(b"Content-Type", b"application/json"), (b"Content-Encoding", b"gzip")],
            [gzip.compress(json.dumps(body).encode())],
        )
    async with FakeUpstream() as upstream:
        upstream.on("POST", "/v1/chat/completions", answer)
        app = await serve(mode="pass", upstream=upstream.url)
        await chat(app)
        [entry] = await entries(app)
    assert facts(entry) == ["gpt-4o-mini", 1_000, 10, 600, "stop", "LIVE"]
    assert entry["cost_usd"] == pytest.approx(USD)
    assert entry["route"] == "/chat/completions"


async def test_streams_of_upstreams_are_told_and_so_are_their_replays(tmp_path: Path) -> None:
    frames = [
        b'data: {"model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n',
        b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}\n\n',
        b'data: {"choices":[],"usage":%b}\n\n' % json.dumps(COUNTED).encode(),
        b"data: [DONE]\n\n",
    ]
    cassette = tmp_path / "recordings.fcz"
    async with FakeUpstream() as upstream:
        upstream.on("POST", "/v1/chat/completions", sse_reply(frames))
        recording = serving(mode="auto", cassette=(cassette,), upstream=upstream.url)
        async with recording as app:
            for _ in range(2):
                await chat(app, stream=True)
            replayed, live = await entries(app)
    assert facts(live) == ["gpt-4o-mini", 1_000, 10, 600, "length", "LIVE"]
    assert live["cost_usd"] == pytest.approx(USD)
    assert facts(replayed)[:3] == facts(live)[:3]
    assert replayed["source"] == "HIT"
    assert replayed["cost_usd"] == pytest.approx((1_000 * 0.15 + 10 * 0.60) / 1e6)


async def test_anthropics_cache_counts_as_part_of_the_prompt(serve: Serve) -> None:
    begun = {"usage": {"input_tokens": 10, "cache_read_input_tokens": 500, "output_tokens": 1},
             "model": "claude-sonnet-4-5"}  # fmt: skip
    ended = {"type": "message_delta", "delta": {"stop_reason": "end_turn"},
             "usage": {"output_tokens": 7}}  # fmt: skip
    start = json.dumps({"type": "message_start", "message": begun}).encode()
    frames = [
        b"event: message_start\ndata: %b\n\n" % start,
        b"event: message_delta\ndata: %b\n\n" % json.dumps(ended).encode(),
        b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    ]
    async with FakeUpstream() as upstream:
        upstream.on("POST", "/v1/messages", sse_reply(frames))
        app = await serve(mode="pass", upstream=upstream.url)
        asked = {**CHAT, "model": "claude-sonnet-4-5", "max_tokens": 9}
        await ask(app, "/v1/messages", "POST", asked, {"x-api-key": "any"})
        [entry] = await entries(app)
    assert facts(entry) == ["claude-sonnet-4-5", 510, 7, 500, "end_turn", "LIVE"]


async def test_many_live_answers_are_looked_at_unasked(serve: Serve) -> None:
    async with FakeUpstream() as upstream:
        upstream.on("POST", "/v1/chat/completions", json_reply({"model": "m", "usage": COUNTED}))
        app = await serve(mode="pass", upstream=upstream.url, journal_size=50)
        for _ in range(66):
            await chat(app)
        told = await entries(app)
    assert len(told) == 50
    assert {entry["prompt_tokens"] for entry in told} == {1_000}


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v1/chat/completions", "/chat/completions"),
        ("/v1/files/file-abc123DEF456/content", "/files/{id}/content"),
        ("/v1/threads/thread_abc123def/runs", "/threads/{id}/runs"),
        ("/v1/models/gpt-4o-mini", "/models/gpt-4o-mini"),
        ("/v1/fine_tuning/jobs/ftjob-abc123def456", "/fine_tuning/jobs/{id}"),
        ("/openai/deployments/mine/chat/completions", "/openai/deployments/mine/chat/completions"),
        ("/", "/"),
    ],
)
def test_a_route_has_names_for_what_varies(path: str, route: str) -> None:
    assert route_of(path) == route
