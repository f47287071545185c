"""Each policy's choice, told by hand; and that a long prompt is placed in no time."""

from __future__ import annotations

from collections import Counter

import pytest

from fakeai_proxy.fleet.block_index import BlockIndex, CountedBlocks, RecentBlocks
from fakeai_proxy.fleet.cluster import Cluster
from fakeai_proxy.fleet.job import Job
from fakeai_proxy.fleet.refusals import (
    MANNERS,
    Busy,
    NoSuchModel,
    NothingReady,
    QueueFull,
    Refusal,
    TooLong,
)
from fakeai_proxy.fleet.routing import POLICIES
from fakeai_proxy.profiles.fleet import FleetProfile
from tests.fleet.toys import Toy, a_fleet, a_job, a_pool, run


def a_routed_fleet(policy: str, replicas: int = 3, **router: object) -> Cluster:
    return a_fleet(a_pool(replicas=replicas), router={"policy": policy, **router})[0]


def name_of(job: Job) -> str:
    assert job.worker is not None
    return job.worker.name


def names(cluster: Cluster, count: int, at: float = 0.0) -> list[str]:
    return [name_of(a_job(cluster, at=at)) for _ in range(count)]


def test_round_robin_goes_round() -> None:
    assert names(a_routed_fleet("round_robin"), 4) == ["pool-0", "pool-1", "pool-2", "pool-0"]


def test_random_takes_all_about_as_often() -> None:
    counts = Counter(names(a_routed_fleet("random"), 300))
    assert len(counts) == 3
    assert min(counts.values()) > 70


@pytest.mark.parametrize("policy", ["least_loaded", "kv"])
def test_requests_that_share_nothing_are_spread_evenly(policy: str) -> None:
    cluster = a_routed_fleet(policy)
    jobs = [a_job(cluster, at=k / 1e6) for k in range(30)]
    assert set(Counter(map(name_of, jobs)).values()) == {10}


def test_two_choices_are_better_than_one() -> None:
    two = Counter(names(a_routed_fleet("power_of_two", 10), 200))
    one = Counter(names(a_routed_fleet("random", 10), 200))
    assert max(two.values()) - min(two.values()) < max(one.values()) - min(one.values())


def test_the_router_forgets_a_request_when_it_has_ended() -> None:
    cluster = a_routed_fleet("least_loaded", 2)
    long, short = a_job(cluster, 20, 50), a_job(cluster, 20, 1)
    run(cluster, until=0.2)
    assert long.worker is not short.worker
    assert a_job(cluster, at=0.2).worker is short.worker


# kv


def test_kv_follows_the_cache_as_events_tell_of_it() -> None:
    cluster = a_routed_fleet("kv", 8)
    prompt = list(range(40))
    first = name_of(a_job(cluster, prompt, 1))
    run(cluster)
    assert [
        name_of(a_job(cluster, prompt, 1, at=1.0 + k)) for k in range(5) if not run(cluster)
    ] == [first] * 5


def test_kv_knows_nothing_of_a_cache_before_the_step_has_ended() -> None:
    cluster = a_routed_fleet("kv", 2)
    prompt = list(range(40))
    first = name_of(a_job(cluster, prompt, 50))
    run(cluster, until=0.0)  # the step has begun: the engine itself would hit already
    assert name_of(a_job(cluster, prompt, 50)) != first


def test_kv_weighs_blocks_to_prefill_against_blocks_in_use() -> None:
    cluster = a_routed_fleet("kv", 2)
    prompt = list(range(40))
    cached = name_of(a_job(cluster, prompt, 1))
    run(cluster)
    # The router believes 20 blocks in use there, 10 of them to be computed: 30 against the
    # 10 + 10 of the other, less 9 that are cached.
    loading = next(worker for worker in cluster.workers if worker.name == cached)
    cluster.drain(next(worker for worker in cluster.workers if worker is not loading), 1.0)
    a_job(cluster, list(range(1000, 1080)), 50, at=1.0)
    cluster.resume(next(worker for worker in cluster.workers if worker is not loading), 1.0)
    assert name_of(a_job(cluster, prompt, 1, at=1.0)) != cached


def test_kv_with_a_temperature_takes_others_too() -> None:
    prompt = list(range(40))

    def share(temperature: float) -> float:
        cluster = a_routed_fleet("kv", 4, temperature=temperature)
        first = name_of(a_job(cluster, prompt, 1))
        run(cluster)
        hits = 0
        for k in range(100):
            job = a_job(cluster, prompt, 1, at=1.0 + k)
            cluster.cancel(job)
            hits += name_of(job) == first
        return hits / 100

    assert share(0) == 1.0
    assert 0.9 > share(0.5) > share(100) - 0.1
    assert 0.1 < share(100) < 0.45


def test_what_a_worker_has_lost_does_not_draw_requests() -> None:
    cluster = a_routed_fleet("kv", 3)
    prompt = list(range(40))
    first = a_job(cluster, prompt, 1)
    run(cluster)
    assert first.worker is not None
    cluster.restart(first.worker, 1.0)
    run(cluster)
    router = cluster.roster.router(first.worker.pool)
    assert not router.cached.depths(first.hashes, -1)


# cache_aware


def test_cache_aware_follows_what_was_sent_and_else_the_smallest_tree() -> None:
    cluster = a_routed_fleet("cache_aware")
    chat, other = list(range(40)), list(range(100, 120))
    assert [name_of(a_job(cluster, prompt)) for prompt in (chat, other, chat, chat)] == [
        "pool-0", "pool-1", "pool-0", "pool-0",
    ]  # fmt: skip
    assert name_of(a_job(cluster, list(range(200, 212)))) == "pool-2"


def test_cache_aware_needs_a_share_of_the_prompt() -> None:
    cluster = a_routed_fleet("cache_aware")
    a_job(cluster, list(range(40)))
    head = list(range(12))
    assert name_of(a_job(cluster, head + list(range(500, 528)))) == "pool-1"  # 12 of 40: not more
    assert name_of(a_job(cluster, head + list(range(600, 627)))) == "pool-0"  # 12 of 39


def test_cache_aware_gives_up_the_cache_where_loads_are_too_far_apart() -> None:
    cluster = a_routed_fleet("cache_aware", 2, balance_abs_threshold=5)
    prompt = list(range(40))
    assert [name_of(a_job(cluster, prompt)) for _ in range(7)] == ["pool-0"] * 6 + ["pool-1"]


# scorers


def test_scorers_weigh_the_cache_the_queue_and_the_room() -> None:
    prompt = list(range(40))
    for weight, follows in ((3.0, True), (0.0, False)):
        cluster = a_routed_fleet("scorers", 2, prefix_weight=weight)
        first = a_job(cluster, prompt, 60)
        run(cluster, until=0.3)
        assert (a_job(cluster, prompt, at=0.3).worker is first.worker) is follows


def test_scorers_see_workers_as_they_were_at_the_last_scrape() -> None:
    cluster = a_routed_fleet("scorers", 2)
    first = a_job(cluster, 40, 60)
    views = cluster.roster.router(cluster.workers[0].pool).views
    run(cluster, until=0.055)
    assert all(view.kv_usage == 0 for view in views.values())
    assert a_job(cluster, 40, 60, at=0.055).worker is not first.worker
    assert first.worker is not None
    assert views[first.worker].kv_usage > 0


# All


def test_requests_of_a_session_stay_together_while_their_worker_serves() -> None:
    cluster = a_routed_fleet("round_robin")
    first = a_job(cluster, session="mine")
    a_job(cluster)
    assert a_job(cluster, session="mine").worker is first.worker
    assert first.worker is not None
    cluster.drain(first.worker, 0.0)
    assert a_job(cluster, session="mine").worker is not first.worker


@pytest.mark.parametrize("policy", POLICIES)
def test_all_policies_find_the_only_worker(policy: str) -> None:
    assert names(a_routed_fleet(policy, 1), 2) == ["pool-0"] * 2


# Refusals


def test_a_full_queue_refuses_and_the_router_asks_the_others_first() -> None:
    cluster, _ = a_fleet(
        a_pool(replicas=2, max_queue=2), router={"policy": "round_robin"}, server="trtllm"
    )
    names(cluster, 4)
    with pytest.raises(QueueFull) as refused:
        a_job(cluster)
    assert refused.value.retry_after_s > 0
    told = refused.value.told_by("trtllm")
    assert told.message == "Maximum queue size of 2 has been reached, please try again later"
    assert refused.value.told_by("sglang").message == "The request queue is full."
    assert refused.value.told_by("sglang").status == 503
    run(cluster, until=0.0)  # all of them run: there is room again
    assert len(names(cluster, 4)) == 4


def test_a_refused_job_leaves_no_trace() -> None:
    cluster, _ = a_fleet(a_pool(max_queue=1))
    names(cluster, 1)
    with pytest.raises(QueueFull):
        a_job(cluster)
    cluster.check()
    assert len(cluster.workers[0].sequences) == 1


def test_where_all_workers_have_too_many_blocks_in_use_requests_are_refused() -> None:
    for policy in ("kv", "round_robin"):
        cluster = a_routed_fleet(policy, 2, busy_blocks_share=0.2)
        jobs = [a_job(cluster, 84, at=k / 1e6) for k in range(2)]
        assert {name_of(job) for job in jobs} == {"pool-0", "pool-1"}
        with pytest.raises(Busy) as refused:
            a_job(cluster)
        told = refused.value.told_by("dynamo")
        assert (told.status, "All workers are busy" in told.message) == (503, True)
        run(cluster)
        a_job(cluster, at=cluster.now)


@pytest.mark.parametrize(
    ("prompt", "output", "pool", "limit", "words"),
    [
        (90, 11, {"max_model_len": 100}, 100, "context"),
        (390, 20, {}, 400, "KV cache"),
        (401, 0, {}, 400, "KV cache"),
    ],
)
def test_what_does_not_fit_is_told_with_its_numbers(
    prompt: int, output: int, pool: dict[str, object], limit: int, words: str
) -> None:
    cluster, _ = a_fleet(a_pool(**pool))
    with pytest.raises(TooLong, match=words) as refused:
        a_job(cluster, prompt, output)
    assert refused.value.limit_tokens == limit
    told = refused.value.told_by("vllm")
    assert (told.status, told.param) == (400, "input_tokens")
    assert all(str(number) in told.message for number in (prompt, output, limit, prompt + output))


def test_the_model_s_own_context_holds_where_the_pool_names_none() -> None:
    class Short(Toy):
        context_tokens = 50

    cluster, _ = a_fleet(toy=Short)
    with pytest.raises(TooLong):
        a_job(cluster, 40, 11)
    a_job(cluster, 40, 10)


def test_the_largest_answer_that_the_client_allows_must_fit_the_context() -> None:
    cluster, _ = a_fleet(a_pool(max_model_len=100))
    with pytest.raises(TooLong):
        a_job(cluster, 90, 5, output_limit=11)


def test_what_fits_one_pool_of_a_model_only_goes_there() -> None:
    cluster, _ = a_fleet(a_pool(name="a", num_gpu_blocks=10), a_pool(name="b"))
    assert {name_of(a_job(cluster, 60, at=k / 1e6)) for k in range(6)} == {"b-0"}
    with pytest.raises(TooLong):
        a_job(cluster, 500)


def test_a_name_that_nobody_answers_to_is_told() -> None:
    cluster, _ = a_fleet(a_pool(serves=["toy-*"]))
    with pytest.raises(NoSuchModel) as refused:
        a_job(cluster, model="gpt-4o")
    assert refused.value.told_by("vllm").message == "The model `gpt-4o` does not exist."


def test_where_nothing_serves_it_says_for_how_long() -> None:
    cluster, _ = a_fleet(a_pool(name="p", role="prefill"), a_pool(name="d", role="decode"))
    cluster.restart(cluster.workers[1], 0.0)
    with pytest.raises(NothingReady) as refused:
        a_job(cluster, at=2.0)
    assert refused.value.retry_after_s == pytest.approx(3.0)


def test_every_server_has_words_for_every_refusal() -> None:
    refusals: list[Refusal] = [
        Busy("busy"), QueueFull(3, 2, 1.0), TooLong(5, 6, 7, "x"), NoSuchModel("m"),
        NothingReady("pool", 1.0),
    ]  # fmt: skip
    for server in MANNERS:
        for refusal in refusals:
            manner = refusal.told_by(server)
            assert 400 <= manner.status < 600
            assert "{" not in manner.message


def test_pools_of_a_model_name_their_blocks_alike() -> None:
    with pytest.raises(ValueError, match="block_size"):
        a_fleet(a_pool(name="a"), a_pool(name="b", engine={"block_size": 8}))
    assert FleetProfile.model_fields["migration_limit"].default == 3


# The index


def test_leading_blocks_are_counted_for_all_workers_at_once() -> None:
    index = BlockIndex()
    index.add(1, [10, 11, 12])
    index.add(2, [10, 12])
    index.add(4, [11])
    assert index.depths([10, 11, 12, 13], 7) == {1: 3, 2: 1}
    assert index.depths([10, 11, 12, 13], 2) == {2: 1}
    index.remove(1, [11])
    assert index.depths([10, 11], 7) == {1: 1, 2: 1}
    assert index.held(1) == {10, 12}


def test_a_block_that_two_use_is_in_use_until_both_are_done() -> None:
    blocks = CountedBlocks()
    blocks.use(1, [10, 11])
    blocks.use(1, [10])
    assert blocks.count(1) == 2
    blocks.free(1, [10, 11])
    assert blocks.held(1) == {10}
    blocks.free(1, [10])
    assert blocks.count(1) == 0


def test_of_what_was_sent_tails_are_forgotten_first() -> None:
    tree = RecentBlocks(3)
    tree.sent(1, [10, 11])
    tree.sent(1, [20, 21])
    assert tree.held(1) == {10, 20, 21}
    assert tree.size(1) == 3
    tree.forget(1)
    assert not tree.held(1)
