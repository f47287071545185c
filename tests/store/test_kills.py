"""Killed at any moment, under load, the store has what it said it had; work is done once."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from random import Random

import httpx
import pytest

from fakeai_proxy.store import Insert, Row, Store
from tests.doubles.program import Program
from tests.store.conftest import tables
from tests.store.life import (
    COUNTER,
    LIFE_S,
    PROJECT,
    bytes_of,
    live,
    note_key,
    nursery,
    opened,
    task_key,
    work,
)

#: Kills of each store: 4 x 11 of a process that has the store alone, 6 of the whole program.
SERIES, KILLS, PROGRAM_KILLS = 4, 11, 6
#: Answers after which a process is killed, at most.
ANSWERS_MAX = 60
_TASKS = 5


@pytest.fixture(params=["sqlite", "postgresql"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    if request.param == "sqlite":
        yield str(tmp_path)
    else:
        async with tables() as address:
            yield address


def lived(place: str, life: int, answers: int) -> list[tuple[str, int]]:
    """What it was told in its life, which ends soon after so many answers."""
    context = nursery()
    hear, say = context.Pipe(duplex=False)
    tasks = [life * _TASKS + k for k in range(_TASKS)]
    process = context.Process(target=live, args=(place, life, tasks, say), daemon=True)
    process.start()
    say.close()
    said: list[tuple[str, int]] = []
    with suppress(EOFError, OSError):
        while len(said) < answers:
            said.append(hear.recv())
        process.kill()
        while True:
            said.append(hear.recv())
    process.join()
    assert process.exitcode == -9, "it ended by itself"
    return said


async def check(store: Store, said: list[tuple[str, int]], seen: dict[str, set[int]]) -> None:
    """All that was ever said is true."""
    for what, number in said:
        seen.setdefault(what, set()).add(number)
        if what == "note":
            row = await store.get(note_key(number))
            assert row is not None, number
            if row.blob is not None:
                kept = b"".join([piece async for piece in store.blobs.chunks(row.blob)])
                assert kept == bytes_of(number)
        elif what == "task":
            assert await store.get(task_key(number)) is not None, number
        else:
            assert await store.count("result", PROJECT, tags={"task": f"t{number}"}) == 1


@pytest.mark.parametrize("series", range(SERIES))
async def test_a_killed_process_loses_nothing_that_it_was_told_is_safe(
    place: str, series: int
) -> None:
    dice = Random(f"{series} {place.startswith('postgresql')}")
    store = opened(place)
    await store.commit(Insert(Row(COUNTER, {"n": 0}, 1.0)))
    await store.close()
    seen: dict[str, set[int]] = {}
    for life in range(1, KILLS + 1):
        said = lived(place, life, dice.randrange(ANSWERS_MAX))
        store = opened(place)
        await store.open()
        await check(store, said, seen)
        await store.close()
    await settle(place, seen)


async def settle(place: str, seen: dict[str, set[int]]) -> None:
    """Whoever comes after the last does what is left, and finds that all adds up."""
    store = opened(place)
    await work(store, "last", (KILLS + 1) * LIFE_S, None)
    notes = await store.count("note", PROJECT)
    assert notes >= len(seen["note"])
    counter = await store.get(COUNTER)
    assert counter is not None
    sums = await store.sums("notes", 0, 600, 60)
    assert sum(one.amounts["n"] for one in sums) == counter.document["n"] == notes
    tasks = await store.count("task", PROJECT)
    assert tasks >= len(seen["task"])
    (done,) = await store.sums("done", 0, 600, 60)
    assert done.amounts["n"] == tasks == await store.count("result", PROJECT)
    assert await store.next_due(["task"]) == {}
    await store.close()


def test_a_killed_program_has_every_file_that_it_took(place: str, tmp_path: Path) -> None:
    dice = Random(f"program {place.startswith('postgresql')}")
    store = ("--store", place) if "://" in place else ()
    kept: dict[str, bytes] = {}
    for life in range(PROGRAM_KILLS):
        program = Program(tmp_path, "--mode", "synth", "--profile", "none", *store)
        try:
            with httpx.Client(
                base_url=program.base_url, headers={"authorization": "Bearer k"}
            ) as http:
                for file_id, data in kept.items():
                    assert http.get(f"/files/{file_id}/content").content == data
                enough = threading.Event()
                lanes = [
                    threading.Thread(target=upload, args=(http, f"{life}-{lane}", kept, enough))
                    for lane in range(3)
                ]
                for lane in lanes:
                    lane.start()
                wanted = len(kept) + dice.randrange(25)
                while len(kept) < wanted:
                    enough.wait(0.001)
                program.kill()
                enough.set()
                for lane in lanes:
                    lane.join()
        finally:
            program.stop()
    assert len(kept) > PROGRAM_KILLS


def upload(http: httpx.Client, name: str, kept: dict[str, bytes], enough: threading.Event) -> None:
    number = 0
    with suppress(httpx.TransportError):
        while not enough.is_set():
            data = f"{name}-{number}".encode() * (1 + 10_000 * (number % 5))
            answer = http.post("/files", data={"purpose": "user_data"}, files={"file": ("a", data)})
            assert answer.status_code == 200, answer.text
            kept[answer.json()["id"]] = data
            number += 1
