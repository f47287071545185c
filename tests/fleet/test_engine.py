"""The engine's steps, by hand and by hypothesis."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakeai_proxy.fleet.cost import Chunk, Cost
from fakeai_proxy.fleet.engine import Engine
from fakeai_proxy.fleet.sequence import EngineSequence, State
from fakeai_proxy.fleet.step import Step
from fakeai_proxy.profiles.engine import EngineLimits


class Simple:
    """10 ms a step and 1 ms a prompt token; and what it was asked."""

    kv_bytes_per_token = 1.0
    kv_capacity_tokens = 0

    def __init__(self) -> None:
        self.asked: list[tuple[list[Chunk], int, int]] = []

    def cost(self, chunks: Sequence[Chunk], decodes: int, kv_tokens: int) -> Cost:
        self.asked.append((list(chunks), decodes, kv_tokens))
        seconds = 0.010 + 0.001 * sum(chunk.tokens for chunk in chunks)
        return Cost(seconds, seconds)


def an_engine(blocks: int = 100, **limits: object) -> Engine:
    settings = {"max_num_batched_tokens": 64, "max_num_seqs": 8, "block_size": 4, **limits}
    return Engine(EngineLimits.model_validate(settings), Simple(), blocks)


def run(engine: Engine, until: float = math.inf) -> list[Step]:
    steps = []
    while engine.next_at < until:
        step = engine.turn()
        engine.check()
        if step is not None:
            steps.append(step)
    return steps


def asked(engine: Engine) -> list[tuple[list[Chunk], int, int]]:
    assert isinstance(engine._model, Simple)
    return engine._model.asked


def test_the_first_token_comes_when_the_prompt_is_computed_and_the_rest_a_step_each() -> None:
    engine = an_engine()
    sequence = EngineSequence(20, 3)
    engine.submit(sequence, 1.0)
    run(engine)
    assert sequence.scheduled_at == 1.0
    assert sequence.first_token_at == pytest.approx(1.030)
    assert sequence.finished_at == pytest.approx(1.050)
    assert asked(engine) == [([Chunk(20, 0)], 0, 0), ([], 1, 20), ([], 1, 21)]
    assert engine.cache.used == 0


def test_a_long_prompt_is_cut_to_the_budget_that_the_running_ones_leave() -> None:
    engine = an_engine()
    engine.submit(EngineSequence(4, 9), 0.0)
    engine.submit(EngineSequence(100, 1), 0.0)
    run(engine)
    chunks = [chunk for part, _, _ in asked(engine) for chunk in part]
    assert chunks == [Chunk(4, 0), Chunk(60, 0), Chunk(40, 60)]


def test_an_engine_that_does_not_mix_prefills_first() -> None:
    engine = an_engine(mixed=False)
    engine.submit(EngineSequence(4, 9), 0.0)
    engine.submit(EngineSequence(100, 2), 0.001)
    run(engine)
    assert all(not decodes for chunks, decodes, _ in asked(engine) if chunks)


def test_a_prompt_that_was_there_before_is_not_computed_again_but_for_its_last_token() -> None:
    engine = an_engine()
    hashes = [11, 12, 13]
    first, second = EngineSequence(12, 1, hashes), EngineSequence(12, 1, hashes)
    engine.submit(first, 0.0)
    engine.submit(second, 1.0)
    run(engine)
    assert (first.cached_tokens, second.cached_tokens) == (0, 8)
    assert [chunks for chunks, _, _ in asked(engine)] == [[Chunk(12, 0)], [Chunk(4, 8)]]
    assert (engine.prefix_queries, engine.prefix_hits) == (24, 8)


def test_the_last_admitted_is_preempted_and_goes_on_where_it_was() -> None:
    engine = an_engine(blocks=5)
    old, young = EngineSequence(8, 12), EngineSequence(8, 4)
    engine.submit(old, 0.0)
    engine.submit(young, 0.0)
    steps = run(engine)
    assert (old.preemptions, young.preemptions) == (0, 1)
    assert old.finished_at is not None
    assert young.finished_at is not None
    assert young.finished_at > old.finished_at
    tokens = sum(count for step in steps for _, count in step.gaps)
    assert tokens + 2 == 12 + 4


def test_room_for_the_longest_answer_means_that_nobody_is_preempted() -> None:
    engine = an_engine(blocks=6, admission="reserve_total")
    old, young = EngineSequence(8, 12), EngineSequence(8, 4)
    engine.submit(old, 0.0)
    engine.submit(young, 0.0)
    run(engine)
    assert engine.preemptions == 0
    assert young.scheduled_at == old.finished_at


def test_of_those_who_wait_the_urgent_go_first_and_then_who_came_first() -> None:
    engine = an_engine(max_num_seqs=1)
    late, early, urgent = (EngineSequence(4, 1, priority=p) for p in (0, 0, -1))
    engine.submit(EngineSequence(4, 2), 0.0)
    engine.submit(late, 0.003)
    engine.submit(early, 0.002)
    engine.submit(urgent, 0.004)
    run(engine)
    order = sorted((late, early, urgent), key=lambda each: each.scheduled_at or 0.0)
    assert order == [urgent, early, late]


def test_who_is_cancelled_gives_its_blocks_back_at_once() -> None:
    engine = an_engine()
    sequence = EngineSequence(40, 100)
    engine.submit(sequence, 0.0)
    run(engine, until=0.2)
    assert engine.cache.used == math.ceil((sequence.computed + engine.generated(sequence)) / 4)
    engine.cancel(sequence)
    engine.check()
    assert engine.cache.used == 0
    run(engine)
    assert engine.next_at == math.inf


def test_adapters_beyond_the_batch_wait_and_let_others_pass() -> None:
    engine = an_engine(max_loras=1)
    a, b, plain = (
        EngineSequence(4, 3, lora="a"),
        EngineSequence(4, 3, lora="b"),
        EngineSequence(4, 3),
    )
    for sequence in (a, b, plain):
        engine.submit(sequence, 0.0)
    run(engine)
    assert plain.scheduled_at == a.scheduled_at == 0.0
    assert b.scheduled_at == a.finished_at


def test_a_prompt_from_a_prefill_worker_waits_for_its_transfer_only() -> None:
    engine = an_engine()
    sequence = EngineSequence(40, 3)
    sequence.prefilled, sequence.transfer_s, sequence.emitted = True, 0.5, 1
    sequence.first_token_at = sequence.last_token_at = 0.9
    engine.submit(sequence, 1.0)
    run(engine)
    assert asked(engine) == [([], 1, 40), ([], 1, 41)]
    assert sequence.finished_at == pytest.approx(1.52)


WORK = st.lists(
    st.tuples(
        st.integers(1, 40),  # prompt
        st.integers(0, 30),  # answer
        st.integers(0, 3),  # which prompt
        st.integers(0, 20),  # hundredths of a second after the one before
        st.integers(0, 2),  # priority
        st.none() | st.integers(0, 60),  # hundredths until it is cancelled
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(
    WORK,
    st.sampled_from(["full_isl", "first_chunk", "reserve_total"]),
    st.booleans(),
    st.booleans(),
    st.integers(18, 60),
)
def test_whatever_comes_everybody_gets_all_tokens_and_nothing_is_lost(
    work: list[tuple[int, int, int, int, int, int | None]],
    admission: str,
    mixed: bool,
    caching: bool,
    blocks: int,
) -> None:
    engine = an_engine(
        blocks, admission=admission, mixed=mixed, enable_prefix_caching=caching,
        max_num_batched_tokens=16, max_num_seqs=4,
    )  # fmt: skip
    at, sequences, cancels = 0.0, [], []
    for prompt, answer, kind, wait, priority, patience in work:
        at += wait / 100
        hashes = [kind * 1000 + k for k in range((prompt + answer) // 4)]
        sequence = EngineSequence(prompt, answer, hashes, priority=priority)
        assert engine.fits(sequence)
        engine.submit(sequence, at)
        sequences.append(sequence)
        if patience is not None:
            cancels.append((at + patience / 100, sequence))
    steps = []
    for when, sequence in sorted(cancels, key=lambda pair: pair[0]):
        steps += run(engine, until=when)
        if sequence.state is not State.DONE:
            engine.cancel(sequence)
            engine.check()
    steps += run(engine)
    done = [each for each in sequences if each.finished_at is not None]
    assert {each for step in steps for each in step.finished} == set(done)
    for each in done:
        assert each.emitted == each.output_tokens
        assert each.queued_at <= (each.scheduled_at or 0) < (each.first_token_at or 0)
    if not cancels:
        assert len(done) == len(sequences)
        tokens = sum(count for step in steps for _, count in step.gaps)
        assert tokens + sum(each.output_tokens > 0 for each in done) == sum(
            each.output_tokens for each in done
        )
    assert engine.cache.used == 0
    assert not engine.running
    assert not engine.waiting
