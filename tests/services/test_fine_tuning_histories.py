"""Whatever is done to a fine-tuning job, and whoever dies over it, each of its steps happens once."""

from __future__ import annotations

import asyncio
import itertools
import math
from contextlib import suppress
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.config import Config
from fakeai_proxy.dice import Dice
from fakeai_proxy.errors import ApiError
from fakeai_proxy.services.catalogue import Catalogue
from fakeai_proxy.services.filing import file_row
from fakeai_proxy.services.fine_tuning.record import JOBS, OVER, PRIVATE, idle
from fakeai_proxy.services.fine_tuning.training import run
from fakeai_proxy.services.job import Answered, Asked, Work
from fakeai_proxy.services.webhooks import Webhooks, WebhookSettings
from fakeai_proxy.store import Change, Insert, Key, LeaseLost, Row, Store, open_store
from tests.services.fine_tuning_asking import EXAMPLES, MODEL, jsonl
from tests.services.mortal import Died, Mortal

CATALOGUE = Catalogue.shipped(Config(), None)
JOB = Key(JOBS.kind, "ftjob-1", "proj")
FILE = Key("file", "file-1", "proj")
LEASE_S = 10.0
EPOCHS = 3
SETTINGS = {"n_epochs": EPOCHS, "batch_size": 2, "learning_rate_multiplier": "auto"}
ACTIONS = ("step", "die before", "die after", "sleep through", "pause", "resume", "cancel")


class History:
    def __init__(self, pace: float) -> None:
        self.clock = VirtualClock(autojump=False)
        self.store: Store = open_store(None, self.clock)
        self.pace = pace
        self.owners = itertools.count()
        self.hooks = Webhooks(WebhookSettings(webhook=("http://app.invalid",)))

    async def begin(self) -> None:
        now = self.clock.wall()
        blob = await self.store.blobs.put([jsonl(EXAMPLES)])
        document = {
            "id": JOB.id, "object": JOBS.object, "model": MODEL, "created_at": int(now),
            "status": "validating_files", "training_file": FILE.id, "validation_file": None,
            "seed": 1, "error": None,
            "method": {"type": "supervised", "supervised": {"hyperparameters": SETTINGS}},
            "user_provided_suffix": None, "result_files": [],
            PRIVATE: {"base": MODEL, "hyperparameters": SETTINGS, "suffix": "", "item_names": []},
        }  # fmt: skip
        await self.store.commit(
            Insert(file_row(Row(FILE, {"id": FILE.id}, now), "a.jsonl", "fine-tune", blob)),
            Insert(Row(JOB, document, now, due_at=now)),
        )

    async def row(self) -> Row:
        found = await self.store.get(JOB)
        assert found is not None
        return found

    async def claimed(self) -> Work | None:
        """The job once it is due, or its owner's lease has ended."""
        row = await self.row()
        if row.due_at is None:
            return None
        self.clock.advance(max(0.0, row.due_at - self.clock.wall()))
        now, owner = self.clock.wall(), f"process {next(self.owners)}"
        (claimed,) = await self.store.claim(JOBS.kind, owner, now + LEASE_S)
        return Work(
            claimed, owner, self.store, self.clock, Dice(), CATALOGUE, "hashed", self.pace,
            _asks_nobody, webhooks=self.hooks,
        )  # fmt: skip

    async def do(self, action: str) -> None:
        if action in _ORDERS:
            status, wanted = _ORDERS[action]
            due_at = self.clock.wall() if action == "resume" else None

            def ordered(row: Row) -> Row:
                if row.document["status"] not in wanted:
                    return row
                return replace(idle(row.merged(status=status)), due_at=due_at)

            await self.store.commit(Change(JOB, ordered))
            return
        work = await self.claimed()
        if work is None:
            return
        if action == "sleep through":
            self.clock.advance(LEASE_S + 1)
            other = await self.claimed()
            assert other is not None
            before = await self.row()
            try:
                await run(work)
            except LeaseLost:
                assert await self.row() == before
            else:
                raise AssertionError("two have done the same work")
            work = other
        mortal: Any = Mortal(self.store, action)
        with suppress(Died):
            await run(replace(work, store=mortal))

    async def end(self) -> None:
        for _ in range(200):
            if (await self.row()).document["status"] in OVER:
                return
            await self.do("resume")
            await self.do("step")
        raise AssertionError("it never ends")


_ORDERS = {
    "pause": ("paused", ("running",)), "resume": ("queued", ("paused",)),
    "cancel": ("cancelled", ("validating_files", "queued", "running", "paused")),
}  # fmt: skip


async def _asks_nobody(asked: Asked) -> Answered:
    raise ApiError(500, str(asked))


async def live(actions: list[str], pace: float) -> None:
    history = History(pace)
    try:
        await history.begin()
        for action in actions:
            await history.do(action)
        await history.end()
        await check(history)
    finally:
        await history.store.close()


async def check(history: History) -> None:
    store, row = history.store, await history.row()
    events = (await store.page("fine_tuning.job.event", JOB.path, limit=500, ascending=True)).rows
    steps = [one.document["data"]["step"] for one in events if one.document["type"] == "metrics"]
    curve = row.document[PRIVATE].get("curve", {"steps": 0})
    assert steps == list(range(1, len(steps) + 1))
    checkpoints = await store.page("fine_tuning.job.checkpoint", JOB.path, limit=50)
    models = await store.page("model", "proj", limit=50)
    files = await store.count("file", "proj", tags={"purpose": "fine-tune-results"})
    told = await store.count("webhook", "proj")
    trained = await store.sums("usage.training", 0, 2**40, 60 * 2**30)
    assert len(models.rows) == len(checkpoints.rows)
    assert row.due_at is None
    if row.document["status"] == "succeeded":
        assert len(steps) == curve["steps"] == 18
        assert len(checkpoints.rows) == EPOCHS
        assert (files, told) == (1, 1)
        (used,) = trained
        assert used.amounts["training_tokens"] == row.document["trained_tokens"] > 0
        card = CATALOGUE.priced(used.labels["model"])
        assert card is not None
        assert card.price is not None
        assert card.price.training == 3  # US dollars a million tokens of gpt-4o-mini
        messages = [one.document["message"] for one in events]
        assert messages.count("The job has successfully completed") == 1
        assert messages.count("Fine-tuning job started") == 1
    else:
        assert row.document["status"] == "cancelled"
        assert files == 0
        assert trained == []


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(ACTIONS), max_size=25), st.sampled_from([1.0, 50.0, math.inf]))
def test_whoever_dies_over_a_job_each_step_happens_once(actions: list[str], pace: float) -> None:
    asyncio.run(live(actions, pace))


def test_a_death_at_every_commit_is_survived() -> None:
    for how in ("die before", "die after"):
        asyncio.run(live([how, "step"] * 30, 1.0))
