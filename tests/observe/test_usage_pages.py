"""FakeAI's metric routes: their shapes, and that their numbers are those of the answers."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from typing import Any

import aiohttp
import pytest
from openai import AsyncOpenAI

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock
from tests.conftest import Serve
from tests.observe.asking import Got, ask, chat
from tests.observe.test_metrics_pages import Scrape, scrape

KEY = "sk-proj-thisisaverylongsecretkeyofsomebody12345"
ADMIN = {"authorization": "Bearer sk-admin-of-this-organization-123"}


async def asked(app: App, model: str = "gpt-4o-mini", **more: Any) -> dict[str, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": "Tell me"}], **more}
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    got = await ask(app, "/v1/chat/completions", "POST", body, headers)
    return got.body if got.status == 200 and not more.get("stream") else {"status": got.status}


async def get(app: App, path: str) -> Any:
    got = await ask(app, path)
    assert got.status == 200, got.data
    return got.body


async def test_by_model_counts_what_the_answers_said(serve: Serve) -> None:
    app = await serve(VirtualClock(), mode="synth", profile="openai")
    bodies = [await asked(app), await asked(app, max_tokens=7), await asked(app, "gpt-4o")]
    await asked(app, stream=True)
    await asked(app, n=0)  # refused
    assert (await asked(app, "gpt-nope")) == {"status": 404}
    told = await get(app, "/metrics/by-model")
    assert set(told) == {"gpt-4o-mini", "gpt-4o", "gpt-nope"}
    mini = told["gpt-4o-mini"]
    assert (mini["request_count"], mini["errors"]) == (4, {"count": 1, "rate_percent": 25.0})
    usage = bodies[2]["usage"]
    assert told["gpt-4o"]["tokens"] == {
        "prompt": usage["prompt_tokens"], "completion": usage["completion_tokens"],
        "total": usage["total_tokens"],
    }  # fmt: skip
    assert mini["tokens"]["completion"] > sum(b["usage"]["completion_tokens"] for b in bodies[:2])
    latency = mini["latency"]
    assert 0 < latency["p50"] <= latency["p90"] <= latency["p95"] <= latency["p99"]
    assert latency["avg_ms"] > 1
    assert mini["endpoints"] == {"/v1/chat/completions": 4}
    assert list(mini["users"].values()) == [4]
    assert mini["first_request"] <= mini["last_request"]
    assert await get(app, "/metrics/by-model/gpt-4o-mini") == mini
    assert await get(app, "/metrics/by-model/meta/nobody-asked") == {
        "model": "meta/nobody-asked", "request_count": 0, "error": "Model not found"
    }  # fmt: skip


async def test_no_page_shows_a_key(serve: Serve) -> None:
    app = await serve(mode="synth", limits=("openai:1",))
    await asked(app)
    await asked(app, KEY)  # somebody took it for the model
    pages = [
        "/metrics/by-model", "/metrics/multi-dimensional", "/metrics/rate-limits", "/metrics/json",
        "/metrics/csv", "/metrics/prometheus", "/metrics/by-model/prometheus", "/metrics/costs",
    ]  # fmt: skip
    for page in pages:
        assert b"thisisaverylong" not in (await ask(app, page)).data, page
    [user] = (await get(app, "/metrics/multi-dimensional"))["model_by_user"]["gpt-4o-mini"]
    assert user.startswith("key_")
    known = await get(app, f"/metrics/rate-limits/key/{user}")
    assert (known["api_key"], known["requests"]["total_attempted"]) == (user, 2)
    refused = await ask(app, f"/metrics/rate-limits/key/{KEY}")
    assert (refused.status, refused.code) == (404, "key_not_found")


async def test_costs_are_those_of_the_organization_to_the_cent(serve: Serve) -> None:
    app = await serve(mode="synth", any_model=True)
    client = AsyncOpenAI(base_url=f"{app.url}/v1", api_key="sk-test", max_retries=0)
    long = "All about lighthouses. " * 400
    for model in ("gpt-4o", "gpt-4o-mini", "o4-mini", "gpt-4o"):
        await client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": long}]
        )
    await client.chat.completions.create(
        model="o4-mini", messages=[{"role": "user", "content": "Hi"}], service_tier="flex"
    )
    stream = await client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "Hi"}], stream=True
    )
    async for _ in stream:
        pass
    await client.embeddings.create(model="text-embedding-3-large", input=[long] * 3)
    await client.images.generate(model="dall-e-2", prompt="A lighthouse", size="256x256", n=2)
    await client.audio.speech.create(model="tts-1", voice="alloy", input="Hello there")
    await client.responses.create(model="gpt-4.1", input=long)
    await client.close()
    since = int(app.clock.wall()) - 3600
    bills = await ask(app, f"/v1/organization/costs?start_time={since}", headers=ADMIN)
    billed = sum(
        result["amount"]["value"] for bucket in bills.body["data"] for result in bucket["results"]
    )
    told = await get(app, "/metrics/costs")
    assert billed > 0.01
    assert told["total_cost_usd"] == pytest.approx(billed, abs=1e-9)
    assert sum(told["costs_by_model"].values()) == pytest.approx(billed, abs=1e-9)
    assert set(told["costs_by_model"]) == {
        "gpt-4o", "gpt-4o-mini", "o4-mini", "text-embedding-3-large", "dall-e-2", "tts-1", "gpt-4.1"
    }  # fmt: skip
    page = await scrape(app, "/metrics/by-model/prometheus")
    assert page.total("fakeai_model_cost_usd_total") == pytest.approx(billed, abs=1e-9)


async def test_two_models_are_compared_and_all_are_ranked(serve: Serve) -> None:
    app = await serve(VirtualClock(), mode="synth", profile="openai")
    for model in ("gpt-4o", "gpt-4o", "gpt-4o-mini"):
        await asked(app, model)
    told = await get(app, "/metrics/compare?model1=gpt-4o&model2=gpt-4o-mini")
    assert told["comparison"]["request_count"] == {
        "model1": 2, "model2": 1, "delta": -1, "percent_change": -50.0
    }  # fmt: skip
    assert told["winner"]["cost_efficiency"] == "gpt-4o-mini"
    latency = told["comparison"]["avg_latency_ms"]
    faster = "gpt-4o" if latency["model1"] < latency["model2"] else "gpt-4o-mini"
    assert told["winner"]["latency"] == faster
    await asked(app, "never-answers")  # takes no time, and costs nothing
    for first, second in (("never-answers", "gpt-4o"), ("gpt-4o", "never-answers")):
        told = await get(app, f"/metrics/compare?model1={first}&model2={second}")
        assert told["winner"] == dict.fromkeys(
            ("latency", "error_rate", "cost_efficiency"), "gpt-4o"
        )
    missing = await get(app, "/metrics/compare?model1=gpt-4o&model2=nobody")
    assert missing == {
        "error": "One or both models not found", "model1": "gpt-4o", "model2": "nobody"
    }  # fmt: skip
    assert (await ask(app, "/metrics/compare?model1=gpt-4o")).status == 400
    ranking = await get(app, "/metrics/ranking?metric=cost&limit=1")
    assert [model["model"] for model in ranking] == ["gpt-4o"]
    assert (await ask(app, "/metrics/ranking?metric=beauty")).status == 400
    assert (await ask(app, "/metrics/ranking?limit=101")).status == 400


async def test_the_last_minute_is_told_as_json_csv_and_for_prometheus(serve: Serve) -> None:
    clock = VirtualClock(autojump=True)
    app = await serve(clock, mode="synth", profile="openai")
    for stream in (False, True, True):
        await asked(app, stream=stream)
    await asked(app, n=0)
    endpoint = "/v1/chat/completions"
    json_headers = {"accept": "application/json"}
    told = (await ask(app, "/metrics", headers=json_headers)).body
    assert set(told) == {
        "requests", "responses", "tokens", "errors", "latency", "streaming", "streaming_stats"
    }  # fmt: skip
    span = min(60.0, clock.now())
    assert told["requests"][endpoint]["rate"] == pytest.approx(4 / span, rel=0.05)
    assert told["errors"][endpoint]["rate"] == pytest.approx(1 / span, rel=0.05)
    latency = told["latency"][endpoint]
    assert latency["min"] <= latency["p50"] <= latency["p99"] <= latency["max"]
    stats = told["streaming_stats"]
    assert (stats["active_streams"], stats["completed_streams"], stats["failed_streams"]) == (
        0, 2, 0
    )  # fmt: skip
    assert stats["tokens_per_second"]["p50"] > 1
    assert 0 < stats["ttft"]["p50"] < latency["max"]

    rows = list(csv.DictReader(io.StringIO((await ask(app, "/metrics/csv")).data.decode())))
    assert ",".join(rows[0]) == (
        "metric_type,endpoint,rate,avg_latency,min_latency,max_latency,p50_latency,p90_latency,"
        "p99_latency"
    )
    of_latency = next(row for row in rows if row["metric_type"] == "latency")
    assert float(of_latency["max_latency"]) == pytest.approx(latency["max"], rel=1e-3)

    page = await scrape(app, "/metrics/prometheus")
    assert page.total("fakeai_responses_total", endpoint=endpoint, status="200") == 3
    assert page.total("fakeai_responses_total", endpoint=endpoint, status="400") == 1
    assert page.total("fakeai_latency_seconds_count", endpoint=endpoint) == 3
    assert page.types["fakeai_ttft_seconds"] == "summary"
    scraper = {"accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5,*/*;q=0.1"}
    assert Scrape(await ask(app, "/metrics", headers=scraper)).families == []

    health = await get_any(app, "/health/detailed", 200)
    assert health["status"] == "unhealthy"  # a quarter fails
    assert health["metrics_summary"]["error_rate_percentage"] == 25.0

    clock.advance(61)
    assert (await ask(app, "/metrics/json")).body["requests"] == {}
    assert (await get_any(app, "/health/detailed", 200))["status"] == "healthy"
    hours = (await get(app, "/metrics/multi-dimensional"))["model_by_time_24h"]["gpt-4o-mini"]
    assert [hour["count"] for hour in hours] == [4]
    assert hours[0]["timestamp"] % 3600 == 0
    clock.advance(86_400)
    assert (await get(app, "/metrics/multi-dimensional"))["model_by_time_24h"] == {
        "gpt-4o-mini": []
    }


async def get_any(app: App, path: str, status: int) -> Any:
    got = await ask(app, path)
    assert got.status == status
    return got.body


async def test_a_reset_forgets_the_aggregates(serve: Serve) -> None:
    app = await serve(mode="synth")
    await chat(app)
    assert "metrics" in (await ask(app, "/_fakeai/v1/reset", "POST")).body["reset"]
    assert await get(app, "/metrics/by-model") == {}


async def test_what_the_limits_refuse_is_told_by_key(serve: Serve) -> None:
    own = {
        "name": "few", "description": "Three a minute", "source": "A test's own invention",
        "limit": [{"model": "*", "rpm": 3}],
    }  # fmt: skip
    app = await serve(VirtualClock(autojump=False), mode="synth")
    assert (await ask(app, "/_fakeai/v1/limits", "PUT", {"own": own})).status == 200
    said = [await asked(app) for _ in range(5)]
    assert [each.get("status") for each in said] == [None, None, None, 429, 429]
    told = await get(app, "/metrics/rate-limits")
    assert told["summary"] == {"total_keys": 1, "total_throttle_events": 2, "tiers": ["few"]}
    tier = (await get(app, "/metrics/rate-limits/tier"))["few"]
    assert (tier["total_requests_attempted"], tier["total_requests_throttled"]) == (5, 2)
    assert tier["keys_with_exhaustion"] == 1
    analytics = await get(app, "/metrics/rate-limits/throttle-analytics")
    assert analytics == told["throttle_analytics"]
    assert analytics["rpm_vs_tpm_exceeded"] == {"rpm_only": 2, "tpm_only": 0, "both": 0}
    assert analytics["duration_histogram"]["<60000ms"] == 2
    assert 0 < analytics["retry_after_distribution"]["max"] <= 60_000
    assert await get(app, "/metrics/rate-limits/abuse-patterns") == []
    await asyncio.gather(*(asked(app) for _ in range(4)))
    [abused] = await get(app, "/metrics/rate-limits/abuse-patterns")
    key = await get(app, f"/metrics/rate-limits/key/{abused['api_key']}")
    assert key["requests"]["throttle_rate"] == pytest.approx(6 / 9, abs=1e-4)
    assert key["quota_utilization"]["rpm_utilization"] == 1.0
    assert key["usage_patterns"]["peak_rpm"] == 9
    page = await scrape(app, "/metrics/prometheus")
    assert page.total("fakeai_throttled_total", amount="rpm") == 6


async def test_the_stream_tells_what_was_subscribed_to(serve: Serve) -> None:
    clock = VirtualClock(autojump=False)
    app = await serve(clock, mode="synth")
    await asked(app)
    await asked(app, "gpt-4o")
    refused: Got = await ask(app, "/metrics/stream")
    assert (refused.status, refused.code) == (426, "websocket_wanted")
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(app.url.replace("http", "ws") + "/metrics/stream") as socket,
    ):
        first = await socket.receive_json()
        assert first["type"] == "historical_data"
        assert set(first["data"]) == {
            "throughput", "latency", "cache", "queue", "streaming", "error"
        }  # fmt: skip
        await socket.send_json({"type": "ping"})
        assert (await socket.receive_json())["type"] == "pong"
        await socket.send_str("[]")
        assert (await socket.receive_json())["type"] == "error"
        filters = {"endpoint": "/v1/chat/completions", "metric_type": "throughput", "interval": 5}
        await socket.send_json({"type": "subscribe", "filters": filters})
        assert (await socket.receive_json())["filters"] == {
            "endpoints": ["/v1/chat/completions"], "models": [], "metric_types": ["throughput"],
            "interval": 5.0,
        }  # fmt: skip
        clock.advance(5)
        told = await socket.receive_json()
        assert told["type"] == "metrics_update"
        assert set(told["data"]) == {"throughput"}
        assert told["data"]["throughput"]["total_requests_per_sec"] == pytest.approx(2 / 5)
        await socket.send_json({"type": "unsubscribe"})
        assert json.loads((await socket.receive()).data)["filters"]["metric_types"] == []


async def test_who_listens_keeps_nobody_from_stopping(serve: Serve) -> None:
    app = await serve(mode="synth")
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(app.url.replace("http", "ws") + "/metrics/stream") as socket,
    ):
        assert (await socket.receive_json())["type"] == "historical_data"
        async with asyncio.timeout(20):
            closing = asyncio.ensure_future(app.close(drain_s=60))
            assert (await socket.receive()).type == aiohttp.WSMsgType.CLOSE
            assert socket.close_code == aiohttp.WSCloseCode.GOING_AWAY
            await closing
