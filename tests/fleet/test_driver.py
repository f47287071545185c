"""The fleet on a virtual clock: when it wakes, whom it tells, and what it lets go."""

from __future__ import annotations

import asyncio

import pytest

from fakeai_proxy.clock import VirtualClock, turn
from fakeai_proxy.exchange import Workload
from fakeai_proxy.fleet.driver import FleetDriver
from fakeai_proxy.fleet.job import Job
from tests.doubles.fleets import FRONT_S, PROMPT_S, STEP_S, fleet


class Notes:
    """A follower that writes down what it is told."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.tokens: list[tuple[float, int]] = []
        self.ended_at = -1.0
        self.reason = ""

    def reached(self, given: int, at: float, now: float) -> None:
        if not self.tokens or self.tokens[-1][1] < self.job.generated:
            self.tokens.append((round(at, 6), self.job.generated))

    def ended(self, at: float, now: float) -> None:
        self.ended_at = round(at, 6)

    def broke(self, reason: str) -> None:
        self.reason = reason


async def ask(
    driver: FleetDriver, prompt: int, output: int, at: float = 0.0, first: int = 0
) -> Notes:
    """`first` is the first id of the prompt."""
    ids = range(first, first + prompt)
    job = await driver.prepare(Workload("llama-3.1-8b", ids, output), at)
    driver.submit(job)
    notes = Notes(job)
    driver.follow(job, notes)
    return notes


async def test_tokens_come_when_their_steps_end() -> None:
    clock = VirtualClock(autojump=False)
    notes = await ask(fleet(clock), 100, 4)
    clock.advance(1.0)
    first = FRONT_S + STEP_S + 100 * PROMPT_S
    instants = [round(first + k * STEP_S, 6) for k in range(4)]
    assert notes.tokens == [(at, k + 1) for k, at in enumerate(instants)]
    assert notes.ended_at == instants[3]


@pytest.mark.parametrize("speed", [0.5, 10.0])
async def test_speed_divides_what_the_fleet_takes(speed: float) -> None:
    clock = VirtualClock(autojump=False)
    notes = await ask(fleet(clock, speed), 100, 4)
    clock.advance(5.0)
    whole = FRONT_S + 4 * STEP_S + 100 * PROMPT_S
    assert notes.ended_at == round(whole / speed, 6)


async def test_requests_of_one_batch_share_their_steps() -> None:
    clock = VirtualClock(autojump=False)
    driver = fleet(clock)
    one, other = await ask(driver, 100, 50), await ask(driver, 30, 50, first=1000)
    clock.advance(5.0)
    assert [at for at, _ in one.tokens] == [at for at, _ in other.tokens]
    assert one.tokens[0][0] == round(FRONT_S + STEP_S + 130 * PROMPT_S, 6)


async def test_a_fleet_with_nothing_to_do_sets_no_alarm() -> None:
    class Counting(VirtualClock):
        armed = 0

        def arm(self, deadline: float, timer: object) -> None:
            self.armed += 1
            super().arm(deadline, timer)  # type: ignore[arg-type]  # counted, not looked at

    clock = Counting(autojump=False)
    driver = fleet(clock)
    await ask(driver, 16, 3)
    clock.advance(1.0)
    armed = clock.armed
    assert 3 <= armed <= 5
    clock.advance(3600.0)
    assert clock.armed == armed


async def test_who_does_not_wait_any_more_holds_nothing() -> None:
    clock = VirtualClock(autojump=False)
    driver = fleet(clock)
    notes = await ask(driver, 160, 500)
    clock.advance(0.1)
    worker = driver.cluster.workers[0]
    assert worker.engine.cache.used > 0
    driver.cancel(notes.job)
    driver.cancel(notes.job)
    assert worker.engine.cache.used == 0
    assert not worker.engine.running
    worker.engine.check()
    told = len(notes.tokens)
    clock.advance(10.0)
    assert len(notes.tokens) == told
    assert notes.ended_at == -1.0


async def test_what_came_while_we_were_busy_is_counted_from_its_arrival() -> None:
    clock = VirtualClock(autojump=False)
    driver = fleet(clock)
    clock.advance(1.002)
    notes = await ask(driver, 100, 1, at=1.0)
    clock.advance(1.0)
    assert notes.ended_at == round(1.0 + FRONT_S + STEP_S + 100 * PROMPT_S, 6)


async def test_no_engine_works_before_what_it_has_told() -> None:
    clock = VirtualClock(autojump=False)
    driver = fleet(clock)
    await ask(driver, 16, 10)
    clock.advance(1.0)
    told_until = driver.cluster.workers[0].engine.decoding.ticked_at
    late = await ask(driver, 16, 1, at=0.0)
    clock.advance(1.0)
    assert late.ended_at >= round(told_until + STEP_S, 6)


async def test_a_long_prompt_is_hashed_beside_the_event_loop() -> None:
    clock = VirtualClock()
    driver = fleet(clock, num_gpu_blocks=4000)
    job = Job(Workload("llama-3.1-8b", range(16_000), 1), 0.0)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await turn()

    counting = asyncio.create_task(count())
    prepared = await driver.prepare(job.workload, 0.0)
    counting.cancel()
    assert turns > 0
    assert clock.now() == 0.0
    assert prepared.hashes == driver.cluster.hashes(job)
    assert len(prepared.hashes) == 1000


async def test_a_follower_that_comes_late_is_told_of_the_end() -> None:
    clock = VirtualClock(autojump=False)
    driver = fleet(clock)
    job = await driver.prepare(Workload("llama-3.1-8b", range(16), 2), 0.0)
    driver.submit(job)
    clock.advance(1.0)
    notes = Notes(job)
    driver.follow(job, notes)
    assert notes.ended_at == round(FRONT_S + 2 * STEP_S + 16 * PROMPT_S, 6)
