"""The fleet's metric pages through the started program, on a virtual clock."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock
from tests.conftest import Serve
from tests.observe.asking import Got, ask, chat

#: Name -> type, as vLLM 0.11 and later show them (vllm/v1/metrics/loggers.py).
VLLM = {
    "vllm:num_requests_running": "gauge",
    "vllm:num_requests_waiting": "gauge",
    "vllm:kv_cache_usage_perc": "gauge",
    "vllm:cache_config_info": "gauge",
    "vllm:prefix_cache_queries": "counter",
    "vllm:prefix_cache_hits": "counter",
    "vllm:num_preemptions": "counter",
    "vllm:prompt_tokens": "counter",
    "vllm:generation_tokens": "counter",
    "vllm:request_success": "counter",
    "vllm:iteration_tokens_total": "histogram",
    "vllm:time_to_first_token_seconds": "histogram",
    "vllm:inter_token_latency_seconds": "histogram",
    "vllm:request_time_per_output_token_seconds": "histogram",
    "vllm:e2e_request_latency_seconds": "histogram",
    "vllm:request_queue_time_seconds": "histogram",
    "vllm:request_inference_time_seconds": "histogram",
    "vllm:request_prefill_time_seconds": "histogram",
    "vllm:request_decode_time_seconds": "histogram",
    "vllm:request_prompt_tokens": "histogram",
    "vllm:request_prefill_kv_computed_tokens": "histogram",
    "vllm:request_generation_tokens": "histogram",
    "vllm:request_max_num_generation_tokens": "histogram",
    "vllm:request_params_n": "histogram",
    "vllm:request_params_max_tokens": "histogram",
}
SGLANG = {
    "sglang:num_running_reqs", "sglang:num_queue_reqs", "sglang:token_usage",
    "sglang:cache_hit_rate", "sglang:gen_throughput", "sglang:prompt_tokens",
    "sglang:generation_tokens", "sglang:cached_tokens", "sglang:num_requests",
    "sglang:num_aborted_requests", "sglang:time_to_first_token_seconds",
    "sglang:inter_token_latency_seconds", "sglang:e2e_request_latency_seconds",
}  # fmt: skip
DYNAMO = {
    *(
        f"dynamo_frontend_{name}"
        for name in (
            "requests", "inflight_requests", "queued_requests", "disconnected_clients",
            "request_duration_seconds", "time_to_first_token_seconds",
            "inter_token_latency_seconds", "input_sequence_tokens", "output_sequence_tokens",
            "output_tokens", "cached_tokens", "model_total_kv_blocks", "model_max_num_seqs",
            "model_max_num_batched_tokens", "model_context_length", "model_kv_cache_block_size",
            "model_migration_limit", "model_workers",
        )
    ),
    *(
        f"dynamo_component_{name}"
        for name in (
            "requests", "inflight_requests", "request_duration_seconds", "request_bytes",
            "response_bytes", "uptime_seconds", "kvstats_active_blocks", "kvstats_total_blocks",
            "kvstats_gpu_cache_usage_percent", "kvstats_gpu_prefix_cache_hit_rate",
        )
    ),
}  # fmt: skip


class Scrape:
    """A page as Prometheus reads it."""

    def __init__(self, got: Got) -> None:
        assert got.status == 200
        assert got.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        self.families = list(text_string_to_metric_families(got.data.decode()))
        self.samples = [sample for family in self.families for sample in family.samples]

    @property
    def types(self) -> dict[str, str]:
        return {family.name: family.type for family in self.families}

    def total(self, name: str, **labels: str) -> float:
        found = [
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        assert found, f"no {name} {labels}"
        return sum(found)

    def bounds(self, name: str) -> list[str]:
        buckets = [sample for sample in self.samples if sample.name == f"{name}_bucket"]
        return list(dict.fromkeys(sample.labels["le"] for sample in buckets))


async def scrape(app: App, path: str = "/metrics") -> Scrape:
    return Scrape(await ask(app, path))


def profile(folder: Path, text: str = "", pool: str = "replicas = 2") -> str:
    file = folder / "fleet.toml"
    file.write_text(
        'description = "For tests"\nsource = "A test\'s own invention"\n' + text + "\n[[pool]]\n"
        'model = "llama-3.1-8b"\ngpu = "h100"\n' + pool + "\n"
    )
    return str(file)


@pytest.fixture
def fleet(tmp_path: Path) -> str:
    return profile(tmp_path)


async def asked(app: App, count: int = 6, **body: object) -> list[Any]:
    """The usage of so many chats, one beside the other."""
    answers = await asyncio.gather(
        *(
            chat(app, **{"model": "llama-3.1-8b", "seed": k, **body},
                 messages=[{"role": "user", "content": f"Story {k % 3}: " + "long ago " * 60}])
            for k in range(count)
        )
    )  # fmt: skip
    assert {answer.status for answer in answers} == {200}
    return [] if body.get("stream") else [answer.body for answer in answers]


def numbers(scraped: Scrape) -> Iterable[float]:
    return (sample.value for sample in scraped.samples)


async def test_every_name_of_vllm_has_its_type_and_labels(serve: Serve, fleet: str) -> None:
    app = await serve(VirtualClock(), profile=fleet)
    await asked(app)
    page = await scrape(app)
    assert VLLM.items() <= page.types.items()
    for sample in page.samples:
        if sample.name != "vllm:cache_config_info":
            assert sample.labels["model_name"] == "llama-3.1-8b"
        assert sample.labels["engine"] in ("0", "1")
    assert page.bounds("vllm:inter_token_latency_seconds")[:3] == ["0.01", "0.025", "0.05"]
    assert page.bounds("vllm:time_to_first_token_seconds")[-2:] == ["2560.0", "+Inf"]
    assert page.bounds("vllm:request_prompt_tokens")[-2:] == ["100000.0", "+Inf"]
    assert page.bounds("vllm:iteration_tokens_total")[:2] == ["1.0", "8.0"]
    assert (await ask(app, "/vllm/metrics")).data == (await ask(app, "/metrics")).data


async def test_what_was_answered_is_what_was_counted(serve: Serve, fleet: str) -> None:
    app = await serve(VirtualClock(), profile=fleet)
    bodies = await asked(app, 9, max_tokens=40) + await asked(app, 2, n=3, max_tokens=500)
    usages = [body["usage"] for body in bodies]
    choices = [choice for body in bodies for choice in body["choices"]]
    page = await scrape(app)
    completion = sum(usage["completion_tokens"] for usage in usages)
    assert page.total("vllm:generation_tokens_total") == completion
    assert page.total("vllm:request_generation_tokens_sum") == completion
    for reason in ("stop", "length"):
        ended = sum(choice["finish_reason"] == reason for choice in choices)
        assert page.total("vllm:request_success_total", finished_reason=reason) == ended
    done = page.total("vllm:request_success_total")
    assert done == len(choices)
    for name in ("e2e_request_latency_seconds", "time_to_first_token_seconds",
                 "request_queue_time_seconds", "request_prefill_time_seconds",
                 "request_decode_time_seconds", "request_inference_time_seconds",
                 "request_prompt_tokens", "request_params_max_tokens"):  # fmt: skip
        assert page.total(f"vllm:{name}_count") == done, name
    assert page.total("vllm:inter_token_latency_seconds_count") == completion - done
    assert page.total("vllm:request_params_n_count") == len(bodies)
    assert page.total("vllm:request_params_n_sum") == len(choices)
    assert page.total("vllm:request_params_max_tokens_sum") == 9 * 40 + 6 * 500


async def test_prompt_tokens_are_those_computed_and_those_hit(serve: Serve, fleet: str) -> None:
    app = await serve(VirtualClock(), profile=fleet)
    await asked(app, 9, max_tokens=8)
    bodies = await asked(app, 9, max_tokens=8)
    cached = [body["usage"]["prompt_tokens_details"]["cached_tokens"] for body in bodies]
    page = await scrape(app)
    prompt = page.total("vllm:prompt_tokens_total")
    computed = page.total("vllm:prompt_tokens_by_source_total", source="local_compute")
    hits = page.total("vllm:prefix_cache_hits_total")
    assert sum(cached) > 0
    assert hits >= sum(cached)
    reads = (await ask(app, "/kv-cache/metrics")).body["cache_performance"]
    assert reads["cached_tokens_reused"] == hits
    assert prompt == computed + hits == page.total("vllm:prefix_cache_queries_total")
    assert computed == page.total("vllm:request_prefill_kv_computed_tokens_sum")
    tokens = page.total("vllm:iteration_tokens_total_sum")
    assert tokens == prompt + page.total("vllm:generation_tokens_total")


async def test_the_parts_of_a_requests_time_add_up(serve: Serve, fleet: str) -> None:
    app = await serve(VirtualClock(), profile=fleet)
    await asked(app, 8, max_tokens=30)
    page = await scrape(app)

    def seconds(name: str) -> float:
        return page.total(f"vllm:{name}_seconds_sum")

    inference = seconds("request_inference_time")
    assert seconds("request_prefill_time") + seconds("request_decode_time") == pytest.approx(
        inference
    )
    assert seconds("inter_token_latency") == pytest.approx(seconds("request_decode_time"))
    front_end = seconds("e2e_request_latency") - seconds("request_queue_time") - inference
    assert 0 < front_end / 8 < 0.1


async def test_a_client_that_leaves_is_an_abort(serve: Serve, fleet: str) -> None:
    clock = VirtualClock(autojump=False)
    app = await serve(clock, profile=fleet)
    port = int(app.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = (
        b'{"model": "llama-3.1-8b", "stream": true, "ignore_eos": true, "max_tokens": 4000, '
        b'"messages": [{"role": "user", "content": "hello"}]}'
    )
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    )
    assert app.site is not None
    while not any(worker.load for worker in app.site.workers):
        clock.advance(0.05)
        await asyncio.to_thread(int)
    clock.advance(1.0)
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    page = await scrape(app)
    assert page.total("vllm:num_requests_running") == 1
    assert page.total("vllm:kv_cache_usage_perc") > 0
    writer.close()
    while any(worker.load for worker in app.site.workers):
        clock.advance(0.05)
        await asyncio.to_thread(int)
    page = await scrape(app)
    assert page.total("vllm:request_success_total", finished_reason="abort") == 1
    assert page.total("vllm:e2e_request_latency_seconds_count") == 1
    assert page.total("vllm:num_requests_running") == 0
    assert (await scrape(app, "/sglang/metrics")).total("sglang:num_aborted_requests_total") == 1
    dynamo = await scrape(app, "/dynamo/metrics")
    assert dynamo.total("dynamo_frontend_requests_total", error_type="cancelled") == 1


async def test_an_idle_fleet_shows_the_same_again_and_no_nan(serve: Serve, fleet: str) -> None:
    clock = VirtualClock(autojump=False)
    app = await serve(clock, profile=fleet)
    fresh = await scrape(app)
    names = {sample.name for sample in fresh.samples}
    assert all(math.isfinite(value) for value in numbers(fresh))
    clock.autojump = True
    await asked(app)
    clock.autojump = False
    clock.advance(100.0)
    before = (await ask(app, "/metrics")).data
    clock.advance(1000.0)
    assert (await ask(app, "/metrics")).data == before
    assert {sample.name for sample in (await scrape(app)).samples} == names


@pytest.mark.parametrize(
    ("server", "path", "names"),
    [("sglang", "/sglang/metrics", SGLANG), ("dynamo", "/dynamo/metrics", DYNAMO)],
)
async def test_the_modelled_server_shows_its_own_names_beside_vllms(
    serve: Serve, tmp_path: Path, server: str, path: str, names: set[str]
) -> None:
    app = await serve(VirtualClock(), profile=profile(tmp_path, f'server = "{server}"'))
    bodies = await asked(app, max_tokens=20)
    own, whole = await scrape(app, path), await scrape(app)
    assert names <= own.types.keys() <= whole.types.keys()
    assert VLLM.keys() <= whole.types.keys()
    assert all(math.isfinite(value) for value in numbers(own))
    prefix = {"sglang": "sglang:", "dynamo": "dynamo_frontend_"}[server]
    done = len(bodies)
    tokens = sum(body["usage"]["completion_tokens"] for body in bodies)
    latency = {"sglang": "e2e_request_latency", "dynamo": "request_duration"}[server]
    assert own.total(f"{prefix}{latency}_seconds_count") == done
    assert own.total(f"{prefix}time_to_first_token_seconds_count") == done
    output = {"sglang": "generation_tokens_total", "dynamo": "output_tokens_total"}[server]
    assert own.total(prefix + output) == tokens
    requests = {"sglang": "num_requests_total", "dynamo": "requests_total"}[server]
    assert own.total(prefix + requests) == done


async def test_dynamos_front_end_tells_how_requests_ended(serve: Serve, tmp_path: Path) -> None:
    app = await serve(VirtualClock(), profile=profile(tmp_path, 'server = "dynamo"'))
    await asked(app, 3, max_tokens=4)
    await asked(app, 2, max_tokens=4, stream=True, model="gpt-4o-mini")
    assert (await chat(app, messages=[])).status == 400
    assert (await chat(app, model="gpt-4o-mini", n=0)).status == 400
    page = await scrape(app, "/dynamo/metrics")
    name = "dynamo_frontend_requests_total"
    done = {"model": "llama-3.1-8b", "endpoint": "chat_completions", "status": "success"}
    assert page.total(name, request_type="unary", **done) == 3
    assert page.total(name, request_type="stream", **done) == 2
    assert page.total(name, status="error", error_type="validation") == 2
    assert page.total("dynamo_component_response_bytes_total") > 5 * 100


async def test_without_a_fleet_the_pages_are_there_and_empty(serve: Serve) -> None:
    app = await serve()
    for path in (
        "/metrics",
        "/vllm/metrics",
        "/sglang/metrics",
        "/dynamo/metrics",
        "/dcgm/metrics",
    ):
        assert (await scrape(app, path)).families == []
    assert (await ask(app, "/dcgm/metrics/json")).body == {}
    assert (await ask(app, "/kv-cache/metrics")).body["smart_router"]["workers"] == {}
    assert (await ask(app, "/dynamo/metrics/json")).body["summary"]["total_requests"] == 0
    got = await ask(app, "/_fakeai/v1/fleet")
    assert (got.status, got.code) == (409, "no_fleet")


async def test_adapters_are_named_where_they_run(serve: Serve, tmp_path: Path) -> None:
    pool = 'lora = ["tuned-a", "tuned-b"]\nreplicas = 1'
    clock = VirtualClock(autojump=False)
    app = await serve(clock, profile=profile(tmp_path, pool=pool))
    assert app.site is not None
    task = asyncio.create_task(chat(app, model="tuned-b", max_tokens=50, ignore_eos=True))
    while not any(worker.engine.running for worker in app.site.workers):
        clock.advance(0.005)
        await asyncio.to_thread(int)
    page = await scrape(app)
    info = next(s for s in page.samples if s.name == "vllm:lora_requests_info")
    assert info.labels == {"max_lora": "2", "running_lora_adapters": "tuned-b",
                           "waiting_lora_adapters": ""}  # fmt: skip
    assert info.value == pytest.approx(clock.wall())
    clock.autojump = True
    clock.advance(5.0)
    assert (await task).status == 200
