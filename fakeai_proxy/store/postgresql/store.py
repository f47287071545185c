"""The store in PostgreSQL, which any number of processes on any number of machines share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from fakeai_proxy.clock import Clock
from fakeai_proxy.store.documents import Key, Page, Row, Sum, Write
from fakeai_proxy.store.encoding import gathered
from fakeai_proxy.store.postgresql import statements
from fakeai_proxy.store.postgresql.blobs import PostgresqlBlobs
from fakeai_proxy.store.postgresql.committer import Committer
from fakeai_proxy.store.postgresql.connections import Connections
from fakeai_proxy.store.sweeping import Sweeping

if TYPE_CHECKING:
    import asyncpg

T = TypeVar("T")

#: Expired rows of one transaction.
_SWEPT_TOGETHER = 200
#: Bytes of documents that are read on the event loop.
_IN_PLACE_BYTES = 1 << 18
_IN_PLACE_LINES = 1000


class PostgresqlStore:
    def __init__(self, address: str, clock: Clock) -> None:
        self._clock = clock
        self._connections = Connections(address)
        self.blobs = PostgresqlBlobs(self._connections, clock)
        self._committer = Committer(self._connections)
        self._sweeping = Sweeping(self.sweep, clock)

    async def open(self) -> None:
        with self._clock.hold():
            await self._connections.open()

    async def close(self) -> None:
        with self._clock.hold():
            await self._committer.close()
            await self._sweeping.close()
            await self._connections.close()

    # --- reading -----------------------------------------------------------------------------------

    async def get(self, key: Key) -> Row | None:
        now = self._clock.wall()
        return await self._read(lambda connection: statements.get(connection, key, now))

    async def page(
        self,
        kind: str,
        parent: str | None,
        *,
        tags: Mapping[str, str] | None = None,
        after: str = "",
        before: str = "",
        limit: int = 20,
        ascending: bool = False,
    ) -> Page:
        now = self._clock.wall()
        cursors = after, before
        found = await self._read(
            lambda connection: statements.page(
                connection, kind, parent, tags or {}, cursors, limit, ascending, now
            )
        )
        if sum(len(columns[3]) for columns in found[0]) > _IN_PLACE_BYTES:
            with self._clock.hold():
                return await asyncio.to_thread(statements.page_of, found)
        return statements.page_of(found)

    async def count(
        self, kind: str, parent: str | None, *, tags: Mapping[str, str] | None = None
    ) -> int:
        now = self._clock.wall()
        return await self._read(
            lambda connection: statements.count(connection, kind, parent, tags or {}, now)
        )

    async def next_due(self, kinds: Sequence[str]) -> Mapping[str, float]:
        now = self._clock.wall()
        return await self._read(lambda connection: statements.next_due(connection, kinds, now))

    async def sums(self, kind: str, start_at: int, end_at: int, bucket_s: int) -> list[Sum]:
        lines, labels = await self._read(
            lambda connection: statements.sums(connection, kind, start_at, end_at, bucket_s)
        )
        if len(lines) <= _IN_PLACE_LINES:
            return gathered(lines, labels, bucket_s)
        with self._clock.hold():
            return await asyncio.to_thread(gathered, lines, labels, bucket_s)

    # --- writing -----------------------------------------------------------------------------------

    async def commit(self, *writes: Write) -> list[Row | None]:
        with self._clock.hold():
            rows = await self._committer.run(writes, self._clock.wall())
        self._sweeping.sometimes()
        return rows

    async def claim(
        self, kind: str, owner: str, until: float, limit: int = 1, now: float | None = None
    ) -> list[Row]:
        at = self._clock.wall() if now is None else now
        return await self._read(
            lambda connection: statements.claim(connection, kind, owner, at, until, limit)
        )

    async def renew(self, key: Key, owner: str, until: float) -> bool:
        return await self._read(lambda connection: statements.renew(connection, key, owner, until))

    async def sweep(self) -> int:
        swept = 0
        while found := await self._read(self._swept):
            swept += found
            if found < _SWEPT_TOGETHER:
                break
        await self.blobs.sweep()
        return swept

    async def _swept(self, connection: asyncpg.Connection) -> int:
        async with connection.transaction():
            return await statements.sweep(connection, self._clock.wall(), _SWEPT_TOGETHER)

    async def _read(self, function: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """Also what writes in one transaction and may be done twice."""
        with self._clock.hold():
            return await self._connections.read(function)
