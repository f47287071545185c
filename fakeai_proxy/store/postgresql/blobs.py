"""Bytes in PostgreSQL, in pieces, so that replicas need no disk in common.

A blob has its name when all of its pieces are there. One that is let go loses its name at once and its
pieces later, so that whoever reads it comes to the end.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import sys
from collections.abc import AsyncGenerator, Coroutine, Iterable, Iterator
from typing import IO, Any, TypeVar, cast

import asyncpg

from fakeai_proxy import errors
from fakeai_proxy.clock import Clock
from fakeai_proxy.store.blobs import GRACE_S, PIECE_BYTES, Blob
from fakeai_proxy.store.postgresql.connections import Connections

T = TypeVar("T")

_GONE = "some of its bytes are missing"
#: Pieces that are on their way to the database at a time.
_UNDER_WAY = 2


class PostgresqlBlobs:
    def __init__(self, connections: Connections, clock: Clock) -> None:
        self._connections = connections
        self._clock = clock

    def close(self) -> None:
        """Nothing of them is here."""

    async def put(self, pieces: Iterable[bytes]) -> Blob:
        with self._clock.hold():
            incoming = _Incoming(pieces)
            first = await incoming.next()
            second = await incoming.next() if len(first) == PIECE_BYTES else b""
            if second:
                return await self._put_many(incoming, [first, second])
            blob = incoming.blob()
            await self._read(lambda connection: self._put_one(connection, blob, first))
            return blob

    async def _put_one(self, connection: asyncpg.Connection, blob: Blob, data: bytes) -> None:
        # A row that is there already has its bytes.
        await connection.execute(
            "WITH put AS (INSERT INTO blobs (name, size_bytes, put_at) VALUES ($1, $2, $3)"
            " ON CONFLICT (name) DO UPDATE SET put_at = excluded.put_at"
            " RETURNING id, xmax = 0 AS is_made)"
            " INSERT INTO blob_pieces SELECT id, 0, $4 FROM put WHERE is_made",
            blob.name, blob.size_bytes, self._clock.wall(), data,
        )  # fmt: skip

    async def _put_many(self, incoming: _Incoming, pieces: list[bytes]) -> Blob:
        blob_id = await self._read(
            lambda connection: connection.fetchval(
                "INSERT INTO blobs (size_bytes, put_at) VALUES (0, $1) RETURNING id",
                self._clock.wall(),
            )
        )
        try:
            number = 0
            while pieces:
                await asyncio.gather(
                    *[self._put_piece(blob_id, number + k, one) for k, one in enumerate(pieces)]
                )
                number += len(pieces)
                pieces = [piece for _ in range(_UNDER_WAY) if (piece := await incoming.next())]
            blob = incoming.blob()
            await self._read(lambda connection: self._name(connection, blob_id, blob))
            blob_id = None
            return blob
        finally:
            if blob_id is not None:
                await self._drop(blob_id)

    async def _put_piece(self, blob_id: int, number: int, data: bytes) -> None:
        async def put(connection: asyncpg.Connection) -> None:
            # The commit that gives the name waits for the disk, for these as well.
            async with connection.transaction():
                await connection.execute("SET LOCAL synchronous_commit = off")
                await connection.execute(
                    "INSERT INTO blob_pieces VALUES ($1, $2, $3)"
                    " ON CONFLICT (blob_id, number) DO UPDATE SET bytes = excluded.bytes",
                    blob_id, number, data,
                )  # fmt: skip

        await self._read(put)

    async def _name(self, connection: asyncpg.Connection, blob_id: int, blob: Blob) -> None:
        try:
            await self._try_name(connection, blob_id, blob)
        except asyncpg.UniqueViolationError:
            # Somebody has given the name to the same bytes meanwhile.
            await self._try_name(connection, blob_id, blob)

    async def _try_name(self, connection: asyncpg.Connection, blob_id: int, blob: Blob) -> None:
        async with connection.transaction():
            known = await connection.fetchval(
                "UPDATE blobs SET put_at = $2 WHERE name = $1 RETURNING id",
                blob.name,
                self._clock.wall(),
            )
            if known is None:
                known = await connection.fetchval(
                    "UPDATE blobs SET name = $1, size_bytes = $2, put_at = $3 WHERE id = $4"
                    " RETURNING id",
                    blob.name, blob.size_bytes, self._clock.wall(), blob_id,
                )  # fmt: skip
                if known is None:
                    raise errors.store_unavailable("the bytes took more than an hour to arrive")
            elif known != blob_id:
                await _delete(connection, [blob_id])

    async def _drop(self, blob_id: int) -> None:
        """What was begun in vain; a sweep finds it otherwise."""
        try:
            await self._read(lambda connection: _delete(connection, [blob_id]))
        except errors.ApiError:
            return

    def open_file(self, name: str) -> IO[bytes]:
        loop = self._connections.loop
        assert loop is not None, "a blob is read after its row"
        raw = _Reading(self, name, loop)
        return cast(IO[bytes], io.BufferedReader(raw, PIECE_BYTES))

    async def chunks(
        self, name: str, start: int = 0, stop: int | None = None
    ) -> AsyncGenerator[bytes]:
        blob_id, size = await self.found(name)
        stop = min(size, sys.maxsize if stop is None else stop)
        while start < stop:
            piece = await self.piece(blob_id, start, stop)
            start += len(piece)
            yield piece

    async def found(self, name: str) -> tuple[int, int]:
        """(id, size in bytes). Raises 503."""
        query = "SELECT id, size_bytes FROM blobs WHERE name = $1"
        found = await self._read(lambda connection: connection.fetchrow(query, name))
        if found is None:
            raise errors.store_unavailable(_GONE)
        return int(found[0]), int(found[1])

    async def piece(self, blob_id: int, start: int, stop: int) -> bytes:
        """What there is in one piece from `start` on."""
        number, offset = divmod(start, PIECE_BYTES)
        length = min(stop - start, PIECE_BYTES - offset)
        query = "SELECT substr(bytes, $3, $4) FROM blob_pieces WHERE blob_id = $1 AND number = $2"
        piece = await self._read(
            lambda connection: connection.fetchval(query, blob_id, number, offset + 1, length)
        )
        if not piece:
            raise errors.store_unavailable(_GONE)
        return bytes(piece)

    async def idle(self) -> list[str]:
        query = "SELECT name FROM blobs WHERE name IS NOT NULL AND put_at < $1"
        before = self._clock.wall() - GRACE_S
        found = await self._read(lambda connection: connection.fetch(query, before))
        return [name for (name,) in found]

    async def remove(self, name: str) -> None:
        query = "UPDATE blobs SET name = NULL, put_at = $2 WHERE name = $1 AND put_at < $3"
        now = self._clock.wall()
        await self._read(lambda connection: connection.execute(query, name, now, now - GRACE_S))

    async def sweep(self) -> None:
        """Takes the names of those that no row has, and the pieces of those that long have none."""
        await self._read(self._sweep)

    async def _sweep(self, connection: asyncpg.Connection) -> None:
        now = self._clock.wall()
        found = await connection.fetch(
            "SELECT id FROM blobs WHERE name IS NULL AND put_at < $1 LIMIT 1000", now - GRACE_S
        )
        await _delete(connection, [blob_id for (blob_id,) in found])
        await connection.execute(
            "UPDATE blobs SET name = NULL, put_at = $1 WHERE name IS NOT NULL AND put_at < $2"
            " AND NOT EXISTS (SELECT FROM documents WHERE documents.blob = blobs.name)",
            now,
            now - GRACE_S,
        )

    async def _read(self, function: Any) -> Any:
        with self._clock.hold():
            return await self._connections.read(function)

    def wait(self, begin: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T:
        return asyncio.run_coroutine_threadsafe(begin, loop).result()


async def _delete(connection: asyncpg.Connection, blob_ids: list[int]) -> None:
    if blob_ids:
        await connection.execute(
            "WITH gone AS (DELETE FROM blobs WHERE id = ANY($1))"
            " DELETE FROM blob_pieces WHERE blob_id = ANY($1)",
            blob_ids,
        )


class _Incoming:
    """Bytes in pieces of the size that the database has, read and hashed in a thread."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces: Iterator[bytes] = iter(pieces)
        self._rest = bytearray()
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._size = 0

    async def next(self) -> bytes:
        """b"" after the last. Raises 503 and what the pieces raise."""
        try:
            return await asyncio.to_thread(self._next)
        except OSError as error:
            raise errors.disk_unavailable(error) from None

    def blob(self) -> Blob:
        return Blob(self._sha256.hexdigest(), self._size, self._md5.hexdigest())

    def _next(self) -> bytes:
        while len(self._rest) < PIECE_BYTES:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._sha256.update(piece)
            self._md5.update(piece)
            self._size += len(piece)
            self._rest += piece
        taken = bytes(self._rest[:PIECE_BYTES])
        del self._rest[:PIECE_BYTES]
        return taken


class _Reading(io.RawIOBase):
    """A blob as a file, for a thread that may wait for the event loop."""

    def __init__(self, blobs: PostgresqlBlobs, name: str, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._blobs = blobs
        self._loop = loop
        self._at = 0
        self._id, self._size = blobs.wait(blobs.found(name), loop)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, origin + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        stop = min(self._size, self._at + len(buffer))
        if self._at >= stop:
            return 0
        piece = self._blobs.wait(self._blobs.piece(self._id, self._at, stop), self._loop)
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)
