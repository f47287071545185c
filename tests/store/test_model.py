"""The store against a dictionary: whatever is done to both, they say the same."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.store import (
    Change,
    Conflict,
    Delete,
    Exists,
    Insert,
    Key,
    Missing,
    Row,
    Store,
    StoreError,
    Write,
    open_store,
    put,
)
from tests.servers import postgresql
from tests.store.conftest import tables

_PARENTS = ["p", "p/a", "p/a/b", "p/ab", "q"]
_IDS = ["a", "b", "ab"]
_KEYS = st.builds(
    Key, st.sampled_from(["x", "y"]), st.sampled_from(_IDS), st.sampled_from(_PARENTS)
)
_TAGS = st.dictionaries(st.sampled_from(["t", "u"]), st.sampled_from(["1", "2"]))
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
_DOCUMENTS = st.dictionaries(st.text(max_size=3), _JSON, max_size=3)


class Model(RuleBasedStateMachine):
    """`rows` is what there should be, in the order of insertion."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = VirtualClock(autojump=False)
        self.tables = AsyncExitStack()
        self.store = self.run(self.made())
        self.run(self.store.open())
        self.rows: dict[Key, Row] = {}

    async def made(self) -> Store:
        return open_store(None, self.clock)

    def run(self, awaitable: Any) -> Any:
        return self.loop.run_until_complete(awaitable)

    def commit(self, *writes: Write) -> type[StoreError] | None:
        try:
            self.run(self.store.commit(*writes))
        except StoreError as error:
            return type(error)
        return None

    def alive(self) -> dict[Key, Row]:
        now = self.clock.wall()
        rows = self.rows.items()
        return {k: row for k, row in rows if row.expires_at is None or row.expires_at > now}

    @rule(key=_KEYS, document=_DOCUMENTS, tags=_TAGS, lives_s=st.none() | st.integers(1, 5))
    def insert(self, key: Key, document: Any, tags: Any, lives_s: int | None) -> None:
        expires_at = None if lives_s is None else self.clock.wall() + lives_s
        row = Row(key, document, 1.0, tags=tags, expires_at=expires_at)
        expected = Exists if key in self.alive() else None
        assert self.commit(Insert(row)) is expected
        if expected is None:
            self.rows.pop(key, None)
            self.rows[key] = replace(row, version=1)

    @rule(key=_KEYS, document=_DOCUMENTS, tags=_TAGS)
    def change(self, key: Key, document: Any, tags: Any) -> None:
        expected = None if key in self.alive() else Missing
        done = self.commit(Change(key, lambda row: replace(row, document=document, tags=tags)))
        assert done is expected
        if expected is None:
            before = self.rows[key]
            self.rows[key] = replace(
                before, document=document, tags=tags, version=before.version + 1
            )

    @rule(key=_KEYS, version=st.integers(1, 3))
    def compare_and_set(self, key: Key, version: int) -> None:
        row = self.alive().get(key)
        expected = Missing if row is None else None if row.version == version else Conflict
        assert self.commit(put(key, version, {"put": version})) is expected
        if row is not None and expected is None:
            self.rows[key] = replace(row, document={"put": version}, version=version + 1)

    @rule(key=_KEYS)
    def delete(self, key: Key) -> None:
        expected = None if key in self.alive() else Missing
        assert self.commit(Delete(key)) is expected
        if expected is None:
            below = (key.path, key.path + "/")
            for other in list(self.rows):
                if other == key or other.parent == below[0] or other.parent.startswith(below[1]):
                    del self.rows[other]

    @rule(key=_KEYS, other=_KEYS)
    @precondition(lambda self: bool(self.rows))
    def half_a_transaction_is_none(self, key: Key, other: Key) -> None:
        taken = next(iter(self.alive()), None)
        if taken is not None and key not in self.alive():
            insert = Insert(Row(key, {}, 1.0))
            assert self.commit(insert, Insert(Row(taken, {}, 1.0))) is Exists

    @rule()
    def pass_time(self) -> None:
        self.clock.advance(2)

    @invariant()
    def every_row_is_there(self) -> None:
        alive = self.alive()
        for kind in ("x", "y"):
            found = self.run(self.store.page(kind, None, limit=100, ascending=True)).rows
            assert [(row.key, row.document, row.version, row.tags) for row in found] == [
                (key, row.document, row.version, row.tags)
                for key, row in alive.items()
                if key.kind == kind
            ]
            tagged = self.run(self.store.count(kind, "p", tags={"t": "1"}))
            expected = [
                k for k, row in alive.items() if k[::2] == (kind, "p") and row.tags.get("t") == "1"
            ]
            assert tagged == len(expected)

    @invariant()
    def pages_of_one_are_the_list(self) -> None:
        ids = [key.id for key in self.alive() if key[::2] == ("x", "p")]
        after, seen = "", []
        while page := self.run(
            self.store.page("x", "p", after=after, limit=1, ascending=True)
        ).rows:
            after = page[0].key.id
            seen.append(after)
        assert seen == ids

    def teardown(self) -> None:
        self.run(self.store.close())
        self.run(self.tables.aclose())
        self.loop.close()


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)


class PostgresqlModel(Model):
    async def made(self) -> Store:
        address = await self.tables.enter_async_context(tables())
        return open_store(None, self.clock, address)


@pytest.mark.skipif(not postgresql.is_installed(), reason=postgresql.MISSING)
class TestPostgresqlModel(PostgresqlModel.TestCase):  # type: ignore[name-defined,misc]  # made by hypothesis
    settings = settings(max_examples=20, stateful_step_count=20, deadline=None)
