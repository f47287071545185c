"""Every implementation of the store, for the contract."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from fakeai_proxy.clock import Clock, VirtualClock
from fakeai_proxy.store import Store, open_store
from tests.servers import postgresql

KINDS = ("sqlite-memory", "sqlite-disk", "postgresql")
_NUMBERS = itertools.count()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(autojump=False)


@asynccontextmanager
async def tables() -> AsyncIterator[str]:
    """The address of a schema of one's own in the PostgreSQL of the run; nothing is in it."""
    if not postgresql.is_installed():
        pytest.skip(postgresql.MISSING)
    schema = f"t{os.getpid()}_{next(_NUMBERS)}"
    address = postgresql.shared()
    yield f"{address}&search_path={schema}"
    connection = await asyncpg.connect(address)
    await connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    await connection.close()


@pytest.fixture
async def address() -> AsyncIterator[str]:
    async with tables() as made:
        yield made


@pytest.fixture(params=KINDS)
async def make(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Callable[[Clock], Store]]:
    """Any number of stores on the same rows, but for those in memory."""
    if request.param == "postgresql":
        async with tables() as address:
            yield lambda clock: open_store(None, clock, address)
    else:
        folder = tmp_path if request.param == "sqlite-disk" else None
        yield lambda clock: open_store(folder, clock)


@pytest.fixture
async def store(make: Callable[[Clock], Store], clock: VirtualClock) -> AsyncIterator[Store]:
    made = make(clock)
    await made.open()
    yield made
    await made.close()
