"""Whatever happens to a run, in whatever order, it ends once, with one message at most, and is paid for as
it says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from fakeai_proxy.body import Body
from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.config import Config
from fakeai_proxy.dice import Dice
from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import Exchange, Request
from fakeai_proxy.services.catalogue import Catalogue
from fakeai_proxy.services.job import Answered, Asked, Work
from fakeai_proxy.services.threads import life
from fakeai_proxy.services.threads.keeping import answers, thread_key
from fakeai_proxy.services.threads.kinds import MESSAGES, STEPS
from fakeai_proxy.services.threads.running import run as work_on
from fakeai_proxy.store import (
    Change,
    Delete,
    Insert,
    Key,
    LeaseLost,
    Missing,
    Row,
    Store,
    StoreError,
    open_store,
)
from tests.services.asking import WEATHER

_CATALOGUE = Catalogue.shipped(Config(), None)
_LEASE_S = 10.0
_THREAD = Key("thread", "thread_1", "proj_default")
_RUN = Key("thread.run", "run_1", _THREAD.path)
_EXPIRES_S = 600


class Killed(BaseException):
    """The process is gone."""


class Dying:
    """A store whose process dies before or after its commits."""

    def __init__(self, store: Store, left: int, *, after: bool) -> None:
        self._store = store
        self._left = left
        self._after = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, *writes: Any) -> Any:
        self._left -= 1
        if self._left < 0 and not self._after:
            raise Killed
        rows = await self._store.commit(*writes)
        if self._left < 0:
            raise Killed
        return rows


class History:
    """One run in one store, and what happens to it."""

    def __init__(self) -> None:
        self.clock = VirtualClock(autojump=False)
        self.store = open_store(None, self.clock)
        self.statuses: list[str] = []
        self._workers = 0

    async def begin(self) -> None:
        now = self.clock.wall()
        said = {"role": "user", "content": [{"type": "text", "text": {
            "value": "What is the weather in Paris?", "annotations": []}}], "run_id": None}  # fmt: skip
        document = {
            "id": _RUN.id, "thread_id": _THREAD.id, "assistant_id": "asst_1", **life.BEGUN,
            "created_at": int(now), "expires_at": int(now) + _EXPIRES_S,
            "_expires_at": int(now) + _EXPIRES_S, "model": "gpt-4o", "instructions": "",
            "tools": [WEATHER, {"type": "code_interpreter"}], "tool_choice": "auto",
            "temperature": 1.0, "top_p": 1.0, "response_format": "auto", "reasoning_effort": None,
            "max_prompt_tokens": None, "max_completion_tokens": None, "parallel_tool_calls": True,
            "truncation_strategy": {"type": "auto", "last_messages": None},
            "_vector_store_ids": [], "_session_at": None, "_payer": {},
        }  # fmt: skip
        await self.store.commit(
            Insert(Row(_THREAD, {"_active_run": _RUN.id, "_session_at": None}, now)),
            Insert(Row(Key("thread.message", "msg_1", _THREAD.path), said, now)),
            Insert(Row(_RUN, document, now, due_at=now)),
        )

    async def run(self) -> Row | None:
        found = await self.store.get(_RUN)
        if found is not None:
            self.statuses.append(str(found.document["status"]))
        return found

    async def work(self, event: str) -> None:
        """A process takes what is due. Meanwhile `event` happens."""
        self._workers += 1
        owner = f"worker-{self._workers}"
        now = self.clock.wall()
        for row in await self.store.claim("thread.run", owner, now + _LEASE_S):
            store: Any = self.store
            if event.startswith("die"):
                store = Dying(self.store, int(event[-1]) // 2, after=bool(int(event[-1]) % 2))

            async def ask(asked: Asked) -> Answered:
                assert asked.content is not None
                request = Request(asked.method, asked.target, asked.headers, Body(asked.body))
                reply = await asked.content(Exchange("req_1", request, self.clock.now()))
                assert isinstance(reply.chunks, Sequence)
                (chunk,) = reply.chunks
                assert isinstance(chunk.data, bytes)
                if not event.startswith("die"):
                    await self.happen(event)
                return Answered("req_1", 500 if event == "fail" else 200, (), chunk.data)

            work = Work(row, owner, store, self.clock, Dice(), _CATALOGUE, "hashed", 1.0, ask)
            with suppress(Killed, LeaseLost, Missing):
                await work_on(work)

    async def happen(self, event: str) -> None:
        """Raises what a client would be told."""
        now = self.clock.wall()
        if event.startswith("wait"):
            self.clock.advance(float(event[4:]))
        elif event == "cancel":
            await self.store.commit(Change(_RUN, lambda row: life.cancelling(row, now)))
        elif event == "submit":
            row = await self.run()
            action = row.document["required_action"] if row is not None else None
            calls = action["submit_tool_outputs"]["tool_calls"] if action else []
            ids = [call["id"] for call in calls]
            outputs = dict.fromkeys(ids, "Sunny")
            if row is not None:
                await self.store.commit(*answers(row, ids, outputs, now, "", now))
        elif event == "work":
            await self.work("")
        elif event == "overtake":
            self.clock.advance(_LEASE_S + 1)
            await self.work("")
        elif event == "delete":
            await self.store.commit(Delete(_THREAD))
        await self.run()

    async def end(self) -> None:
        """Somebody works until nothing is left to do; nobody answers any more."""
        for _ in range(8):
            await self.work("")
            row = await self.run()
            if row is None or row.document["status"] in life.ENDED:
                return
            self.clock.advance(max((row.due_at or 0.0) - self.clock.wall(), 0.0))
        raise AssertionError("the run goes on for ever")


async def _check(history: History) -> None:
    ends = [status for status in history.statuses if status in life.ENDED]
    assert len(set(ends)) <= 1
    if ends:
        first = history.statuses.index(ends[0])
        assert set(history.statuses[first:]) == set(ends)
    row = await history.run()
    tags = {"run_id": _RUN.id}
    messages = (await history.store.page(MESSAGES.kind, _THREAD.path, tags=tags)).rows
    steps = (await history.store.page(STEPS.kind, _RUN.path)).rows
    if row is None:
        assert not messages
        assert not steps
        return
    document = row.document
    assert (row.due_at, row.owner) == (None, "")
    assert len(messages) == int(document["status"] == "completed")
    assert all(step.document["status"] != "in_progress" for step in steps)
    thread = await history.store.get(thread_key(row))
    assert thread is not None
    assert thread.document["_active_run"] is None
    usage = document["usage"]
    kept = [step.document["usage"] for step in steps]
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert usage[name] == sum(one[name] for one in kept)
    at = int(history.clock.wall())
    sums = await history.store.sums("usage.completions", at - 86_400, at + 60, 60)
    assert usage["prompt_tokens"] == sum(one.amounts["input_tokens"] for one in sums)
    assert usage["completion_tokens"] == sum(one.amounts["output_tokens"] for one in sums)


_MEANWHILE = st.sampled_from(
    ["", "", "overtake", "overtake", "cancel", "submit", "work", "delete", "fail", "wait5", "wait11",
     "wait700", "die0", "die1",
     "die2", "die3"]
)  # fmt: skip
_EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("work"), _MEANWHILE),
        st.tuples(st.sampled_from(["submit", "submit", "cancel", "wait5", "wait11", "wait700"]), st.just("")),
    ),
    max_size=7,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@example([("work", "overtake")])
@example([("work", "cancel"), ("work", "")])
@example([("work", "die2"), ("wait11", ""), ("work", "")])
@example([("work", ""), ("submit", ""), ("work", "overtake")])
@given(_EVENTS)
def test_a_run_ends_once_whatever_happens(events: list[tuple[str, str]]) -> None:
    async def go() -> None:
        history = History()
        await history.begin()
        for event, meanwhile in events:
            with suppress(ApiError, StoreError):
                if event == "work":
                    await history.work(meanwhile)
                else:
                    await history.happen(event)
            await history.run()
        await history.end()
        await _check(history)
        await history.store.close()

    asyncio.run(go())


def test_outputs_lead_to_a_message() -> None:
    async def go() -> None:
        history = History()
        await history.begin()
        steps: list[Callable[[], Any]] = [
            lambda: history.work(""), lambda: history.happen("submit"), lambda: history.work(""),
        ]  # fmt: skip
        for step in steps:
            await step()
            await history.run()
        assert history.statuses[-1] == "completed"
        await _check(history)
        await history.store.close()

    asyncio.run(go())
