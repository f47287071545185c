"""Replicas that share PostgreSQL and Redis work on each other's jobs."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import asyncpg
import pytest

from tests.servers import postgresql
from tests.servers.redis import Redis
from tests.services.test_batches_killed import LINES, after, begun, check, client_of, started


@pytest.mark.skipif(not postgresql.is_installed(), reason=postgresql.MISSING)
def test_a_dead_replicas_batch_is_another_ones(server: Redis, tmp_path: Path) -> None:
    schema = f"replicas{os.getpid()}"
    address = postgresql.shared()
    common = ("--store", f"{address}&search_path={schema}", "--redis", server.url)
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    with started(folders[0], *common) as first, client_of(first) as client:
        batch = begun(client)
        after(client, batch, 1)
        with started(folders[1], *common) as second, client_of(second) as other:
            later = begun(other)
            first.kill()
            check(other, batch)
            check(other, later)
            seen = after(other, later, LINES)
            assert seen.id in [one.id for one in other.batches.list().data]
    asyncio.run(_dropped(address, schema))


async def _dropped(address: str, schema: str) -> None:
    connection = await asyncpg.connect(address)
    await connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    await connection.close()
