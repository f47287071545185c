"""The control API's rows of the fleet, and what they do to its requests and metrics."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.errors import ConfigError
from tests.conftest import Serve
from tests.observe.asking import Got, ask, chat
from tests.observe.test_metrics_pages import Scrape, asked, profile, scrape

FLEET = "/_fakeai/v1/fleet"


async def view(app: App) -> dict[str, Any]:
    got = await ask(app, FLEET)
    assert got.status == 200
    return dict(got.body)


async def worker(app: App, name: str = "pool-0") -> dict[str, Any]:
    return next(each for each in (await view(app))["workers"] if each["name"] == name)


async def do(app: App, verb: str, name: str = "pool-0", **body: object) -> Got:
    return await ask(app, f"{FLEET}/workers/{name}/{verb}", "POST", body)


async def test_the_view_tells_of_pools_and_workers(serve: Serve, tmp_path: Path) -> None:
    app = await serve(VirtualClock(), profile=profile(tmp_path))
    bodies = await asked(app, 6, max_tokens=20)
    seen = await view(app)
    assert [pool["workers"] for pool in seen["pools"]] == [["pool-0", "pool-1"]]
    tokens = sum(body["usage"]["completion_tokens"] for body in bodies)
    assert sum(each["generation_tokens"] for each in seen["workers"]) == tokens
    assert {each["life"] for each in seen["workers"]} == {"ready"}
    assert all(each["gpu"]["power_w"] > 60 for each in seen["workers"])


async def test_a_killed_workers_requests_go_on_elsewhere(serve: Serve, tmp_path: Path) -> None:
    clock = VirtualClock(autojump=False)
    app = await serve(clock, profile=profile(tmp_path))
    assert app.site is not None
    task = asyncio.create_task(chat(app, model="llama-3.1-8b", max_tokens=60, ignore_eos=True))
    while not any(each.engine.running for each in app.site.workers):
        clock.advance(0.05)
        await asyncio.to_thread(int)
    busy = next(each.name for each in app.site.workers if each.engine.running)
    got = await do(app, "kill", busy, reason="a test")
    assert got.body == {"worker": busy, "life": "dead", "died_of": "a test"}
    while not task.done():
        clock.advance(0.05)
        await asyncio.to_thread(int)
    answer = await task
    assert answer.status == 200
    assert answer.body["usage"]["completion_tokens"] == 60
    page = await scrape(app)
    assert page.total("vllm:request_success_total", finished_reason="error") == 1
    assert page.total("vllm:request_success_total", finished_reason="length") == 1
    assert page.total("vllm:generation_tokens_total") == 60


async def test_a_dead_worker_serves_again_when_it_was_restarted(
    serve: Serve, tmp_path: Path
) -> None:
    clock = VirtualClock(autojump=False)
    app = await serve(clock, profile=profile(tmp_path, pool="replicas = 1\ncold_start_s = 30"))
    await do(app, "kill")
    assert (await do(app, "slow", factor=2)).code == "worker_is_dead"
    refused = await chat(app)
    assert refused.status == 503
    assert (await do(app, "restart")).body["life"] == "starting"
    assert (await worker(app))["ready_in_s"] == pytest.approx(30)
    clock.advance(31)
    assert (await worker(app))["life"] == "ready"
    clock.autojump = True
    assert (await chat(app)).status == 200


@pytest.mark.parametrize(
    ("verb", "body"), [("xid", {"code": 79}), ("ecc", {"kind": "dbe"}), ("xid", {"code": 48})]
)
async def test_a_fatal_fault_kills_the_worker_and_shows_on_its_gpu(
    serve: Serve, tmp_path: Path, verb: str, body: dict[str, object]
) -> None:
    app = await serve(VirtualClock(), profile=profile(tmp_path))
    got = await do(app, verb, **body)
    assert got.body["life"] == "dead"
    seen = await worker(app)
    code = body.get("code", 48)
    assert seen["gpu"]["xid"] == code
    page = await scrape(app, "/dcgm/metrics")
    assert page.total("DCGM_FI_DEV_XID_ERRORS") == code
    assert (await chat(app)).status == 200  # by the other one


async def test_a_harmless_xid_is_shown_and_nobody_dies(serve: Serve, tmp_path: Path) -> None:
    app = await serve(VirtualClock(), profile=profile(tmp_path))
    assert (await do(app, "xid", code=63)).body["life"] == "ready"
    assert (await do(app, "ecc", count=5)).body["life"] == "ready"
    page = await scrape(app, "/dcgm/metrics")
    assert page.total("DCGM_FI_DEV_XID_ERRORS") == 63


async def duration(app: App) -> float:
    """Of 400 tokens, in simulated seconds."""
    began = app.clock.now()
    answer = await chat(app, model="llama-3.1-8b", max_tokens=400, ignore_eos=True)
    assert answer.body["usage"]["completion_tokens"] == 400
    return app.clock.now() - began


async def test_a_slow_worker_takes_so_much_longer(serve: Serve, tmp_path: Path) -> None:
    pool = "replicas = 1\njitter_sigma = 0\nstall_p = 0"
    app = await serve(VirtualClock(), profile=profile(tmp_path, pool=pool))
    normal = await duration(app)
    assert (await do(app, "slow", factor=3)).status == 200
    assert await duration(app) == pytest.approx(3 * normal, rel=0.02)
    assert (await worker(app))["slowdown"] == 3
    await do(app, "slow", factor=1)
    assert await duration(app) == pytest.approx(normal, rel=0.02)


async def test_a_power_cap_slows_the_worker_until_it_is_healed(
    serve: Serve, tmp_path: Path
) -> None:
    pool = "replicas = 1\njitter_sigma = 0\nstall_p = 0"
    app = await serve(VirtualClock(), profile=profile(tmp_path, pool=pool))
    await duration(app)
    normal = await duration(app)
    assert (await do(app, "power-cap", limit_w=150)).status == 200
    await duration(app)
    assert await duration(app) > 1.1 * normal
    await do(app, "heal")
    await duration(app)
    assert await duration(app) == pytest.approx(normal, rel=0.05)


async def test_scaling_up_starts_cold_and_scaling_down_lets_requests_finish(
    serve: Serve, tmp_path: Path
) -> None:
    clock = VirtualClock(autojump=False)
    pool = "replicas = 1\ncold_start_s = 20"
    app = await serve(clock, profile=profile(tmp_path, pool=pool))
    got = await ask(app, f"{FLEET}/pools/pool/scale", "POST", {"replicas": 3})
    assert got.body["workers"] == {"pool-0": "ready", "pool-1": "starting", "pool-2": "starting"}
    clock.advance(21)
    assert [each["life"] for each in (await view(app))["workers"]] == ["ready"] * 3
    page = await scrape(app, "/dcgm/metrics")
    assert len({sample.labels["UUID"] for sample in page.samples}) == 3
    await ask(app, f"{FLEET}/pools/pool/scale", "POST", {"replicas": 1})
    assert [each["name"] for each in (await view(app))["workers"]] == ["pool-0"]
    page = await scrape(app)
    assert {sample.labels["engine"] for sample in page.samples} == {"0"}


async def test_a_drained_worker_takes_nothing_until_it_resumes(
    serve: Serve, tmp_path: Path
) -> None:
    app = await serve(VirtualClock(), profile=profile(tmp_path))
    assert (await do(app, "drain")).body["life"] == "draining"
    await asked(app, 6, max_tokens=5)
    assert (await worker(app))["ended"]["length"] == 0
    assert (await do(app, "resume")).body["life"] == "ready"
    await asked(app, 6, max_tokens=5)
    assert (await worker(app))["ended"]["length"] > 0


async def test_kv_events_tell_what_was_stored_and_go_on_where_one_stopped(
    serve: Serve, tmp_path: Path
) -> None:
    app = await serve(VirtualClock(), profile=profile(tmp_path, pool="replicas = 1"))
    await asked(app, 1, max_tokens=5)
    await chat(app, messages=[{"role": "user", "content": "Another story: " + "once " * 60}])
    first = (await ask(app, f"{FLEET}/kv-events")).body["workers"]["pool-0"]
    stored = [
        block
        for batch in first["batches"]
        for event in batch["events"]
        if event["type"] == "BlockStored"
        for block in event["block_hashes"]
    ]
    assert len(stored) == len(set(stored)) == (await worker(app))["cached_blocks"]
    last = first["batches"][-1]["seq"]
    more = await ask(app, f"{FLEET}/kv-events?worker=pool-0&after={last}")
    assert more.body["workers"]["pool-0"] == {"batches": [], "has_more": False}
    one = (await ask(app, f"{FLEET}/kv-events?limit=1")).body["workers"]["pool-0"]
    assert len(one["batches"]) == 1
    assert one["has_more"]


@pytest.mark.parametrize(
    ("target", "body", "status", "code"),
    [
        ("workers/nobody/kill", {}, 404, "worker_not_found"),
        ("pools/nothing/scale", {"replicas": 1}, 404, "pool_not_found"),
        ("workers/pool-0/xid", {"code": 79, "gpu": 3}, 400, "invalid_value"),
        ("workers/pool-0/slow", {"factor": 0}, 400, "greater_than_equal"),
        ("workers/pool-0/kill", {"why": "?"}, 400, "unknown_parameter"),
        ("pools/pool/scale", {}, 400, "missing_required_parameter"),
        ("pools/pool/scale", {"workers": 2}, 400, "unknown_parameter"),
    ],
)
async def test_what_cannot_be_done_is_told(
    serve: Serve, tmp_path: Path, target: str, body: dict[str, object], status: int, code: str
) -> None:
    app = await serve(VirtualClock(), profile=profile(tmp_path))
    got = await ask(app, f"{FLEET}/{target}", "POST", body)
    assert (got.status, got.code) == (status, code)


async def test_each_node_has_a_page_of_its_own_and_new_ones_get_one(
    serve: Serve, tmp_path: Path
) -> None:
    clock = VirtualClock(autojump=False)
    fleet = profile(tmp_path, "gpus_per_node = 2", "tp = 2\nreplicas = 2")
    app = await serve(clock, profile=fleet, dcgm_listen="127.0.0.1:0")
    await ask(app, f"{FLEET}/pools/pool/scale", "POST", {"replicas": 3})
    nodes = app.exporters.addresses
    assert list(nodes) == ["gpu-node-0", "gpu-node-1", "gpu-node-2"]
    uuids: set[str] = set()
    for node, address in nodes.items():
        got = await at(address.port, "/metrics")
        page = Scrape(got)
        assert {sample.labels["Hostname"] for sample in page.samples} == {node}
        uuids |= {sample.labels["UUID"] for sample in page.samples}
        assert (await at(address.port, "/health")).status == 200
        assert (await at(address.port, "/else")).status == 404
    assert len(uuids) == 6
    await app.exporters.close()
    with pytest.raises(ConnectionRefusedError):
        await at(next(iter(nodes.values())).port, "/metrics")


def _taken() -> socket.socket:
    """A port after one that is free, below those that the kernel gives to others meanwhile."""
    for port in range(10_001 + os.getpid() % 5_000, 20_000):
        with suppress(OSError):
            socket.create_server(("127.0.0.1", port - 1)).close()
            return socket.create_server(("127.0.0.1", port))
    raise AssertionError("no two ports are free")


async def test_a_port_that_is_taken_is_told_at_start_and_later_costs_one_page_only(
    serve: Serve, tmp_path: Path
) -> None:
    with _taken() as taken:
        port = taken.getsockname()[1]
        fleet = profile(tmp_path, "gpus_per_node = 1", "replicas = 1")
        with pytest.raises(ConfigError, match="dcgm_listen"):
            await serve(VirtualClock(), profile=fleet, dcgm_listen=f"127.0.0.1:{port}")
        app = await serve(VirtualClock(), profile=fleet, dcgm_listen=f"127.0.0.1:{port - 1}")
        got = await ask(app, f"{FLEET}/pools/pool/scale", "POST", {"replicas": 2})
        assert got.status == 200
        assert list(app.exporters.addresses) == ["gpu-node-0"]


async def test_gpus_need_a_fleet(serve: Serve) -> None:
    with pytest.raises(ConfigError, match="dcgm_listen: the profile none is no fleet"):
        await serve(dcgm_listen="127.0.0.1:0")
    with pytest.raises(ConfigError, match="dcgm_listen: 'nowhere' is no address"):
        await serve(profile="1xh100-8b", dcgm_listen="nowhere")


async def at(port: int, path: str) -> Got:
    class Elsewhere:
        url = f"http://127.0.0.1:{port}"

    return await ask(Elsewhere(), path)  # type: ignore[arg-type]  # only its URL is looked at


async def test_energy_is_the_integral_of_power(serve: Serve, tmp_path: Path) -> None:
    clock = VirtualClock(autojump=False)
    app = await serve(clock, profile=profile(tmp_path, pool="replicas = 1"))
    task = asyncio.create_task(chat(app, model="llama-3.1-8b", max_tokens=3000, ignore_eos=True))
    assert app.site is not None
    while not app.site.workers[0].engine.running:
        clock.advance(0.001)
        await asyncio.to_thread(int)
    clock.advance(1.0 - clock.now() % 1.0)
    name = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION_total"  # the parser adds the end
    first = await scrape(app, "/dcgm/metrics")
    before_mj = first.total(name)
    joules = 0.0
    for _ in range(15):
        clock.advance(1.0)
        page = await scrape(app, "/dcgm/metrics")
        joules += page.total("DCGM_FI_DEV_POWER_USAGE")
    assert (page.total(name) - before_mj) / 1000 == pytest.approx(joules, rel=0.02)
    clock.autojump = True
    clock.advance(30)
    assert (await task).status == 200
