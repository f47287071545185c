"""What can happen to a file on a disk."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.errors import ApiError, ConfigError
from fakeai_proxy.store import Change, Insert, Key, Row, Store, Tally, open_store
from fakeai_proxy.store import sqlite as sqlite_store

ROOT = Path(__file__).resolve().parent.parent.parent


def key(number: int) -> Key:
    return Key("note", f"n{number}", "p")


def note(number: int) -> Insert:
    return Insert(Row(key(number), {"n": number}, 1.0))


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Store]:
    store = open_store(folder, VirtualClock(autojump=False))
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def refused(store: Store, number: int) -> str:
    with pytest.raises(ApiError) as caught:
        await store.commit(note(number))
    assert (caught.value.status, caught.value.code) == (503, "store_unavailable")
    assert caught.value.headers["retry-after"] == "1"
    return caught.value.message


async def test_a_file_from_the_future_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / "state.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(ConfigError, match=r"later fakeai-proxy .its schema is 99, this one knows"):
        async with opened(tmp_path):
            pass


async def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"not a database at all, and long enough to see it" * 99)
    with pytest.raises(ConfigError, match=r"state\.db cannot be used"):
        async with opened(tmp_path):
            pass


async def test_an_older_file_is_brought_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fakeai_proxy.store import schema

    async with opened(tmp_path) as store:
        await store.commit(note(1))

    def second(connection: sqlite3.Connection) -> None:
        connection.execute("ALTER TABLE documents ADD COLUMN colour TEXT DEFAULT 'red'")

    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, second))
    async with opened(tmp_path) as store:
        assert await store.get(key(1)) is not None
    with closing(sqlite3.connect(tmp_path / "state.db")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS),)
        assert connection.execute("SELECT colour FROM documents").fetchone() == ("red",)


async def test_what_was_counted_before_hours_and_days_were_is_in_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fakeai_proxy.store import schema

    with monkeypatch.context() as patch, closing(sqlite3.connect(tmp_path / "state.db")) as old:
        patch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        old.isolation_level = None
        schema.migrate(old, "here")
        old.execute("INSERT INTO labels VALUES (7, 'words', '{}')")
        old.executemany(
            "INSERT INTO tallies VALUES (7, ?, 'n', ?)", [(1, 1), (59, 2), (60, 4), (1440, 8)]
        )
    async with opened(tmp_path) as store:
        for bucket, expected in (
            (60, [(60, 1), (3540, 2), (3600, 4), (86_400, 8)]),
            (3600, [(0, 3), (3600, 4), (86_400, 8)]),
            (86_400, [(0, 7), (86_400, 8)]),
        ):
            found = await store.sums("words", 0, 2 * 86_400, bucket)
            assert [(one.at, one.amounts["n"]) for one in found] == expected


async def test_a_migration_that_fails_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fakeai_proxy.store import schema

    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("DROP TABLE tallies")
        connection.execute("DROP TABLE no_such_table")

    async with opened(tmp_path) as store:
        await store.commit(note(1), Tally("words", 60, {}, {"n": 1}))
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, broken))
        with pytest.raises(ConfigError):
            async with opened(tmp_path):
                pass
    async with opened(tmp_path) as store:
        assert [one.amounts for one in await store.sums("words", 0, 600, 60)] == [{"n": 1}]


async def test_a_locked_file_is_a_503_until_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_store, "BUSY_S", 0.01)
    async with opened(tmp_path) as store:
        await store.commit(note(1))
        with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert "another process has it locked" in await refused(store, 2)
            assert await store.get(key(1)) is not None  # readers go on
            other.execute("ROLLBACK")
        await store.commit(note(2))
        assert await store.count("note", "p") == 2


async def test_a_full_disk_is_a_503_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sqlite_store.SqliteStore._connect
    made: list[sqlite3.Connection] = []

    def connect(self: sqlite_store.SqliteStore) -> sqlite3.Connection:
        made.append(real(self))
        (pages,) = made[-1].execute("PRAGMA page_count").fetchone()
        made[-1].execute(f"PRAGMA max_page_count = {pages + 2}")
        return made[-1]

    monkeypatch.setattr(sqlite_store.SqliteStore, "_connect", connect)
    async with opened(tmp_path) as store:
        await store.commit(note(1))
        big = Insert(Row(key(2), {"x": "x" * 100_000}, 1.0))
        with pytest.raises(ApiError, match="there is no space left") as caught:
            await store.commit(big)
        assert caught.value.status == 503
        made[-1].execute("PRAGMA max_page_count = 100000")
        await store.commit(big)
        assert await store.count("note", "p") == 2


async def test_a_connection_that_fails_is_replaced(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.commit(note(1))
        writer = store._writer  # type: ignore[attr-defined]  # this store's own
        assert store._sweeping.doing is not None  # type: ignore[attr-defined]  # this store's own
        await store._sweeping.doing  # type: ignore[attr-defined]  # this store's own
        await writer.run(lambda connection: connection.execute("PRAGMA query_only = ON"))
        assert "cannot be written" in await refused(store, 2)
        await store.commit(note(2))
        assert await store.count("note", "p") == 2


async def test_several_stores_on_one_file_share_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as one, opened(tmp_path) as other:
        await one.commit(Insert(Row(key(0), {"n": 0}, 1.0)))
        change = Change(key(0), lambda row: row.merged(n=row.document["n"] + 1))
        await asyncio.gather(*[store.commit(change) for store in (one, other) * 25])
        await asyncio.gather(*[(one, other)[k % 2].commit(note(k)) for k in range(1, 41)])
        found = await other.get(key(0))
        assert found is not None
        assert found.document["n"] == 50
        rows = (await one.page("note", "p", limit=100)).rows
        assert len({row.sequence for row in rows}) == 41
        assert rows == (await other.page("note", "p", limit=100)).rows


async def test_nothing_is_made_before_it_is_used(tmp_path: Path) -> None:
    folder = tmp_path / "below" / "it"
    async with opened(folder):
        assert not folder.exists()
    async with opened(folder) as store:
        assert await store.get(key(1)) is None
        assert [path.name for path in folder.iterdir() if path.is_dir()] == []
        assert await asyncio.gather(*[store.count("note", "p") for _ in range(8)]) == [0] * 8


async def test_a_folder_that_cannot_be_made_is_a_503_until_it_can(tmp_path: Path) -> None:
    (tmp_path / "below").touch()
    async with opened(tmp_path / "below") as store:
        assert "The data store cannot be used" in await refused(store, 1)
        (tmp_path / "below").unlink()
        await store.commit(note(1))


async def test_a_file_from_the_future_put_in_place_later_is_a_503(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        with closing(sqlite3.connect(tmp_path / "state.db")) as connection:
            connection.execute("PRAGMA user_version = 99")
        assert "later fakeai-proxy" in await refused(store, 1)
        assert "later fakeai-proxy" in await refused(store, 2)


async def test_a_caller_that_goes_away_harms_nobody(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        tasks = [asyncio.ensure_future(store.commit(note(k))) for k in range(50)]
        await asyncio.wait(tasks[:1], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks[1::2]:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(not task.cancelled() for task in tasks[::2])
        assert await store.count("note", "p") >= 25


#: Writes numbers as fast as they are acknowledged, and says which were.
_CHILD = """
import asyncio, sys
from pathlib import Path
from fakeai_proxy.clock import SystemClock
from fakeai_proxy.store import Insert, Key, Row, Tally, open_store

async def main() -> None:
    store = open_store(Path(sys.argv[1]), SystemClock())
    await store.open()
    first = int(sys.argv[2])

    async def write(lane: int) -> None:
        for number in range(first + lane, first + 10_000_000, 8):
            blob = await store.blobs.put([b"%d" % number])
            row = Row(Key("note", f"n{number}", "p"), {"n": number}, 1.0, blob=blob.name)
            await store.commit(Insert(row), Tally("notes", 60, {"lane": str(lane)}, {"n": 1}))
            print(number, flush=True)

    await asyncio.gather(*[write(lane) for lane in range(8)])

asyncio.run(main())
"""


async def test_a_killed_process_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    said: list[int] = []
    for life in range(5):
        child = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs on this loop
            [sys.executable, "-c", _CHILD, str(tmp_path), str(life * 10**8)],
            stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert child.stdout is not None
        for _ in range(20 + 37 * life):
            said.append(int(child.stdout.readline()))
        child.send_signal(signal.SIGKILL)
        said += [int(line) for line in child.stdout.read().split(b"\n") if line]
        child.stdout.close()
        child.wait()
    async with opened(tmp_path) as store:
        for number in said:
            row = await store.get(key(number))
            assert row is not None, number
            assert row.blob is not None
            kept = b"".join([piece async for piece in store.blobs.chunks(row.blob)])
            assert kept == b"%d" % number
        there = await store.count("note", "p")
        counted = sum(one.amounts["n"] for one in await store.sums("notes", 0, 600, 60))
        # A transaction is whole: what is counted is there, acknowledged or not.
        assert counted == there >= len(said)
