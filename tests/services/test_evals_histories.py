"""Whoever dies over an eval's run, each of its items is told once and counted once."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress
from dataclasses import replace
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.config import Config
from fakeai_proxy.dice import Dice
from fakeai_proxy.services.catalogue import Catalogue
from fakeai_proxy.services.evals.record import PRIVATE, RUNS
from fakeai_proxy.services.evals.running import run
from fakeai_proxy.services.job import Answered, Asked, Work
from fakeai_proxy.services.webhooks import Webhooks, WebhookSettings
from fakeai_proxy.store import Insert, Key, Row, Store, open_store
from tests.services.mortal import Died, Mortal

CATALOGUE = Catalogue.shipped(Config(), None)
RUN = Key(RUNS.kind, "evalrun_1", "proj/eval_1")
HOOKS = Webhooks(WebhookSettings(webhook=("http://app.invalid",)))
ITEMS = 30
CRITERION = {
    "type": "string_check", "name": "even", "operation": "eq", "id": "even-1",
    "input": "{{sample.output_text}}", "reference": "{{item.wanted}}",
}  # fmt: skip
LEASE_S = 10.0


async def begun(store: Store, now: float) -> None:
    rows = [{"item": {"wanted": "0"}, "sample": {"output_text": str(n % 2)}} for n in range(ITEMS)]
    blob = await store.blobs.put([orjson.dumps(row) + b"\n" for row in rows])
    document = {
        "id": RUN.id, "eval_id": "eval_1", "status": "queued", "error": None,
        "data_source": {"type": "jsonl"}, "per_model_usage": [],
        "result_counts": {"total": 0, "errored": 0, "failed": 0, "passed": 0},
        "per_testing_criteria_results": [{"testing_criteria": "even-1", "passed": 0, "failed": 0}],
        PRIVATE: {"criteria": [CRITERION], "project": "proj", "key_id": "", "user_id": "",
                  "offset": 0, "number": 0},
    }  # fmt: skip
    await store.commit(Insert(Row(RUN, document, now, due_at=now, blob=blob.name)))


async def live(deaths: list[str]) -> None:
    clock = VirtualClock(autojump=False)
    store = open_store(None, clock)
    try:
        await begun(store, clock.wall())
        owners = itertools.count()
        for how in itertools.chain(deaths, itertools.repeat("")):
            row = await store.get(RUN)
            assert row is not None
            if row.due_at is None:
                break
            clock.advance(LEASE_S + 1)
            owner = f"process {next(owners)}"
            (claimed,) = await store.claim(RUN.kind, owner, clock.wall() + LEASE_S)
            work = Work(
                claimed,
                owner,
                store,
                clock,
                Dice(),
                CATALOGUE,
                "hashed",
                1.0,
                _asks_nobody,
                webhooks=HOOKS,
            )
            mortal: Any = Mortal(store, how)
            with suppress(Died):
                await run(replace(work, store=mortal))
        document = row.document
        assert document["status"] == "completed"
        assert document["result_counts"] == {
            "total": ITEMS, "errored": 0, "failed": ITEMS // 2, "passed": ITEMS // 2,
        }  # fmt: skip
        page = await store.page("eval.run.output_item", RUN.path, limit=100, ascending=True)
        assert [one.document["datasource_item_id"] for one in page.rows] == list(range(ITEMS))
        assert await store.count("webhook", "proj") == 1
    finally:
        await store.close()


async def _asks_nobody(asked: Asked) -> Answered:
    raise AssertionError(asked)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["die before", "die after"]), max_size=12))
def test_whoever_dies_over_a_run_each_item_is_told_once(deaths: list[str]) -> None:
    asyncio.run(live(deaths))
