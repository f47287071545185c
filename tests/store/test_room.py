"""What a store in memory gives up when it fills, and what becomes of its folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.store import Insert, Key, Row, open_store
from fakeai_proxy.store import room as store_room
from tests.doubles.program import bare_environment


async def test_what_expires_soonest_makes_room_and_what_lasts_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = VirtualClock()
    monkeypatch.setattr(store_room.Room.__init__, "__defaults__", (1 << 20,))
    store = open_store(None, clock)
    now = clock.wall()
    text = "x" * 4096
    for number in range(2000):
        lasts = number % 20 == 0
        row = Row(
            Key("note", f"n{number}", "p"), {"text": text}, now, tags={"of": "mine"},
            expires_at=None if lasts else now + 1000 + number,
        )  # fmt: skip
        await store.commit(Insert(row))
    there = [row.key.id for row in (await store.page("note", "p", limit=3000)).rows]
    assert {f"n{number}" for number in range(0, 2000, 20)} <= set(there)
    expiring = [int(name[1:]) for name in there if int(name[1:]) % 20]
    assert max(expiring) == 1999
    assert expiring == [number for number in range(1999, min(expiring) - 1, -1) if number % 20]
    assert (1 << 19) / 4096 < len(expiring) < (3 << 20) / 4096
    assert await store.count("note", "p", tags={"of": "mine"}) == len(there)
    await store.close()


_CHILD = """
import asyncio, sys
from fakeai_proxy.clock import SystemClock
from fakeai_proxy.store import open_store
async def put():
    store = open_store(None, SystemClock())
    await store.blobs.put([b"bytes"])
    print("put", flush=True)
    sys.stdin.read()
    await store.close()
asyncio.run(put())
"""


def _child(folder: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD], env=bare_environment(TMPDIR=str(folder)), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "put\n"
    return child


@pytest.mark.skipif(sys.platform == "win32", reason="locks that a kill gives back are POSIX's")
def test_the_folder_of_a_killed_process_is_cleared_by_the_next(tmp_path: Path) -> None:
    with _child(tmp_path) as killed, _child(tmp_path) as living:
        assert len(list(tmp_path.iterdir())) == 2
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        with _child(tmp_path) as heir:
            assert len(list(tmp_path.iterdir())) == 2
            heir.communicate("")
        assert len(list(tmp_path.iterdir())) == 1
        assert list(tmp_path.glob("*/blobs/??/*"))
        living.communicate("")
    assert list(tmp_path.iterdir()) == []
