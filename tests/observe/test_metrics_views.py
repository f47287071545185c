"""FakeAI's JSON views of the fleet: their keys, and that their numbers are true."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakeai_proxy.clock import VirtualClock
from tests.conftest import Serve
from tests.observe.asking import ask
from tests.observe.test_metrics_pages import asked, profile, scrape


async def test_the_kv_cache_view_counts_what_the_answers_said(serve: Serve, tmp_path: Path) -> None:
    app = await serve(VirtualClock(), profile=profile(tmp_path))
    bodies = [*await asked(app, 6, max_tokens=8), *await asked(app, 6, max_tokens=8)]
    cached = [body["usage"]["prompt_tokens_details"]["cached_tokens"] for body in bodies]
    prompts = [body["usage"]["prompt_tokens"] for body in bodies]
    view = (await ask(app, "/kv-cache/metrics")).body
    performance = view["cache_performance"]
    hits = sum(tokens > 0 for tokens in cached)
    assert performance["total_cache_hits"] == hits
    assert performance["total_cache_misses"] == 12 - hits
    assert performance["cache_hit_rate"] == pytest.approx(100 * hits / 12, abs=0.01)
    assert performance["cached_tokens_reused"] == sum(cached)
    assert performance["total_tokens_processed"] == sum(prompts)
    assert performance["token_reuse_rate"] == pytest.approx(
        100 * sum(cached) / sum(prompts), abs=0.01
    )
    assert performance["average_prefix_length"] == pytest.approx(sum(cached) / hits, abs=0.01)
    seen = performance["endpoint_stats"]["/v1/chat/completions"]
    assert seen == {"hits": hits, "misses": 12 - hits}
    speedup = performance["speedup_stats"]
    assert speedup["avg_baseline_ttft_ms"] > speedup["avg_actual_ttft_ms"] > 0
    assert speedup["total_speedup_records"] == hits
    router = view["smart_router"]
    assert set(router["workers"]) == {"pool-0", "pool-1"}
    assert sum(each["total_requests"] for each in router["workers"].values()) == 12
    assert 0 < router["radix_tree"]["total_nodes"] <= router["radix_tree"]["total_cached_blocks"]
    assert router["config"]["num_workers"] == 2
    assert router["config"]["block_size"] == 16


async def test_the_dynamo_view_is_in_milliseconds_and_agrees_with_the_histograms(
    serve: Serve, tmp_path: Path
) -> None:
    app = await serve(VirtualClock(), profile=profile(tmp_path))
    bodies = await asked(app, 8, max_tokens=30)
    page = await scrape(app)
    view = (await ask(app, "/dynamo/metrics/json")).body
    assert view["summary"] == {
        "total_requests": 8, "successful_requests": 8, "failed_requests": 0, "active_requests": 0
    }  # fmt: skip
    ttft = page.total("vllm:time_to_first_token_seconds_sum") / 8
    assert view["latency"]["ttft"]["avg"] == pytest.approx(1000 * ttft, abs=0.01)
    assert view["latency"]["total"]["p50"] > view["latency"]["ttft"]["p99"] > 1
    decode = page.total("vllm:request_decode_time_seconds_sum") / 8
    assert view["latency"]["decode"]["avg"] == pytest.approx(1000 * decode, abs=0.01)
    tokens = sum(body["usage"]["completion_tokens"] for body in bodies)
    assert view["throughput"]["output_tokens_per_second"] > 0
    assert view["per_model"]["llama-3.1-8b"]["requests"] == 8
    total = sum(body["usage"]["total_tokens"] for body in bodies)
    assert view["per_model"]["llama-3.1-8b"]["total_tokens"] == total
    assert 0 < view["batch"]["avg_size"] <= view["batch"]["max_size"] <= 8
    assert tokens == page.total("vllm:generation_tokens_total")


async def test_the_last_minute_is_forgotten_after_a_minute(serve: Serve, tmp_path: Path) -> None:
    clock = VirtualClock()
    app = await serve(clock, profile=profile(tmp_path))
    await asked(app, 4, max_tokens=5)
    clock.advance(61.0)
    view = (await ask(app, "/dynamo/metrics/json")).body
    assert view["summary"]["total_requests"] == 4
    assert view["latency"]["ttft"] == {"avg": 0, "p50": 0, "p90": 0, "p99": 0}
    assert view["throughput"]["requests_per_second"] == 0
    assert view["per_model"] == {}


async def test_disaggregated_workers_tell_what_went_between_them(
    serve: Serve, tmp_path: Path
) -> None:
    pools = (
        'name = "prefill"\nrole = "prefill"\nreplicas = 1\n'
        '[[pool]]\nname = "decode"\nrole = "decode"\nmodel = "llama-3.1-8b"\ngpu = "h100"'
    )
    app = await serve(VirtualClock(), profile=profile(tmp_path, 'server = "dynamo"', pools))
    bodies = await asked(app, 6, max_tokens=12)
    tokens = sum(body["usage"]["completion_tokens"] for body in bodies)
    page = await scrape(app)
    assert page.total("vllm:generation_tokens_total") == tokens
    assert page.total("vllm:time_to_first_token_seconds_count") == 6
    fetched = page.total("vllm:prompt_tokens_by_source_total", source="external_kv_transfer")
    assert fetched > 0
    assert page.total("dynamo_frontend_request_duration_seconds_count") == 6
    assert page.total("dynamo_frontend_model_workers", worker_type="decode") == 1
    view = (await ask(app, "/dynamo/metrics/json")).body["disaggregation"]
    assert (view["prefill_requests"], view["decode_requests"]) == (6, 6)
    assert view["kv_transfer_bytes"] == fetched * 131_072  # 2 x 32 layers x 8 heads x 128 x 2 bytes
    assert view["kv_transfer_time_ms"] >= 6 * 1.0
    summary = (await ask(app, "/dynamo/metrics/json")).body["summary"]
    assert summary["successful_requests"] == 6
