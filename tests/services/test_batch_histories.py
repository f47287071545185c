"""A batch through any history of deaths: every line is told exactly once, and counted once."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakeai_proxy.clock import VirtualClock, turn
from fakeai_proxy.config import Config
from fakeai_proxy.dice import Dice
from fakeai_proxy.services.batches import record
from fakeai_proxy.services.batches.record import CreateBatchRequest
from fakeai_proxy.services.batches.work import run_batch
from fakeai_proxy.services.bulk import chunks
from fakeai_proxy.services.catalogue import Catalogue
from fakeai_proxy.services.filing import FILES
from fakeai_proxy.services.job import Answered, Asked, Work
from fakeai_proxy.store import (
    Change,
    Insert,
    Key,
    LeaseLost,
    Row,
    Store,
    Tally,
    Write,
    open_store,
)
from tests.services.batching import CHAT, jsonl, question

KEY = Key("batch", "batch_1", "proj_default")
LEASE_S = 10.0
LIVES_MAX = 60
#: What happens at a commit: death before it or after it, or the store gives the work to another.
Fate = Literal["before", "after", "stolen", "cancelled"]
CATALOGUE = Catalogue.shipped(Config(), None)


class Killed(BaseException):
    """As the kernel does it: nobody can do anything about it."""


class Fated:
    """A store, at whose commits something happens."""

    def __init__(self, store: Store, clock: VirtualClock, fates: dict[int, Fate]) -> None:
        self._store = store
        self._clock = clock
        self._fates = fates
        self._commits = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, *writes: Write) -> Sequence[Row | None]:
        self._commits += 1
        fate = self._fates.get(self._commits)
        if fate == "before":
            raise Killed
        if fate == "stolen":
            self._clock.advance(2 * LEASE_S)
            assert await self._store.claim("batch", "thief", self._clock.wall() + LEASE_S)
        if fate == "cancelled":
            await self._cancel()
        rows = await self._store.commit(*writes)
        if fate == "after":
            raise Killed
        return rows

    async def _cancel(self) -> None:
        row = await self._store.get(KEY)
        assert row is not None
        if row.document["status"] in record.GOING:
            now = self._clock.wall()
            await self._store.commit(Change(KEY, lambda row: record.cancelled(row, now)))


async def _answer(asked: Asked) -> Answered:
    """Odd lines are refused."""
    content = json.loads(asked.body)["messages"][0]["content"]
    number = int(content.split()[2].rstrip("?"))
    usage = {"prompt_tokens": number, "completion_tokens": 2, "total_tokens": number + 2}
    status = 400 if number % 2 else 200
    tallies = () if number % 2 else (Tally("usage.x", 60.0, {"model": "m"}, {"n": number}),)
    body = json.dumps({"usage": usage}).encode()
    await turn()
    return Answered(f"req_{number}", status, (), body, tallies)


async def _lived(lines: int, fates: dict[int, Fate]) -> tuple[Row, Store]:
    clock = VirtualClock(autojump=False)
    real = open_store(None, clock)
    store = Fated(real, clock, fates)
    blob = await real.blobs.put([jsonl([question(k) for k in range(lines)])])
    request = CreateBatchRequest(input_file_id="file-1", endpoint=CHAT, completion_window="24h")
    asked = {
        "vendor": "openai", "base": "/v1", "version": "", "headers": {}, "key_id": "", "user_id": "",
        "expires_s": None,
    }  # fmt: skip
    row = record.begun(Row(KEY, {"id": KEY.id}, clock.wall()), request, asked)
    await real.commit(Insert(replace(row, blob=blob.name, due_at=clock.wall())))
    for life in range(LIVES_MAX):
        clock.advance(2 * LEASE_S)
        claimed = await real.claim("batch", f"life-{life}", clock.wall() + LEASE_S)
        if not claimed:
            break
        work = Work(
            claimed[0], f"life-{life}", store, clock, Dice(), CATALOGUE, "hashed", 1.0, _answer  # type: ignore[arg-type]  # whatever it lacks is the store's
        )  # fmt: skip
        try:
            await run_batch(work)
        except (Killed, LeaseLost):
            continue
    found = await real.get(KEY)
    assert found is not None
    return found, real


async def _told(store: Store, file_id: str | None) -> list[Any]:
    if file_id is None:
        return []
    file = await store.get(Key(FILES.kind, file_id, KEY.parent))
    assert file is not None
    assert file.blob is not None
    with store.blobs.open_file(file.blob) as opened:
        return [json.loads(line) for line in opened.read().splitlines()]


async def _check(lines: int, fates: dict[int, Fate]) -> None:
    row, store = await _lived(lines, fates)
    try:
        document = row.document
        is_cancelled = "cancelled" in fates.values()
        assert document["status"] == "completed" or (
            is_cancelled and document["status"] == "cancelled"
        )
        assert (row.due_at, row.owner, row.blob) == (None, "", None)
        outputs = await _told(store, document["output_file_id"])
        errors = await _told(store, document["error_file_id"])
        counts = document["request_counts"]
        assert (len(outputs), len(errors)) == (counts["completed"], counts["failed"])
        names = Counter(line["custom_id"] for line in [*outputs, *errors])
        if document["in_progress_at"] is not None:
            assert names == Counter(f"line-{k}" for k in range(lines))
        ids = {line["id"] for line in [*outputs, *errors]}
        assert len(ids) == len(outputs) + len(errors)
        read = sum(line["response"]["body"]["usage"]["prompt_tokens"] for line in outputs)
        assert document["usage"]["input_tokens"] == read
        tallied = await store.sums("usage.x", 0, 3600, 3600)
        assert sum(one.amounts["n"] for one in tallied) == read
        assert await store.count("batch.chunk", KEY.path) == 0
        files = await store.page("file", KEY.parent)
        assert len(files.rows) == bool(outputs) + bool(errors)
    finally:
        await store.close()


@pytest.fixture(scope="module", autouse=True)
def small_chunks() -> Any:
    """So that a batch of a few lines has many commits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "LINES_MAX", 3)
        yield


FATES: Any = st.dictionaries(
    st.integers(1, 30), st.sampled_from(["before", "after", "stolen", "cancelled"]), max_size=8
)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 40), FATES)
def test_every_line_is_told_exactly_once(lines: int, fates: dict[int, Fate]) -> None:
    asyncio.run(_check(lines, fates))


@pytest.mark.parametrize("fate", ["before", "after", "stolen"])
def test_a_death_at_every_commit_loses_nothing(fate: Fate) -> None:
    asyncio.run(_check(12, dict.fromkeys(range(1, 40, 2), fate)))
