"""A fleet that two processes simulate together: each its share, and the pages show all of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.workers.conftest import Service, serving

PATHS = ("/metrics", "/vllm/metrics", "/sglang/metrics", "/dynamo/metrics", "/dcgm/metrics")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("data")
    with serving(
        folder,
        "--profile",
        "8xa100-qwen3-32b",
        "--speed",
        "200",
        "--any-model",
        "--dcgm-listen",
        "0",
    ) as one:
        yield one


def total(client: httpx.Client, name: str, path: str = "/metrics") -> float:
    families = text_string_to_metric_families(client.get(path).text)
    return sum(s.value for family in families for s in family.samples if s.name == name)


def workers_of(service: Service) -> dict[str, dict[str, object]]:
    return {one["name"]: one for one in service.control("GET", "fleet")["workers"]}


def test_counters_are_those_of_all(service: Service) -> None:
    before = total(service.clients[0], "vllm:request_success_total")
    answers = [
        service.chat(client, f"Question {k}") for k, client in enumerate(service.clients * 5)
    ]
    usage: Counter[str] = Counter()
    for answer in answers:
        usage.update({k: v for k, v in answer.json()["usage"].items() if isinstance(v, int)})
    for client in service.clients:
        assert total(client, "vllm:request_success_total") - before == 20
        assert total(client, "vllm:generation_tokens_total") >= usage["completion_tokens"]
        view = client.get("/dynamo/metrics/json").json()
        assert view["summary"]["successful_requests"] >= 20
        assert len(client.get("/kv-cache/metrics").json()["smart_router"]["workers"]) == 4
    seen = {one["worker"] for one in service.control("GET", "journal")["data"]}
    assert len(seen) >= 2, "both processes have workers of their own"


@pytest.mark.parametrize("path", PATHS)
def test_no_series_is_told_twice_and_all_workers_are_there(service: Service, path: str) -> None:
    for client in service.clients:
        found: Counter[tuple[object, ...]] = Counter()
        for family in text_string_to_metric_families(client.get(path).text):
            found.update((s.name, *sorted(s.labels.items())) for s in family.samples)
        assert found
        assert max(found.values()) == 1
    gpus = {s for s in found if s[0] == "DCGM_FI_DEV_POWER_USAGE"}
    assert len(gpus) == (8 if path == "/dcgm/metrics" else 0)


def test_the_exporters_show_every_gpu(service: Service) -> None:
    import json

    ready = next(json.loads(line) for line in service.program.said if '"ready"' in line)
    text = "".join(httpx.get(f"{url}/metrics").text for url in ready["dcgm"].values())
    assert text.count("\nDCGM_FI_DEV_POWER_USAGE{") == 8


def test_a_worker_dies_in_the_process_that_has_it_and_others_stand_in(service: Service) -> None:
    names = sorted(workers_of(service))
    assert len(names) == 4
    for name in names[:3]:
        answer = service.control("POST", f"fleet/workers/{name}/kill", {"reason": "a test"})
        assert (answer["worker"], answer["life"]) == (name, "dead")
    for client in service.clients:
        lives = {w["name"]: w["life"] for w in client.get("/_fakeai/v1/fleet").json()["workers"]}
        assert lives == dict(zip(names, ["dead"] * 3 + ["ready"], strict=True))
    answers = [service.chat(client, "Who is left?") for client in service.clients]
    assert [one.status_code for one in answers] == [200] * 4
    told = service.control("GET", "journal?limit=4")["data"]
    assert {one["worker"] for one in told} == {names[3]}
    for client in service.clients:
        text = client.get("/vllm/metrics").text
        families = text_string_to_metric_families(text)
        series = [s for f in families for s in f.samples if s.name == "vllm:num_requests_running"]
        assert len(series) == 4
    for name in names[:3]:
        service.control("POST", f"fleet/workers/{name}/restart", {})
    unknown = service.clients[0].post("/_fakeai/v1/fleet/workers/nobody/kill", json={})
    assert unknown.status_code == 404


def test_a_pool_is_scaled_in_all_processes(service: Service) -> None:
    (pool,) = service.control("GET", "fleet")["pools"]
    scaled = service.control("POST", f"fleet/pools/{pool['name']}/scale", {"replicas": 6})
    assert len(scaled["workers"]) == 6
    for client in service.clients:
        told = client.get("/_fakeai/v1/fleet").json()
        assert [one["name"] for one in told["workers"]] == list(scaled["workers"])
