"""Rows that are work: who does them, who takes them over, what becomes of failures."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.config import Config
from fakeai_proxy.dice import Dice
from fakeai_proxy.errors import bad_request
from fakeai_proxy.jobs.runner import BACKOFF_S_MAX, LEASE_S, JobRunner
from fakeai_proxy.services.catalogue import Catalogue
from fakeai_proxy.services.job import Answered, Asked, Job, Work
from fakeai_proxy.store import Change, Insert, Key, LeaseLost, Row, Store, open_store

KEY = Key("errand", "errand_1", "proj")
Run = Callable[[Work], Awaitable[None]]


class Bench:
    """A store in memory, and runners that share it."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.store: Store = open_store(None, self.clock)
        self.catalogue = Catalogue.shipped(Config(), None)
        self.runners: list[JobRunner] = []

    def runner(self, run: Run, owner: str = "one", at_once: int = 4) -> JobRunner:
        def equipped(row: Row, owner: str, store: Store) -> Work:
            return Work(
                row, owner, store, self.clock, Dice(), self.catalogue, "hashed", 1.0, _asks_nobody
            )

        job = Job("errand", run, at_once)
        made = JobRunner({"errand": lambda: job}, lambda: self.store, equipped, self.clock, owner)
        self.runners.append(made)
        return made

    async def insert(self, key: Key = KEY, in_s: float = 0.0, **document: Any) -> None:
        now = self.clock.wall()
        await self.store.commit(Insert(Row(key, document, now, due_at=now + in_s)))

    async def row(self, key: Key = KEY) -> Row:
        found = await self.store.get(key)
        assert found is not None
        return found

    async def until(self, done: Callable[[Row], bool], key: Key = KEY) -> Row:
        while not done(row := await self.row(key)):
            await self.clock.sleep_until(self.clock.now() + 0.5)
        return row


async def _asks_nobody(asked: Asked) -> Answered:
    raise AssertionError(f"nobody was to be asked for {asked.target}")


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    for runner in made.runners:
        await runner.close()
    await made.store.close()


def with_(row: Row, **members: Any) -> Mapping[str, Any]:
    return {**row.document, **members}


def _is_over(row: Row) -> bool:
    return row.due_at is None


async def test_work_is_done_once_it_is_due(bench: Bench) -> None:
    began: list[float] = []

    async def run(work: Work) -> None:
        began.append(work.clock.now())
        await work.store.commit(work.finish(with_(work.row, result=7)))

    await bench.insert(in_s=90.0)
    bench.runner(run).dispatch(KEY)
    row = await bench.until(_is_over)
    assert row.document == {"result": 7}
    assert began == [pytest.approx(90.0, abs=0.01)]


async def test_work_goes_on_in_steps_at_their_times(bench: Bench) -> None:
    instants: list[float] = []

    async def run(work: Work) -> None:
        instants.append(work.clock.now())
        document = with_(work.row, steps=len(instants))
        end = len(instants) == 3
        due_at = work.clock.wall() + 40.0
        await work.store.commit(work.finish(document) if end else work.later(document, due_at))

    await bench.insert()
    bench.runner(run).dispatch(KEY)
    row = await bench.until(_is_over)
    assert row.document == {"steps": 3}
    assert [round(second - first) for first, second in itertools.pairwise(instants)] == [
        40, 40,
    ]  # fmt: skip


async def test_a_long_job_keeps_its_lease(bench: Bench) -> None:
    runs: list[str] = []

    async def run(work: Work) -> None:
        runs.append(work.owner)
        await work.clock.sleep_until(work.clock.now() + 20 * LEASE_S)
        await work.store.commit(work.finish())

    await bench.insert()
    bench.runner(run, "one").dispatch(KEY)
    bench.runner(run, "two").dispatch(KEY)
    await bench.until(_is_over)
    assert len(runs) == 1


async def test_what_a_dead_process_had_is_taken_over_when_its_lease_ends(bench: Bench) -> None:
    async def run(work: Work) -> None:
        await work.store.commit(work.finish(with_(work.row, by=work.owner)))

    await bench.insert()
    now = bench.clock.wall()
    await bench.store.claim("errand", "dead", now + LEASE_S)
    bench.runner(run, "heir").start()
    row = await bench.until(_is_over)
    assert row.document == {"by": "heir-1"}
    assert bench.clock.wall() - now >= LEASE_S


async def test_a_job_that_lost_its_lease_is_cancelled_and_commits_nothing(bench: Bench) -> None:
    lost = asyncio.Event()

    async def run(work: Work) -> None:
        if work.owner.startswith("slow"):
            with pytest.raises(asyncio.CancelledError):
                await work.clock.sleep_until(work.clock.now() + 1000)
            with pytest.raises(LeaseLost):
                await work.store.commit(work.change(lambda row: row.merged(by="slow")))
            lost.set()
        await work.store.commit(work.finish(with_(work.row, by=work.owner)))

    await bench.insert()
    bench.runner(run, "slow").dispatch(KEY)
    row = await bench.until(lambda row: row.owner.startswith("slow"))
    # As if `slow` had stood still beyond its lease and another had come.
    await bench.store.commit(Change(KEY, lambda row: replace(row, owner="quick")))
    await lost.wait()
    row = await bench.row()
    assert (row.owner, row.document) == ("quick", {})


async def test_an_error_is_tried_again_later_each_time_after_a_longer_wait(bench: Bench) -> None:
    instants: list[float] = []

    async def run(work: Work) -> None:
        instants.append(work.clock.now())
        if len(instants) < 5:
            raise bad_request("not yet") if len(instants) % 2 else ZeroDivisionError
        await work.store.commit(work.finish())

    await bench.insert()
    bench.runner(run).dispatch(KEY)
    await bench.until(_is_over)
    waits = [second - first for first, second in itertools.pairwise(instants)]
    assert waits == [pytest.approx(LEASE_S * factor, abs=1) for factor in (1, 2, 4, 8)]
    assert max(waits) < BACKOFF_S_MAX


async def test_only_so_many_are_worked_on_at_once(bench: Bench) -> None:
    at_once: list[int] = []
    running = 0

    async def run(work: Work) -> None:
        nonlocal running
        running += 1
        at_once.append(running)
        await work.clock.sleep_until(work.clock.now() + 5)
        running -= 1
        await work.store.commit(work.finish())

    keys = [Key("errand", f"errand_{place}", "proj") for place in range(7)]
    for key in keys:
        await bench.insert(key)
    bench.runner(run, at_once=2).dispatch(keys[0])
    for key in keys:
        await bench.until(_is_over, key)
    assert max(at_once) == 2


async def test_who_closes_gives_back_what_is_under_way(bench: Bench) -> None:
    begun = asyncio.Event()

    async def run(work: Work) -> None:
        begun.set()
        await work.clock.sleep_until(work.clock.now() + 1000)

    await bench.insert()
    runner = bench.runner(run)
    runner.dispatch(KEY)
    await begun.wait()
    await runner.close()
    row = await bench.row()
    assert row.owner == ""
    assert row.due_at is not None
    assert row.due_at <= bench.clock.wall()


class _Others:
    """A queue that hands everything to one replica."""

    def __init__(self, replica: JobRunner) -> None:
        self._replica = replica
        self.handing: list[asyncio.Future[None]] = []
        self.is_closed = False

    def start(self) -> None: ...

    def tell(self, key: Key) -> None:
        self.handing.append(asyncio.ensure_future(self._replica.take(key.kind)))

    async def close(self) -> None:
        self.is_closed = True


async def test_a_queue_says_who_does_it(bench: Bench) -> None:
    async def run(work: Work) -> None:
        await work.store.commit(work.finish(with_(work.row, by=work.owner)))

    one, other = bench.runner(run, "one"), bench.runner(run, "other")
    queue = _Others(other)
    one.queue = queue
    one.start()
    await bench.insert()
    one.dispatch(KEY)
    row = await bench.until(_is_over)
    assert row.document["by"] in ("one-1", "other-1")  # whoever looks first
    assert len(queue.handing) == 1
    one.dispatch(KEY)  # nothing is due: a message too many does no harm
    await asyncio.wait(queue.handing)
    assert (await bench.row()).version == row.version
    await one.close()
    assert queue.is_closed
    await other.close()
    await bench.insert(Key("errand", "late", "proj"))
    await other.take("errand")
    await other.take("of a later version")
    assert (await bench.row(Key("errand", "late", "proj"))).due_at is not None


async def test_who_lost_a_row_has_lost_it_to_the_same_process_too(bench: Bench) -> None:
    """As a run that is cancelled while it is worked on, when there is no room for another."""
    begun, seen = asyncio.Event(), []

    async def run(work: Work) -> None:
        seen.append(work.row.document.get("status"))
        if work.row.document.get("status") == "cancelling":
            await work.store.commit(work.finish(with_(work.row, status="cancelled")))
            return
        begun.set()
        try:
            await work.clock.sleep_until(work.clock.now() + 1000)
        finally:
            with pytest.raises(LeaseLost):
                await work.store.commit(work.finish(with_(work.row, status="completed")))

    await bench.insert()
    runner = bench.runner(run, at_once=1)
    runner.dispatch(KEY)
    await begun.wait()
    before = bench.clock.now()
    taken = Change(
        KEY,
        lambda row: replace(row.merged(status="cancelling"), due_at=bench.clock.wall(), owner=""),
    )
    await bench.store.commit(taken)
    runner.dispatch(KEY)
    row = await bench.until(_is_over)
    assert row.document["status"] == "cancelled"
    assert seen == [None, "cancelling"]
    assert bench.clock.now() - before < LEASE_S / 3
