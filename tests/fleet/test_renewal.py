"""A fleet whose profile changes while it serves: who goes on, who is relieved, and what it takes."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakeai_proxy.fleet.cluster import Cluster
from fakeai_proxy.fleet.refusals import QueueFull, TooLong
from fakeai_proxy.profiles.fleet import FleetProfile
from fakeai_proxy.profiles.fleet_changes import changes
from tests.fleet.toys import a_fleet, a_job, a_pool, all_is_free, run


def changed(
    profile: FleetProfile, pool: dict[str, Any] | None = None, **whole: Any
) -> FleetProfile:
    """With other values in its first pool, and of its own."""
    values = profile.model_dump()
    for name, value in (pool or {}).items():
        inner = values["pool"][0]
        inner[name] = {**inner[name], **value} if isinstance(value, dict) else value
    for name, value in whole.items():
        values[name] = {**values[name], **value} if isinstance(value, dict) else value
    return FleetProfile.model_validate(values)


def renew(cluster: Cluster, at: float, pool: dict[str, Any] | None = None, **whole: Any) -> None:
    profile = changed(cluster.profile, pool, **whole)
    cluster.renew(profile, cluster.roster.models_of(profile), at)
    cluster.check()


def names(cluster: Cluster, life: str = "ready") -> list[str]:
    return [worker.name for worker in cluster.workers if worker.life == life]


def test_workers_serve_until_others_have_started_in_their_place() -> None:
    cluster, diary = a_fleet(
        a_pool(replicas=2, num_gpu_blocks=400), router={"policy": "round_robin"}
    )
    long = a_job(cluster, answer=1000)
    renew(cluster, 1.0, {"engine": {"max_num_seqs": 4}})
    assert (names(cluster), names(cluster, "starting")) == (
        ["pool-0", "pool-1"],
        ["pool-2", "pool-3"],
    )
    between = a_job(cluster, at=2.0)
    run(cluster, 5.9)
    assert between.worker is not None
    assert between.worker.name == "pool-1"
    run(cluster, 6.0)
    assert names(cluster) == ["pool-2", "pool-3"]
    assert names(cluster, "draining") == ["pool-0"]  # it has something to do
    later = a_job(cluster, at=7.0)
    run(cluster)
    assert later.worker is not None
    assert later.worker.pool.engine.max_num_seqs == 4
    assert {long, between, later} == set(diary.done)
    assert [worker.name for worker in cluster.workers] == ["pool-2", "pool-3"]
    all_is_free(cluster)


def test_who_serves_does_so_through_a_change_of_mind() -> None:
    cluster, _ = a_fleet(a_pool(replicas=2, num_gpu_blocks=400))
    for at, most in ((1.0, 4), (2.0, 8)):
        renew(cluster, at, {"engine": {"max_num_seqs": most}})
    assert names(cluster) == ["pool-0", "pool-1"]
    assert names(cluster, "starting") == ["pool-4", "pool-5"]
    run(cluster, 7.0)
    assert names(cluster) == ["pool-4", "pool-5"]
    assert [worker.pool.engine.max_num_seqs for worker in cluster.workers] == [8, 8]


def test_what_a_worker_can_take_up_it_takes_up_at_once() -> None:
    cluster, _ = a_fleet(a_pool(engine={"max_num_seqs": 1}))
    before = list(cluster.workers)
    renew(cluster, 0.0, {"max_queue": 1, "jitter_sigma": 0.5}, frontend={"latency_ms": 20})
    assert cluster.workers == before
    first = a_job(cluster)
    cluster.advance(0.03)
    assert first.sequences[0].queued_at == pytest.approx(0.02)
    a_job(cluster, at=0.03)
    with pytest.raises(QueueFull):
        a_job(cluster, at=0.03)
    run(cluster)
    assert first.finished_at is not None
    assert first.finished_at != pytest.approx(0.02 + 0.030 + 0.011 * 2)


def test_a_request_fits_into_whoever_serves_meanwhile() -> None:
    cluster, _ = a_fleet(a_pool(num_gpu_blocks=20))
    renew(cluster, 0.0, {"num_gpu_blocks": 100})
    with pytest.raises(TooLong):
        a_job(cluster, 100)
    run(cluster, 5.0)
    a_job(cluster, 100, at=5.0)
    renew(cluster, 6.0, {"num_gpu_blocks": 20})
    with pytest.raises(TooLong):
        a_job(cluster, 100, at=6.0)


def test_a_router_that_begins_to_listen_knows_what_is_cached() -> None:
    cluster, _ = a_fleet(a_pool(replicas=2), router={"policy": "round_robin"})
    prompt = list(range(40))
    a_job(cluster, prompt)
    a_job(cluster, list(range(100, 140)))
    run(cluster, 1.0)
    renew(cluster, 1.0, router={"policy": "kv"})
    for at in (2.0, 3.0):
        again = a_job(cluster, prompt, at=at)
        assert again.worker is not None
        assert again.worker.name == "pool-0"
        run(cluster, at + 0.5)
    for policy in ("least_loaded", "kv"):
        renew(cluster, 4.0, router={"policy": policy})
    assert a_job(cluster, prompt, at=4.0).worker is again.worker
    run(cluster)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["job", "seqs", "policy", "replicas", "kill"]),
                          st.integers(1, 4), st.integers(1, 30)), max_size=25))  # fmt: skip
def test_nothing_is_lost_whatever_changes(history: list[tuple[str, int, int]]) -> None:
    cluster, diary = a_fleet(a_pool(replicas=2), router={"policy": "round_robin"})
    at, jobs = 0.0, []
    for kind, number, wait in history:
        at += wait / 10
        cluster.advance(at)
        match kind:
            case "job":
                jobs.append(a_job(cluster, 10 * number, answer=50, at=at))
            case "seqs":
                renew(cluster, at, {"engine": {"max_num_seqs": number}})
            case "policy":
                policy = ("kv", "cache_aware", "scorers", "random")[number - 1]
                renew(cluster, at, router={"policy": policy})
            case "replicas":
                renew(cluster, at, {"replicas": number})
            case "kill" if len(names(cluster)) > 1:
                cluster.kill(cluster.workers[-1], at)
        cluster.check()
    run(cluster, math.inf)
    assert set(diary.done) | set(diary.lost) == set(jobs)
    present = cluster.roster.pools["pool"]
    serving = [worker for worker in cluster.workers if worker.life != "dead"]
    # Where all who were to take their place were killed, who was there before serves on.
    assert len({worker.pool is present for worker in serving}) <= 1


def test_each_key_says_what_it_takes() -> None:
    cluster, _ = a_fleet(kv_event_blocks=0, router={"policy": "random"})
    before = cluster.profile
    assert changes(before, before) == ((), (), ())
    after = changed(
        before,
        {"max_queue": 3, "tp": 2, "role": "both", "engine": {"max_num_seqs": 4, "block_size": 8},
         "serves": ("x",)},
        router={"policy": "kv", "temperature": 1.0}, server="sglang", on_death="fail",
    )  # fmt: skip
    found = changes(before, after)
    assert set(found.at_once) == {"on_death", "router.temperature", "pool.pool.max_queue"}
    assert set(found.by_workers) == {"pool.pool.tp", "pool.pool.engine.max_num_seqs"}
    assert set(found.by_restart) == {
        "server", "router.policy", "pool.pool.serves", "pool.pool.engine.block_size",
    }  # fmt: skip
    other = changed(before, {"name": "other"})
    assert changes(before, other).by_restart == ("pool.pool", "pool.other")
