"""Answers of which a step makes several tokens, because a prediction let them through."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakeai_proxy.fleet.sequence import EngineSequence
from tests.fleet.test_engine import an_engine, run
from tests.fleet.toys import a_fleet, a_job, a_pool, all_is_free
from tests.fleet.toys import run as run_cluster

STRIDES = st.lists(st.integers(1, 9), min_size=1, max_size=12).map(lambda rest: [1, *rest])


def test_each_step_makes_what_its_stride_says() -> None:
    engine = an_engine()
    sequence = EngineSequence(20, 10, leaps=[1, 5, 6, 10])
    engine.submit(sequence, 0.0)
    plain = EngineSequence(20, 4)
    engine.submit(plain, 0.0)
    seen = []
    while engine.next_at < float("inf"):
        engine.turn()
        engine.check()
        seen.append(engine.generated(sequence))
    assert [count for count in dict.fromkeys(seen) if count] == [1, 5, 6, 10]
    assert sequence.finished_at == plain.finished_at == pytest.approx(0.050 + 3 * 0.010)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 30), STRIDES, st.booleans()), min_size=1, max_size=6),
    st.integers(25, 60),
    st.sampled_from([1, 4, 16]),
    st.sampled_from([1, 3]),
)
def test_leaps_keep_the_books_and_give_back_every_block(
    asked: list[tuple[int, list[int], bool]], blocks: int, block_size: int, interval: int
) -> None:
    engine = an_engine(blocks * 16 // block_size, block_size=block_size, stream_interval=interval)
    sequences = []
    for prompt, strides, leaping in asked:
        total = sum(strides)
        made = EngineSequence(prompt, total, leaps=list(accumulate(strides)) if leaping else ())
        if engine.fits(made):
            engine.submit(made, 0.0)
            sequences.append(made)
    steps = run(engine)
    assert all(each.finished_at is not None for each in sequences)
    assert all(each.emitted == each.output_tokens for each in sequences)
    assert sum(step.decodes + len(step.prefilled) for step in steps) >= sum(
        each.output_tokens for each in sequences
    )
    assert engine.cache.used == 0


def test_a_death_halfway_loses_no_token_of_a_leaping_answer() -> None:
    cluster, diary = a_fleet(a_pool(replicas=2))
    job = a_job(cluster, 20, 12, strides=(1, 4, 1, 6))
    run_cluster(cluster, 0.045)
    assert job.generated == 5
    assert job.worker is not None
    cluster.kill(job.worker, cluster.now)
    run_cluster(cluster)
    assert diary.done == [job]
    assert job.generated == 12
    all_is_free(cluster)
