"""The account book: nothing is lost and nothing is counted twice, whoever counts and whenever."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakeai_proxy.body import Body
from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.exchange import Admission, Exchange, Reply, Request, Usage
from fakeai_proxy.services.ledger import Ledger
from fakeai_proxy.services.organization.buckets import Query
from fakeai_proxy.store import Store, open_store
from fakeai_proxy.store.tally_log import KIND, TallyLog

START = 1_750_032_000  # a midnight
DAY_S = 86_400
LABELS = ("project_id", "api_key_id", "model", "service_tier")


def exchange(usage: Usage, project: str = "proj_a", key: str = "key_a", tier: str = "") -> Exchange:
    made = Exchange("r", Request("POST", "/v1/chat/completions", (), Body(b"")), 0.0)
    made.project, made.key_id, made.tier = project, key, tier
    made.reply = Reply(200, (), (), usage=(usage,))
    return made


def used(tokens: int, model: str = "m") -> Usage:
    return Usage("completions", model, {"input_tokens": tokens, "num_model_requests": 1})


def logs(folder: Path) -> list[Path]:
    return list(folder.glob("usage-*.log"))


class Books:
    """A ledger and its store. `end` is what a kill leaves of a process."""

    def __init__(self, folder: Path | None, clock: VirtualClock) -> None:
        self.clock = clock
        self.store: Store = open_store(folder, clock)
        self.ledger = Ledger(lambda: self.store, folder, clock)

    async def total(self, name: str = "input_tokens") -> int:
        await self.ledger.settle()
        sums = await self.store.sums("usage.completions", 0, START + 99 * DAY_S, DAY_S)
        return sum(one.amounts.get(name, 0) for one in sums)

    async def end(self) -> None:
        if self.ledger._log is not None:
            self.ledger._log.close()
        await self.store.close()


@asynccontextmanager
async def books(folder: Path | None, clock: VirtualClock | None = None) -> AsyncIterator[Books]:
    made = Books(folder, clock or VirtualClock(epoch=START))
    try:
        yield made
    finally:
        await made.ledger.close()
        await made.store.close()


entries = st.tuples(
    st.sampled_from(["proj_a", "proj_b"]), st.sampled_from(["key_a", "key_b", ""]),
    st.sampled_from(["gpt-4o", "gpt-5-mini"]), st.sampled_from(["", "flex"]),
    st.integers(0, 10_000), st.integers(0, 3 * 86_400),
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(
    st.lists(entries, max_size=40), st.sets(st.sampled_from(LABELS)),
    st.sampled_from([60, 3600, DAY_S]), st.booleans(),
)  # fmt: skip
async def test_sums_agree_with_a_plain_count(
    tmp_path_factory: pytest.TempPathFactory,
    done: list[tuple[str, str, str, str, int, int]],
    groups: set[str],
    width_s: int,
    on_disk: bool,
) -> None:
    clock = VirtualClock(epoch=START)
    folder = tmp_path_factory.mktemp("books") if on_disk else None
    wanted: Counter[tuple[int, tuple[str, ...]]] = Counter()
    chosen = tuple(sorted(groups))
    async with books(folder, clock) as kept:
        for project, key, model, tier, tokens, at in sorted(done, key=lambda one: one[5]):
            clock.advance(START + at - clock.wall())
            kept.ledger.note(exchange(used(tokens, model), project, key, tier))
            values = dict(zip(LABELS, (project, key, model, tier), strict=True))
            bucket = (START + at) // width_s * width_s
            wanted[bucket, tuple(values[name] for name in chosen)] += tokens
        await kept.ledger.settle()
        end = START + 4 * DAY_S
        sums = await kept.store.sums("usage.completions", START, end, width_s)
        query = Query(width_s, START, end, False, chosen, {})
        found = {
            (at, group): amounts["input_tokens"]
            for at, groups_ in query.grouped(sums).items()
            for group, amounts in groups_.items()
        }
    assert found == dict(wanted)


async def test_what_was_noted_survives_the_process(tmp_path: Path) -> None:
    clock = VirtualClock(epoch=START)
    first = Books(tmp_path, clock)
    for k in range(50):
        first.ledger.note(exchange(used(k)))
    assert not (tmp_path / "state.db").exists()  # a line is enough
    await first.end()
    async with books(tmp_path, clock) as second:
        assert await second.total() == sum(range(50))
        assert await second.total() == sum(range(50))
        assert not logs(tmp_path)


async def test_a_kill_between_two_counts_changes_nothing(tmp_path: Path) -> None:
    clock = VirtualClock(epoch=START)
    total = 0
    for life in range(4):
        one = Books(tmp_path, clock)
        for k in range(10):
            one.ledger.note(exchange(used(k + life)))
            total += k + life
            if k == life * 3:
                await one.ledger.settle()
        await one.end()
    async with books(tmp_path, clock) as last:
        assert await last.total() == total


async def test_a_line_that_was_cut_is_no_line(tmp_path: Path) -> None:
    clock = VirtualClock(epoch=START)
    first = Books(tmp_path, clock)
    first.ledger.note(exchange(used(7)))
    await first.end()
    (log,) = logs(tmp_path)
    with log.open("ab") as file:
        file.write(b'1750032000 ["usage.completions",{"model":"m"},{"input_tok')
    async with books(tmp_path, clock) as second:
        assert await second.total() == 7


async def test_processes_count_each_other_s_lines_once(tmp_path: Path) -> None:
    clock = VirtualClock(epoch=START)
    async with books(tmp_path, clock) as one, books(tmp_path, clock) as two:
        for k in range(30):
            (one, two)[k % 2].ledger.note(exchange(used(1)))
            if k % 7 == 0:
                await (two, one)[k % 2].ledger.settle()
        assert (await one.total(), await two.total()) == (30, 30)
        # What is alive stays where it is written.
        assert len(logs(tmp_path)) == 2
        one.ledger.note(exchange(used(5)))
        assert await two.total() == 35
    async with books(tmp_path, clock) as third:
        assert await third.total() == 35


async def test_a_log_that_cannot_be_written_is_no_reason_to_forget(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file where a folder should be")
    clock = VirtualClock(epoch=START)
    store = open_store(None, clock)
    ledger = Ledger(lambda: store, taken / "below", clock)
    for _ in range(3):
        ledger.note(exchange(used(5)))
    await ledger.settle()
    (one,) = await store.sums("usage.completions", START, START + DAY_S, DAY_S)
    assert one.amounts["input_tokens"] == 15
    await ledger.close()
    await store.close()


async def test_much_is_counted_unasked(tmp_path: Path) -> None:
    clock = VirtualClock(epoch=START)
    async with books(tmp_path, clock) as kept:
        one = exchange(used(1))
        while kept.ledger._task is None:
            kept.ledger.note(one)
        await kept.ledger._task
        sums = await kept.store.sums("usage.completions", 0, START + DAY_S, DAY_S)
        assert sums[0].amounts["num_model_requests"] > 1000
        row = await kept.store.page(KIND, "")
        (log,) = logs(tmp_path)
        assert row.rows[0].document["offset"] == log.stat().st_size


async def test_different_answers_take_little_memory() -> None:
    clock = VirtualClock(epoch=START)
    async with books(None, clock) as kept:
        for k in range(5_000):
            kept.ledger.note(exchange(used(k)))
        assert len(kept.ledger._waiting) < 1000
        assert await kept.total() == sum(range(5_000))


def test_what_the_back_end_cached_is_part_of_it() -> None:
    late = Usage("completions", "m", {"input_tokens": 9}, {}, lambda admission: {
        "input_cached_tokens": admission.cached_tokens})  # fmt: skip
    one = exchange(late)
    one.admission = Admission(cached_tokens=4)
    seen: list[int] = []
    one.meter = lambda found: seen.append(found.admission.cached_tokens)
    one.settle()
    one.settle()
    assert seen == [4]


@pytest.mark.skipif(os.name != "posix", reason="files of the dead are told by their locks")
async def test_a_file_of_the_living_is_left_alone(tmp_path: Path) -> None:
    clock = VirtualClock(epoch=START)
    living = TallyLog(tmp_path, clock)
    living.append(START, [b'["usage.completions",{},{"input_tokens":1}]'])
    async with books(tmp_path, clock) as other:
        assert await other.total() == 1
        living.append(START, [b'["usage.completions",{},{"input_tokens":2}]'])
        assert await other.total() == 3
        living.close()
        assert await other.total() == 3
    assert not logs(tmp_path)
