"""The log of KV events reads like vLLM's, and replayed it gives what the cache holds."""

from __future__ import annotations

import json
from typing import Any

from fakeai_proxy.fleet.cluster import Cluster
from fakeai_proxy.fleet.kv_events import KvLog, Removed
from tests.fleet.toys import BLOCK, a_fleet, a_job, a_pool, run


def batches(cluster: Cluster, worker: str = "pool-0", after: int = -1) -> list[dict[str, Any]]:
    told = cluster.roster.logs[worker].after(after)
    assert json.loads(json.dumps(told)) == told
    return told


def events(cluster: Cluster, after: int = -1) -> list[dict[str, Any]]:
    return [event for batch in batches(cluster, after=after) for event in batch["events"]]


def test_stored_blocks_are_told_with_parent_tokens_and_adapter() -> None:
    cluster, _ = a_fleet(a_pool(lora=["tuned"]))
    prompt = list(range(70, 79))
    job = a_job(cluster, prompt, 4, model="tuned", output=[5, 6, 7, 8])
    run(cluster)
    [stored, answer] = events(cluster)
    assert stored == {
        "type": "BlockStored",
        "block_hashes": job.hashes[:2],
        "parent_block_hash": None,
        "token_ids": prompt[:8],
        "lora_id": None,
        "lora_name": "tuned",
        "block_size": BLOCK,
        "medium": "GPU",
    }
    assert answer["parent_block_hash"] == job.hashes[1]
    assert answer["token_ids"] == [78, 5, 6, 7]


def test_the_events_of_a_step_come_when_it_ends_under_one_number() -> None:
    cluster, _ = a_fleet()
    a_job(cluster, list(range(8)))
    a_job(cluster, list(range(50, 58)))
    run(cluster, until=0.0)
    assert not batches(cluster)
    run(cluster)
    [batch] = batches(cluster)
    assert (batch["seq"], len(batch["events"])) == (0, 2)
    assert abs(batch["ts"] - 0.026) < 1e-9


def test_only_what_comes_after_a_number_is_told() -> None:
    cluster, _ = a_fleet()
    for k in range(3):
        a_job(cluster, list(range(100 * k, 100 * k + 8)), at=float(k))
        run(cluster)
    assert [batch["seq"] for batch in batches(cluster, after=0)] == [1, 2]
    assert not batches(cluster, after=2)


def test_replayed_the_log_gives_what_the_cache_holds() -> None:
    cluster, _ = a_fleet(a_pool(num_gpu_blocks=20))
    for k in range(12):
        head = 1000 * (k % 3)
        a_job(cluster, list(range(head, head + 30 + k)), 3, at=k / 10)
    run(cluster)
    held: set[int] = set()
    kinds = set()
    for event in events(cluster):
        kinds.add(event["type"])
        blocks = set(event["block_hashes"])
        if event["type"] == "BlockStored":
            parent = event["parent_block_hash"]
            assert parent is None or parent in held
            assert not blocks & held
            held |= blocks
        else:
            assert blocks <= held
            held -= blocks
    assert kinds == {"BlockStored", "BlockRemoved"}
    assert held == set(cluster.workers[0].engine.cache.names())


def test_a_dead_worker_s_cache_is_cleared_and_its_numbers_go_on() -> None:
    cluster, _ = a_fleet()
    a_job(cluster, list(range(8)))
    run(cluster)
    cluster.restart(cluster.workers[0], 1.0)
    run(cluster)
    assert [(batch["seq"], batch["events"][0]["type"]) for batch in batches(cluster)] == [
        (0, "BlockStored"), (1, "AllBlocksCleared"),
    ]  # fmt: skip


def test_the_log_forgets_the_oldest() -> None:
    log = KvLog(BLOCK, 5)
    for k in range(4):
        log.read(float(k), [Removed([10 * k, 10 * k + 1])])
    assert [batch["seq"] for batch in log.after(-1)] == [2, 3]


def test_without_a_log_and_a_router_that_listens_nobody_is_told() -> None:
    cluster, _ = a_fleet(kv_event_blocks=0, router={"policy": "round_robin"})
    assert cluster.workers[0].feed is None
    assert not cluster.roster.logs
