"""A process that writes as fast as it is answered, says what it was told is safe, and is killed."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from fakeai_proxy.clock import SystemClock
from fakeai_proxy.store import Change, Insert, Key, LeaseLost, Row, Store, Tally, finish, open_store
from fakeai_proxy.store import sqlite as _sqlite  # noqa: F401 - loaded before the processes part
from fakeai_proxy.store.postgresql import store as _postgresql  # noqa: F401 - the same

PROJECT = "proj_k"
COUNTER = Key("counter", "c", PROJECT)
_LANES = 4
#: Of a life; a lease lasts for half of one.
LIFE_S = 1000.0
_NEVER = 10**9


def note_key(number: int) -> Key:
    return Key("note", f"n{number}", PROJECT)


def task_key(number: int) -> Key:
    return Key("task", f"t{number}", PROJECT)


def bytes_of(number: int) -> bytes:
    return b"%d" % number * 100


def opened(place: str) -> Store:
    return (
        open_store(None, SystemClock(), place)
        if "://" in place
        else open_store(Path(place), SystemClock())
    )


async def write(store: Store, numbers: Iterator[int], say: Connection) -> None:
    for number in numbers:
        blob = (await store.blobs.put([bytes_of(number)])).name if number % 4 == 0 else None
        await store.commit(
            Insert(Row(note_key(number), {"n": number}, 1.0, blob=blob, tags={"lane": "x"})),
            Tally("notes", 60, {"lane": str(number % 3)}, {"n": 1}),
            Change(COUNTER, lambda row: row.merged(n=row.document["n"] + 1)),
        )
        say.send(("note", number))


async def work(store: Store, owner: str, now: float, say: Connection | None) -> None:
    """Until nothing is due."""
    while rows := await store.claim("task", owner, now + LIFE_S / 2, limit=2, now=now):
        for row in rows:
            try:
                await store.commit(
                    Insert(Row(Key("result", f"{row.key.id}-{owner}", PROJECT), {}, 1.0,
                               tags={"task": row.key.id})),
                    Tally("done", 60, {}, {"n": 1}),
                    finish(row.key, owner, {"by": owner}),
                )  # fmt: skip
            except LeaseLost:
                continue
            if say is not None:
                say.send(("done", int(row.key.id[1:])))


async def _live(place: str, life: int, tasks: list[int], say: Connection) -> None:
    store = opened(place)
    await store.open()
    now = life * LIFE_S
    await store.commit(*[Insert(Row(task_key(one), {}, 1.0, due_at=now)) for one in tasks])
    for one in tasks:
        say.send(("task", one))
    first = life * 10**6
    await asyncio.gather(
        *[write(store, iter(range(first + k, _NEVER, _LANES)), say) for k in range(_LANES)],
        *[work(store, f"life-{life}-{k}", now, say) for k in range(2)],
    )


def live(place: str, life: int, tasks: list[int], say: Connection) -> None:
    # In silence, whatever the parent does meanwhile.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    asyncio.run(_live(place, life, tasks, say))


def nursery() -> multiprocessing.context.ForkServerContext:
    """Where such processes come from, with everything loaded."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", __name__])
    return context
