"""Jobs in a cluster of toy workers: what happens when, by hand and by hypothesis."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakeai_proxy.fleet.cluster import Cluster
from fakeai_proxy.fleet.job import Job
from fakeai_proxy.fleet.refusals import Refusal
from tests.fleet.toys import Diary, Toy, a_fleet, a_job, a_pool, all_is_free, run

APART = (a_pool(name="p", role="prefill"), a_pool(name="d", role="decode"))


def test_what_is_due_at_the_same_instant_happens_in_the_order_of_the_workers() -> None:
    cluster, diary = a_fleet(a_pool(replicas=3), router={"policy": "round_robin"})
    for _ in range(3):
        a_job(cluster)
    run(cluster)
    assert [name for kind, name, _ in diary.lines if kind == "finished"] == [
        "pool-0", "pool-1", "pool-2",
    ]  # fmt: skip


def test_the_same_seed_is_the_same_history_and_another_is_another() -> None:
    def history(seed: int) -> list[tuple[str, str, float]]:
        cluster, diary = a_fleet(
            a_pool(replicas=4, jitter_sigma=0.1, stall_p=0.1),
            seed=seed,
            router={"policy": "random"},
        )
        for k in range(20):
            a_job(cluster, at=k / 100)
        run(cluster)
        return diary.lines

    assert history(1) == history(1)
    assert history(1) != history(2)


def test_a_front_end_takes_one_request_after_the_other_and_then_its_latency() -> None:
    cluster, _ = a_fleet(frontend={"latency_ms": 5, "service_ms": 10, "service_us_per_token": 1000})
    first, second = a_job(cluster, 20), a_job(cluster, 20)
    assert first.sequences[0].queued_at == pytest.approx(0.035)
    assert second.sequences[0].queued_at == pytest.approx(0.065)
    run(cluster)
    assert first.queue_s == pytest.approx(0.035)


def test_idle_workers_cost_nothing() -> None:
    cluster, _ = a_fleet(a_pool(replicas=500))
    assert cluster.next_at == math.inf
    a_job(cluster)
    assert len(cluster._heap) == 1
    run(cluster)
    assert cluster.next_at == math.inf


def test_samples_share_their_prompt_and_end_together() -> None:
    cluster, diary = a_fleet()
    job = a_job(cluster, 20, 7, samples=3)
    run(cluster, until=0.045)
    assert cluster.workers[0].engine.cache.used < 3 * 5
    run(cluster)
    assert [each.output_tokens for each in job.sequences] == [3, 2, 2]
    assert diary.done == [job]
    assert job.generated == 7
    all_is_free(cluster)


def test_an_embedding_is_done_when_its_prompt_is() -> None:
    cluster, diary = a_fleet()
    job = a_job(cluster, 20, 0)
    run(cluster)
    assert diary.done == [job]
    assert job.finished_at == pytest.approx(0.030)
    assert (cluster.workers[0].prompt_tokens, cluster.workers[0].generation_tokens) == (20, 0)


def test_workers_count_what_vllm_counts() -> None:
    cluster, _ = a_fleet()
    a_job(cluster, 20, 5)
    a_job(cluster, 20, 5, output_limit=5)
    cluster.cancel(a_job(cluster, 20, 5))
    run(cluster)
    worker = cluster.workers[0]
    assert worker.ended == {"stop": 1, "length": 1, "abort": 1}
    assert (worker.prompt_tokens, worker.generation_tokens) == (40, 10)


def test_stalls_come_as_often_as_the_pool_says_and_take_as_long() -> None:
    cluster, diary = a_fleet(a_pool(stall_p=0.1, stall_ms=(1000, 1000)))
    a_job(cluster, 4, 300)
    run(cluster)
    ends = [at for kind, _, at in diary.lines if kind == "step"]
    gaps = [after - before for before, after in itertools.pairwise(ends)]
    stalls = [gap for gap in gaps if gap > 0.5]
    assert 15 <= len(stalls) <= 50
    assert all(gap == pytest.approx(1.010) for gap in stalls)


# Adapters and several models


def test_an_adapter_is_asked_for_by_its_name_and_shares_no_cache_with_the_model() -> None:
    cluster, _ = a_fleet(a_pool(lora=["tuned"]))
    prompt = list(range(40))
    plain = a_job(cluster, prompt)
    run(cluster)
    tuned = a_job(cluster, prompt, at=1.0, model="tuned")
    run(cluster)
    again = a_job(cluster, prompt, at=2.0, model="tuned")
    run(cluster)
    assert tuned.lora == "tuned"
    assert (plain.cached_tokens, tuned.cached_tokens, again.cached_tokens) == (0, 0, 36)
    assert cluster.profile.served_names() == ["toy", "tuned"]


def test_an_adapter_is_loaded_when_a_worker_first_uses_it() -> None:
    cluster, _ = a_fleet(a_pool(lora=["tuned"], lora_load_s=2))
    plain = a_job(cluster, at=0.0)
    tuned = [a_job(cluster, at=at, model="tuned") for at in (0.0, 1.0, 5.0)]
    run(cluster)
    assert plain.queue_s == 0
    assert [job.queue_s for job in tuned] == pytest.approx([2, 1, 0])


def test_every_model_has_its_own_workers_and_other_names_go_to_the_first_that_answers() -> None:
    cluster, _ = a_fleet(
        a_pool(name="a", model="small", serves=["gpt-*"]),
        a_pool(name="b", model="large", serves=["*"]),
    )
    names = ("large", "small", "gpt-4o", "claude")
    jobs = [a_job(cluster, at=k / 100, model=name) for k, name in enumerate(names)]
    run(cluster)
    assert [job.worker.pool.name for job in jobs if job.worker] == ["b", "a", "a", "b"]


# Prefill and decode apart


def test_the_first_token_comes_from_the_prefill_worker_and_the_rest_after_the_transfer() -> None:
    cluster, diary = a_fleet(*APART, transfer={"latency_ms": 100, "gb_s": 0.0001})
    job = a_job(cluster, 20, 3)
    run(cluster, until=0.2)
    prefill, decode = cluster.workers
    assert job.generated == 1
    assert job.legs[0].first_token_at == pytest.approx(0.030)
    assert prefill.engine.cache.used == 5, "until they are fetched"
    assert decode.engine.cache.used == 6, "there before the transfer"
    run(cluster)
    # 20 tokens of 1,000 bytes at 100 kB/s, and the latency.
    assert job.finished_at == pytest.approx(0.030 + 0.3 + 0.020)
    assert (prefill.kv_sent_bytes, decode.kv_received_bytes) == (20_000, 20_000)
    assert diary.done == [job]
    all_is_free(cluster)


def test_what_the_decode_worker_has_need_not_be_transferred() -> None:
    cluster, _ = a_fleet(*APART)
    prompt = list(range(40))
    a_job(cluster, prompt, 2)
    run(cluster)
    job = a_job(cluster, prompt, 2, at=1.0)
    run(cluster)
    assert job.cached_tokens == 36, "the prefill worker's hit"
    assert cluster.workers[0].kv_sent_bytes == 1000 * (40 + 4)


def test_an_answer_of_one_token_needs_no_decode_worker() -> None:
    cluster, diary = a_fleet(*APART)
    a_job(cluster, 20, 1)
    run(cluster)
    assert len(diary.done) == 1
    assert cluster.workers[1].engine.steps == 0


@pytest.mark.parametrize("when", [0.0, 0.01, 0.05, 0.2, 0.335, 0.345])
def test_a_cancel_at_any_stage_frees_everything_at_once(when: float) -> None:
    cluster, diary = a_fleet(
        *APART, transfer={"latency_ms": 100, "gb_s": 0.0001}, frontend={"latency_ms": 5}
    )
    job = a_job(cluster, 20, 3)
    run(cluster, until=when)
    cluster.cancel(job)
    cluster.check()
    all_is_free(cluster)
    run(cluster)
    assert not diary.done
    assert not diary.lost


def test_a_prefill_worker_full_of_fetched_prompts_goes_on_when_one_is_gone() -> None:
    cluster, diary = a_fleet(
        a_pool(name="p", role="prefill", num_gpu_blocks=6), APART[1], transfer={"latency_ms": 500}
    )
    first, second = a_job(cluster, 20, 3), a_job(cluster, 20, 3, at=0.001)
    run(cluster)
    assert len(diary.done) == 2
    assert (second.legs[0].scheduled_at or 0) >= (first.legs[0].finished_at or 0) + 0.5


# Lives of workers


def test_requests_of_a_dead_worker_go_on_elsewhere_with_the_tokens_they_have() -> None:
    cluster, diary = a_fleet(a_pool(replicas=2))
    job = a_job(cluster, 20, 10)
    run(cluster, until=0.055)
    dead = job.worker
    assert dead is not None
    had = job.generated
    assert had == 3
    cluster.kill(dead, 0.055, "XID 79")
    cluster.check()
    assert dead.life == "dead"
    assert dead.engine.cache.cached == 0
    assert job.generated == had
    run(cluster)
    assert job.worker is not dead
    assert diary.done == [job]
    assert job.generated == 10
    # 23 tokens are computed again, which gives the fourth; six more follow.
    assert job.finished_at == pytest.approx(0.055 + 0.033 + 0.060)


@pytest.mark.parametrize(
    ("settings", "replicas"), [({"on_death": "fail"}, 2), ({}, 1), ({"migration_limit": 0}, 2)]
)
def test_they_fail_where_they_may_not_or_cannot(settings: dict[str, object], replicas: int) -> None:
    cluster, diary = a_fleet(a_pool(replicas=replicas), **settings)
    job = a_job(cluster, 20, 10)
    run(cluster, until=0.055)
    assert job.worker is not None
    cluster.kill(job.worker, 0.055, "XID 79")
    assert diary.lost == [job]
    assert job.failed.startswith("XID 79")
    assert job.generated == 3
    run(cluster)
    assert not diary.done
    all_is_free(cluster)


@pytest.mark.parametrize("at", [0.01, 0.2, 0.34])
@pytest.mark.parametrize("victim", ["p", "d"])
def test_either_side_may_die_at_any_stage(victim: str, at: float) -> None:
    pools = [{**pool, "replicas": 2} for pool in APART]
    cluster, diary = a_fleet(*pools, transfer={"latency_ms": 100, "gb_s": 0.0001})
    job = a_job(cluster, 20, 5)
    run(cluster, until=at)
    used = [each for each in cluster.workers if each.pool.name == victim]
    for worker in used:
        if worker.sequences or worker.engine.held:
            cluster.kill(worker, at)
            cluster.check()
    run(cluster)
    assert diary.done == [job]
    assert job.generated == 5
    all_is_free(cluster)


def test_a_worker_restarts_cold_and_is_not_asked_before_it_is_ready() -> None:
    cluster, _ = a_fleet(a_pool(cold_start_s=5))
    worker = cluster.workers[0]
    prompt = list(range(40))
    a_job(cluster, prompt)
    run(cluster)
    cluster.restart(worker, 1.0)
    with pytest.raises(Refusal) as refused:
        a_job(cluster, prompt, at=2.0)
    assert refused.value.retry_after_s == pytest.approx(4.0)
    cluster.advance(6.0)
    assert worker.life == "ready"
    again = a_job(cluster, prompt, at=6.0)
    run(cluster)
    assert again.cached_tokens == 0


def test_who_drains_finishes_and_takes_nothing() -> None:
    cluster, diary = a_fleet(a_pool(replicas=2), router={"policy": "round_robin"})
    first = a_job(cluster, 20, 30)
    cluster.drain(cluster.workers[0], 0.01)
    others = [a_job(cluster, at=0.02 + k / 1000) for k in range(3)]
    run(cluster)
    assert len(diary.done) == 4
    assert first.worker is cluster.workers[0]
    assert {job.worker for job in others} == {cluster.workers[1]}
    cluster.resume(cluster.workers[0], 1.0)
    assert {a_job(cluster, at=1.0).worker for _ in range(2)} == set(cluster.workers)


def test_scaling_up_starts_cold_and_scaling_down_drains_the_last() -> None:
    cluster, diary = a_fleet(a_pool(cold_start_s=5))
    cluster.scale("pool", 3, 0.0)
    assert [worker.life for worker in cluster.workers] == ["ready", "starting", "starting"]
    cluster.advance(5.0)
    jobs = [a_job(cluster, at=5.0) for _ in range(3)]
    assert {job.worker.name for job in jobs if job.worker} == {"pool-0", "pool-1", "pool-2"}
    cluster.scale("pool", 1, 5.01)
    assert [worker.life for worker in cluster.workers] == ["ready", "draining", "draining"]
    run(cluster)
    assert [worker.name for worker in cluster.workers] == ["pool-0"]
    assert len(diary.done) == 3
    cluster.scale("pool", 2, 10.0)
    assert [worker.name for worker in cluster.workers] == ["pool-0", "pool-3"]


def test_a_worker_whose_last_requests_fail_leaves_once() -> None:
    cluster, diary = a_fleet(*APART)
    job = a_job(cluster, 20, 4, samples=2)
    cluster.scale("d", 0, 0.0)
    cluster.scale("p", 0, 0.0)
    run(cluster)
    assert diary.lost == [job]
    assert not cluster.workers


class Notes:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def started(self, worker: object, at: float) -> None:
        self.lines.append(("started", worker.name))  # type: ignore[attr-defined]  # a Worker

    def stopped(self, worker: object, at: float) -> None:
        self.lines.append(("stopped", worker.name))  # type: ignore[attr-defined]  # a Worker

    def transferred(self, source: object, target: object, size_bytes: float, at: float) -> None:
        self.lines.append(("transferred", str(size_bytes)))


def test_those_who_watch_workers_are_told_of_their_lives() -> None:
    cluster, _ = a_fleet(*APART)
    notes = Notes()
    cluster.worker_listeners.append(notes)
    a_job(cluster, 20, 3)
    run(cluster)
    cluster.scale("d", 2, 1.0)
    cluster.kill(cluster.workers[0], 2.0)
    cluster.restart(cluster.workers[0], 3.0)
    cluster.scale("d", 1, 4.0)
    assert notes.lines == [
        ("transferred", "20000.0"), ("started", "d-1"), ("stopped", "p-0"), ("started", "p-0"),
        ("stopped", "d-1"),
    ]  # fmt: skip


# Whatever comes

DEEDS = st.lists(
    st.one_of(
        st.tuples(
            st.just("submit"),
            st.integers(1, 60),  # prompt
            st.integers(0, 20),  # answer
            st.integers(0, 3),  # which prompt
            st.integers(1, 3),  # samples
        ),
        st.tuples(st.just("cancel"), st.integers(0, 30)),
        st.tuples(st.sampled_from(["kill", "restart", "drain", "resume"]), st.integers(0, 5)),
        st.tuples(st.just("scale"), st.integers(0, 1), st.integers(0, 3)),
        st.tuples(st.just("wait"), st.integers(1, 30)),
    ),
    max_size=40,
)


def _do(
    cluster: Cluster, diary: Diary, deed: tuple[object, ...], at: float, jobs: list[Job]
) -> None:
    kind, *values = deed
    numbers = [value for value in values if isinstance(value, int)]
    if kind == "submit":
        prompt, answer, which, samples = numbers
        tokens = [which * 1000 + k for k in range(prompt)]
        try:
            jobs.append(a_job(cluster, tokens, answer, at, samples=samples))
        except Refusal:
            return
    elif kind == "cancel" and jobs:
        job = jobs[numbers[0] % len(jobs)]
        if job not in diary.done and job not in diary.lost:
            jobs.remove(job)
        cluster.cancel(job)
    elif kind == "scale":
        names = sorted(cluster.roster.pools)
        cluster.scale(names[numbers[0] % len(names)], numbers[1], at)
    elif kind in ("kill", "restart", "drain", "resume") and cluster.workers:
        getattr(cluster, str(kind))(cluster.workers[numbers[0] % len(cluster.workers)], at)


class Slow(Toy):
    kv_bytes_per_token = 1e6


@settings(max_examples=150, deadline=None)
@given(
    DEEDS,
    st.sampled_from(["kv", "cache_aware", "scorers", "round_robin", "least_loaded"]),
    st.booleans(),
    st.sampled_from(["full_isl", "reserve_total"]),
    st.integers(0, 2),
)
def test_whatever_comes_every_job_gets_its_tokens_or_a_reason_and_nothing_is_left(
    deeds: list[tuple[object, ...]], policy: str, apart: bool, admission: str, queue: int
) -> None:
    common = {
        "replicas": 2, "num_gpu_blocks": 30, "cold_start_s": 0.2, "max_queue": queue,
        "engine": {"admission": admission, "max_num_seqs": 3, "max_num_batched_tokens": 32},
    }  # fmt: skip
    roles = ("prefill", "decode") if apart else ("both",)
    pools = [a_pool(name=role, role=role, **common) for role in roles]
    histories = []
    for _ in range(2):
        cluster, diary = a_fleet(
            *pools, toy=Slow, router={"policy": policy, "temperature": 0.5},
            transfer={"gb_s": 1.0, "latency_ms": 3}, frontend={"latency_ms": 2, "service_ms": 1},
        )  # fmt: skip
        at, jobs = 0.0, list[Job]()
        for deed in deeds:
            if deed[0] == "wait" and isinstance(deed[1], int):
                at += deed[1] / 100
                run(cluster, until=at)
            _do(cluster, diary, deed, at, jobs)
            cluster.check()
        run(cluster)
        assert set(jobs) == set(diary.done) | set(diary.lost), "nobody is forgotten"
        for job in diary.done:
            assert job.generated == job.workload.output_tokens
            assert [each.emitted for each in job.sequences] == job.shares
        assert all(job.failed for job in diary.lost)
        all_is_free(cluster)
        histories.append(diary.lines)
    assert histories[0] == histories[1], "the same seed is the same history"
