"""Connections to PostgreSQL: a bounded pool that comes up with the first use, and comes back by itself."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar
from urllib.parse import parse_qsl, urlsplit

import asyncpg

from fakeai_proxy import errors
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.store.address import shown
from fakeai_proxy.store.postgresql.failures import FAILURES, is_lost, reason, unavailable
from fakeai_proxy.store.postgresql.schema import migrate

T = TypeVar("T")

CONNECTIONS_MAX = 8
#: How long a caller waits for a connection, and for the server to make one.
CONNECT_S = 5.0
#: How long a statement may take.
STATEMENT_S = 30.0
#: What the server does on its own; in milliseconds.
_SETTINGS = {
    "application_name": "fakeai-proxy",
    "lock_timeout": "5000",
    "statement_timeout": str(int(STATEMENT_S * 1000)),
    # A process that hangs in a transaction does not hold up the others for long.
    "idle_in_transaction_session_timeout": "15000",
}
_SCHEMA = "fakeai_proxy"


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    def get_reset_query(self) -> str:
        """Nothing outlives a statement or a transaction here, so that a reset would be a wait for nothing."""
        return ""


class Connections:
    def __init__(self, address: str) -> None:
        self._address = address
        query = dict(parse_qsl(urlsplit(address).query))
        #: Where the tables are; `?search_path=...` keeps several installations apart.
        self.schema = query.get("search_path", _SCHEMA)
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()
        #: Where the connections are at home, once they are used.
        self.loop: asyncio.AbstractEventLoop | None = None

    async def open(self) -> None:
        """Raises ConfigError."""
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", self.schema):
            raise ConfigError("store: search_path in the address is one plain name of a schema.")
        try:
            await self._opened()
        except FAILURES as error:
            raise ConfigError(self._said(error)) from None
        except ValueError as error:
            raise ConfigError(f"store: {shown(self._address)} is no address ({error}).") from None

    def _said(self, error: BaseException) -> str:
        return (
            f"store: {shown(self._address)} cannot be used: {reason(error)}. Start PostgreSQL, or check the "
            "address, the user and the password."
        )

    async def close(self) -> None:
        if self._pool is not None:
            pool, self._pool = self._pool, None
            try:
                async with asyncio.timeout(CONNECT_S):
                    await pool.close()
            except (*FAILURES, asyncio.CancelledError):
                pool.terminate()

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[asyncpg.Connection]:
        """Raises what asyncpg raises, and 503 when all are busy."""
        pool = await self._opened()
        try:
            connection = await pool.acquire(timeout=CONNECT_S)
        except TimeoutError:
            if pool.get_size() < CONNECTIONS_MAX:
                raise
            raise errors.store_unavailable("all connections to PostgreSQL are busy") from None
        try:
            yield connection
        except FAILURES as error:
            if is_lost(error):
                connection.terminate()
            raise
        finally:
            with contextlib.suppress(*FAILURES):
                await pool.release(connection)

    async def read(self, function: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """Once more on another connection, if the first has gone. Raises 503."""
        try:
            try:
                async with self.one() as connection:
                    return await function(connection)
            except FAILURES as error:
                if not is_lost(error):
                    raise
                async with self.one() as connection:
                    return await function(connection)
        except FAILURES as error:
            raise unavailable(error) from None
        except ConfigError as error:
            raise errors.store_unavailable(str(error).rstrip(".")) from None

    async def _opened(self) -> asyncpg.Pool:
        if self._pool is None:
            async with self._opening:
                if self._pool is None:
                    self.loop = asyncio.get_running_loop()
                    self._pool = await self._made()
        return self._pool

    async def _made(self) -> asyncpg.Pool:
        """A pool whose server has answered, and has today's tables."""
        pool = await asyncpg.create_pool(
            self._address,
            min_size=0,
            max_size=CONNECTIONS_MAX,
            timeout=CONNECT_S,
            command_timeout=STATEMENT_S + 1,
            connection_class=_Connection,
            server_settings={**_SETTINGS, "search_path": self.schema},
        )
        is_ready = False
        try:
            async with pool.acquire() as connection:
                encoding = await connection.fetchval("SHOW server_encoding")
                if encoding != "UTF8":
                    raise ConfigError(
                        f"store: the database of {shown(self._address)} is in {encoding}; make one "
                        "with ENCODING 'UTF8'."
                    )
                await migrate(connection, self.schema, shown(self._address))
            is_ready = True
        finally:
            if not is_ready:
                pool.terminate()
        return pool
