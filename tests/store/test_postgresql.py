"""What only a database of its own can do, or have done to it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import asyncpg
import pytest

from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.errors import ApiError, ConfigError
from fakeai_proxy.store import Change, Delete, Insert, Key, Missing, Row, Store, Tally, open_store
from fakeai_proxy.store.address import shown
from fakeai_proxy.store.blobs import GRACE_S
from fakeai_proxy.store.postgresql import connections, schema
from tests.servers import postgresql

PROJECT = "proj_a"


def key(name: object) -> Key:
    return Key("note", f"n{name}", PROJECT)


def note(name: object, **document: object) -> Insert:
    return Insert(Row(key(name), document, 1.0))


@asynccontextmanager
async def opened(address: str, clock: VirtualClock | None = None) -> AsyncIterator[Store]:
    store = open_store(None, clock or VirtualClock(autojump=False), address)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def replicas(address: str, count: int) -> AsyncIterator[list[Store]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(opened(address)) for _ in range(count)]


@asynccontextmanager
async def session(address: str) -> AsyncIterator[asyncpg.Connection]:
    """Somebody else in the same tables."""
    connection = await asyncpg.connect(address)
    try:
        yield connection
    finally:
        await connection.close()


async def until(connection: asyncpg.Connection, condition: str) -> None:
    while not await connection.fetchval(f"SELECT {condition}"):
        pass  # the server has said that it is not yet so


_WAITING = "EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype = '{}')"


# --- order -----------------------------------------------------------------------------------------


async def test_a_page_that_ends_with_a_row_has_all_before_it(address: str) -> None:
    async with replicas(address, 2) as (one, other), session(address) as third:
        await one.commit(Tally("words", 60, {}, {"n": 1}))
        async with third.transaction():
            await third.execute("LOCK TABLE tallies")
            # This one has its place in the list, and is not yet to be seen.
            early = asyncio.ensure_future(
                one.commit(note("early"), Tally("words", 60, {}, {"n": 1}))
            )
            await until(third, _WAITING.format("relation"))
            late = asyncio.ensure_future(other.commit(note("late")))
            await until(third, _WAITING.format("advisory"))
            assert (await other.page("note", PROJECT)).rows == []
        await asyncio.gather(early, late)
        rows = (await other.page("note", PROJECT, ascending=True)).rows
        assert [row.key for row in rows] == [key("early"), key("late")]


async def test_whoever_follows_a_list_misses_nothing(address: str) -> None:
    async with replicas(address, 3) as stores:
        seen: list[str] = []

        async def follow() -> None:
            while len(seen) < 300:
                page = await stores[0].page(
                    "note", None, after=seen[-1] if seen else "", limit=7, ascending=True
                )
                seen.extend(row.key.id for row in page.rows)

        async def write(lane: int) -> None:
            for number in range(lane, 300, 10):
                tally = Tally("words", 60 * number, {"lane": str(lane)}, {"n": 1})
                parent = f"{PROJECT}/{lane}"
                await stores[number % 3].commit(
                    Insert(Row(Key("note", f"n{number}", parent), {}, 1.0)), tally
                )

        await asyncio.gather(follow(), *[write(lane) for lane in range(10)])
        assert sorted(seen) == sorted(f"n{number}" for number in range(300))


# --- several at once -------------------------------------------------------------------------------


async def test_replicas_that_start_together_make_the_tables_once(address: str) -> None:
    async with AsyncExitStack() as stack:
        stores = [open_store(None, VirtualClock(autojump=False), address) for _ in range(6)]
        for store in stores:
            stack.push_async_callback(store.close)
        await asyncio.gather(*[store.open() for store in stores])
        await asyncio.gather(*[store.commit(note(k)) for k, store in enumerate(stores)])
        assert await stores[0].count("note", PROJECT) == 6
        other = await stack.enter_async_context(session(address))
        assert await other.fetch("SELECT version FROM schema_version") == [
            (len(schema.MIGRATIONS),)
        ]


async def test_two_who_edit_one_thing_lose_nothing(address: str) -> None:
    async with replicas(address, 2) as stores:
        await stores[0].commit(note(0, n=0), note(1, n=0))
        change = [Change(key(k), lambda row: row.merged(n=row.document["n"] + 1)) for k in (0, 1)]
        # In one order and in the other: whoever waits for the other does not do so in a circle.
        await asyncio.gather(
            *[stores[k % 2].commit(*change[:: 1 if k % 2 else -1]) for k in range(60)]
        )
        for k in (0, 1):
            row = await stores[0].get(key(k))
            assert row is not None
            assert (row.document, row.version) == ({"n": 60}, 61)


async def test_what_replicas_count_is_added_up(address: str) -> None:
    async with replicas(address, 3) as stores:
        tally = Tally("words", 60, {"model": "m"}, {"in": 1, "out": 2})
        await asyncio.gather(*[stores[k % 3].commit(tally) for k in range(90)])
        (found,) = await stores[1].sums("words", 0, 600, 60)
        assert found.amounts == {"in": 90, "out": 180}


async def test_work_that_somebody_changes_is_left_to_the_next_claim(address: str) -> None:
    async with replicas(address, 1) as (store,), session(address) as other:
        await store.commit(*[Insert(Row(key(k), {}, 1.0, due_at=10.0)) for k in (0, 1)])
        async with other.transaction():
            await other.execute("SELECT FROM documents WHERE id = 'n0' FOR UPDATE")
            first = await store.claim("note", "me", 99.0, limit=2, now=20.0)
            assert [row.key.id for row in first] == ["n1"]
        second = await store.claim("note", "me", 99.0, limit=2, now=20.0)
        assert [row.key.id for row in second] == ["n0"]


# --- what a group of commits must not do to its members --------------------------------------------


async def test_one_that_the_database_does_not_take_spoils_no_other(address: str) -> None:
    async with replicas(address, 1) as (store,):
        bad = Insert(replace(note("bad").row, owner="a\0b"))
        worse = note("worse", thing=object())
        writes = [note(0), bad, note(1), worse, note(2)]
        done = await asyncio.gather(*map(store.commit, writes), return_exceptions=True)
        assert [type(one) for one in done] == [list, ApiError, list, TypeError, list]
        assert await store.count("note", PROJECT) == 3


async def test_a_commit_that_fails_leaves_no_trace_in_its_group(address: str) -> None:
    def refuse(row: Row) -> Row:
        raise ApiError(400, "No.")

    async with replicas(address, 1) as (store,):
        child = key(0).child("part", "p")
        await store.commit(note(0, n=0), Insert(Row(child, {}, 1.0)))
        done = await asyncio.gather(
            store.commit(Delete(key(0)), note(0, n=7), Change(key(0), refuse)),
            store.commit(Change(key(0), lambda row: row.merged(n=row.document["n"] + 1))),
            store.commit(Change(child, lambda row: row.merged(m=1))),
            return_exceptions=True,
        )
        assert isinstance(done[0], ApiError)
        row, part = await store.get(key(0)), await store.get(child)
        assert row is not None
        assert part is not None
        assert (row.document, row.version, part.document) == ({"n": 1}, 2, {"m": 1})


async def test_a_caller_that_goes_away_harms_nobody(address: str) -> None:
    async with replicas(address, 1) as (store,):
        tasks = [asyncio.ensure_future(store.commit(note(k))) for k in range(50)]
        await asyncio.wait(tasks[:1])
        for task in tasks[1::2]:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(not task.cancelled() for task in tasks[::2])
        assert await store.count("note", PROJECT) >= 25


@pytest.mark.parametrize(
    "name", ["n\0", "\\0", "\\", "a/b", "../../etc", "%00", "'; --", "ü" * 200]
)
async def test_any_text_is_a_name(address: str, name: str) -> None:
    async with replicas(address, 1) as (store,):
        odd = Key("note", name, PROJECT)
        tags = {name: name}
        assert await store.get(odd) is None
        with pytest.raises(Missing):
            await store.page("note", PROJECT, after=name)
        await store.commit(
            Insert(Row(odd, {"n": name}, 1.0, tags=tags)),
            Insert(Row(odd.child("x", name), {}, 1.0)),
        )
        (found,) = (await store.page("note", None, tags=tags)).rows
        assert (found.key, found.document, found.tags) == (odd, {"n": name}, tags)
        assert (await store.page("note", PROJECT, after=name)).rows == []
        await store.commit(Delete(odd))
        assert await store.count("x", None) == 0


# --- bytes -----------------------------------------------------------------------------------------


async def test_a_blob_is_a_file_for_a_thread(address: str) -> None:
    data = bytes(range(256)) * 5000
    async with replicas(address, 2) as (one, other):
        blobs = await asyncio.gather(*[(one, other)[k % 2].blobs.put([data]) for k in range(8)])
        blob = blobs[0]
        assert set(blobs) == {blob}

        def read() -> tuple[bytes, bytes]:
            with other.blobs.open_file(blob.name) as file:
                file.seek(-10, 2)
                end = file.read()
                file.seek(0)
                return end, file.read()

        async with session(address) as third:
            assert await third.fetchval("SELECT count(*) FROM blobs") == 1
        assert await asyncio.to_thread(read) == (data[-10:], data)


async def test_whoever_reads_a_blob_that_is_let_go_comes_to_the_end(address: str) -> None:
    clock = VirtualClock(autojump=False)
    async with opened(address, clock) as store, session(address) as other:
        blob = await store.blobs.put([b"x" * 1_000_000])
        reading = store.blobs.chunks(blob.name)
        got = len(await anext(reading))
        clock.advance(GRACE_S + 1)
        await store.sweep()
        with pytest.raises(ApiError):
            await anext(store.blobs.chunks(blob.name))
        assert got + sum([len(piece) async for piece in reading]) == 1_000_000
        clock.advance(GRACE_S + 1)
        await store.sweep()
        assert await other.fetchval("SELECT count(*) FROM blob_pieces") == 0


async def test_what_a_killed_process_had_half_written_is_swept(address: str) -> None:
    clock = VirtualClock(autojump=False)
    async with opened(address, clock) as store, session(address) as other:

        def broken() -> Iterator[bytes]:
            yield b"x" * 1_000_000
            raise ApiError(400, "No.")

        with pytest.raises(ApiError, match="No"):
            await store.blobs.put(broken())
        assert await other.fetchval("SELECT count(*) FROM blob_pieces") == 0
        await other.execute(
            "WITH begun AS (INSERT INTO blobs (size_bytes, put_at) VALUES (0, $1) RETURNING id)"
            " INSERT INTO blob_pieces SELECT id, 0, 'x' FROM begun",
            clock.wall(),
        )
        await store.sweep()
        assert await other.fetchval("SELECT count(*) FROM blob_pieces") == 1
        clock.advance(GRACE_S + 1)
        await store.sweep()
        assert await other.fetchval("SELECT count(*) FROM blob_pieces") == 0


# --- tables of other times -------------------------------------------------------------------------


async def test_tables_from_the_future_are_refused(address: str) -> None:
    async with opened(address), session(address) as other:
        await other.execute("UPDATE schema_version SET version = 99")
    with pytest.raises(ConfigError, match=r"later fakeai-proxy .its schema is 99, this one knows"):
        async with opened(address):
            pass


async def test_older_tables_are_brought_up_to_date(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(address) as store:
        await store.commit(note(1))
    added = "ALTER TABLE documents ADD COLUMN colour text DEFAULT 'red'"
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, added, "DROP TABLE no_such"))
        with pytest.raises(ConfigError, match="no_such"):
            async with opened(address):
                pass
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, added))
    async with opened(address) as store, session(address) as other:
        assert await store.get(key(1)) is not None
        assert await other.fetchval("SELECT colour FROM documents") == "red"


# --- what is wrong is said -------------------------------------------------------------------------


def test_nobody_sees_the_password() -> None:
    assert shown("postgresql://ada:se%40cret@db:5432/x?password=y&host=/tmp") == (
        "postgresql://ada@db:5432/x?password=...&host=/tmp"
    )
    assert shown("postgres://:secret@db/x") == "postgres://db/x"


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("postgresql://u:secret@127.0.0.1:1/x", "nothing listens"),
        ("postgresql://guarded:secret@/postgres?host=SOCKET", "refuses the password"),
        ("postgresql://postgres:secret@/nosuch?host=SOCKET", "there is no such database"),
        ("postgresql://postgres:secret@/postgres?host=SOCKET&search_path=a,b", "search_path"),
        ("postgresql://postgres:secret@/postgres?host=SOCKET&port=x", "no address"),
    ],
)
async def test_what_is_wrong_with_an_address_is_said_at_the_start(
    address: str, place: str, said: str
) -> None:
    socket = address.partition("host=")[2].partition("&")[0]
    async with session(address) as other:
        exists = await other.fetchval("SELECT count(*) FROM pg_roles WHERE rolname = 'guarded'")
        if not exists:
            await other.execute("CREATE ROLE guarded LOGIN PASSWORD 'other'")
    with pytest.raises(ConfigError) as caught:
        async with opened(place.replace("SOCKET", socket)):
            pass
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


def test_without_its_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("fakeai_proxy.store.postgresql")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(ConfigError, match=r"pip install 'fakeai-proxy\[scale\]'"):
        open_store(None, VirtualClock(), "postgresql://db/x")


async def test_a_locked_row_is_a_503_until_it_is_free(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections._SETTINGS, "lock_timeout", "20")
    change = Change(key(1), lambda row: row.merged(done=True))
    async with opened(address) as store, session(address) as other:
        await store.commit(note(1))
        async with other.transaction():
            await other.execute("SELECT FROM documents FOR UPDATE")
            with pytest.raises(ApiError, match="another process has it locked") as caught:
                await store.commit(change)
            assert (caught.value.status, caught.value.headers["retry-after"]) == (503, "1")
            assert await store.get(key(1)) is not None  # readers go on
            await store.commit(note(2))
        await store.commit(change)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_server_that_is_restarted_is_a_503_until_it_is_back(mode: str) -> None:
    if not postgresql.is_installed():
        pytest.skip(postgresql.MISSING)
    with postgresql.running(f"restart-{mode}") as server:
        async with opened(server.address()) as store:
            said: list[int] = []
            refused: list[ApiError] = []
            going = True

            async def write(lane: int) -> None:
                number = lane
                while going:
                    try:
                        await store.commit(note(number), Tally("words", 60, {}, {"n": 1}))
                        said.append(number)
                    except ApiError as error:
                        refused.append(error)
                    number += 8

            writers = [asyncio.ensure_future(write(lane)) for lane in range(8)]
            for _ in range(2):
                before = len(said)
                while len(said) < before + 40:
                    await store.count("note", PROJECT)
                count = len(refused)
                await asyncio.to_thread(server.stop, mode)
                with pytest.raises(ApiError) as caught:
                    await store.get(key(1))
                assert (caught.value.status, caught.value.code) == (503, "store_unavailable")
                await asyncio.to_thread(server.start)
                assert len(refused) > count
            assert await store.get(key(0)) is not None
            going = False
            await asyncio.gather(*writers)
            assert {(one.status, one.headers["retry-after"]) for one in refused} == {(503, "1")}
            there = await store.count("note", PROJECT)
            for number in said:
                assert await store.get(key(number)) is not None
            (counted,) = await store.sums("words", 0, 600, 60)
            # What was cut in its commit may be there, whole.
            assert counted.amounts["n"] == there >= len(said)
