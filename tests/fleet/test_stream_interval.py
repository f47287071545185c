"""Servers that send tokens in groups: who sees them when."""

from __future__ import annotations

import pytest

from fakeai_proxy.simulate.arrivals import Lengths
from fakeai_proxy.simulate.load import Load
from fakeai_proxy.simulate.run import Run
from tests.fleet.toys import a_fleet, a_job, a_pool, run

FOUR = {"engine": {"stream_interval": 4, "max_num_batched_tokens": 64, "max_num_seqs": 8}}


def shown_over(pool: dict[str, object], answer: int) -> list[int]:
    """What a client has after each step."""
    cluster, _ = a_fleet(pool)
    job = a_job(cluster, 20, answer)
    seen = []
    while cluster.next_at < float("inf"):
        cluster.advance(cluster.next_at)
        cluster.check()
        seen.append(job.shown)
    return seen


def test_tokens_leave_in_groups_and_the_rest_with_the_last() -> None:
    assert shown_over(a_pool(**FOUR), 10) == [0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 10]


def test_an_answer_shorter_than_a_group_leaves_whole() -> None:
    assert shown_over(a_pool(**FOUR), 3) == [0, 0, 0, 3]


def test_without_groups_each_token_leaves_when_it_is_made() -> None:
    assert shown_over(a_pool(), 3) == [0, 1, 2, 3]


@pytest.mark.parametrize("answer", [1, 3, 4, 9])
def test_the_first_group_is_noted_when_it_leaves(answer: int) -> None:
    cluster, _ = a_fleet(a_pool(**FOUR))
    job = a_job(cluster, 20, answer)
    run(cluster)
    # A prompt of 20 takes 30 ms, and each token after the first 10 ms.
    assert job.sequences[0].first_token_at == pytest.approx(0.030)
    assert job.sequences[0].shown_at == pytest.approx(0.030 + 0.010 * (min(answer, 4) - 1))


def test_groups_go_on_where_a_prompt_went_to_another_worker() -> None:
    cluster, _ = a_fleet(
        a_pool(name="p", role="prefill", **FOUR), a_pool(name="d", role="decode", **FOUR),
        transfer={"latency_ms": 0, "gb_s": 10_000},
    )  # fmt: skip
    job = a_job(cluster, 20, 9)
    run(cluster, until=0.035)
    assert job.generated == 1
    assert job.shown == 0
    run(cluster)
    assert job.shown == 9
    assert job.sequences[0].shown_at == pytest.approx(0.060, abs=1e-4)


def test_a_simulation_counts_the_wait_for_a_group_to_the_first_token() -> None:
    spans = []
    for pool in (a_pool(), a_pool(**FOUR)):
        cluster, _ = a_fleet(pool)
        load = Load(
            "closed", {"concurrency": 1, "think": 0.0},
            Lengths(20, 12), requests=3,
        )  # fmt: skip
        spans.append(Run(cluster, load, "toy", 0).run().spreads)
    assert spans[0]["ttft"].mean == pytest.approx(30)
    assert spans[1]["ttft"].mean == pytest.approx(60)
    assert spans[1]["tpot"] == spans[0]["tpot"]
    assert spans[1]["e2e"] == spans[0]["e2e"]
