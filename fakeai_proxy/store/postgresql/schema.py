"""The tables of the PostgreSQL store, and how older ones become today's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakeai_proxy.errors import ConfigError

if TYPE_CHECKING:
    import asyncpg

#: Held while tables are made, so that of replicas that start together one makes them.
_MIGRATING = 0x66616B65_61690001

_FIRST = """
CREATE TABLE documents (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text COLLATE "C" NOT NULL, parent text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL,
    document json NOT NULL, created_at double precision NOT NULL, version bigint NOT NULL,
    tags json NOT NULL, blob text COLLATE "C", expires_at double precision,
    due_at double precision, owner text COLLATE "C" NOT NULL,
    UNIQUE (kind, parent, id)) WITH (fillfactor = 90);
CREATE INDEX documents_listed ON documents (kind, parent, sequence);
CREATE INDEX documents_of_kind ON documents (kind, sequence);
CREATE INDEX documents_below ON documents (parent);
CREATE INDEX documents_of_blob ON documents (blob) WHERE blob IS NOT NULL;
CREATE INDEX documents_expiring ON documents (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX documents_due ON documents (kind, due_at) WHERE due_at IS NOT NULL;
-- One row for each tag, so that a list by tag is read in its order.
CREATE TABLE tags (
    kind text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL, value text COLLATE "C" NOT NULL,
    sequence bigint NOT NULL, PRIMARY KEY (kind, name, value, sequence));
CREATE INDEX tags_of_document ON tags (sequence);
-- Where a list goes on whose last row was deleted since.
CREATE TABLE graves (
    kind text COLLATE "C" NOT NULL, parent text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL,
    sequence bigint NOT NULL, deleted_at double precision NOT NULL, PRIMARY KEY (kind, parent, id));
CREATE INDEX graves_by_age ON graves (deleted_at);
-- What was counted, by the minute, hour and day; labels have numbers, so that sums touch numbers only.
CREATE TABLE labels (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind text COLLATE "C" NOT NULL,
    digest bytea NOT NULL, labels text NOT NULL, UNIQUE (kind, digest));
-- A connection counts on a shard of its own, so that replicas do not wait for each other.
CREATE TABLE tallies (
    labels_id bigint NOT NULL, span integer NOT NULL, at bigint NOT NULL, name text COLLATE "C" NOT NULL,
    shard smallint NOT NULL, amount bigint NOT NULL,
    PRIMARY KEY (labels_id, span, at, shard, name)) WITH (fillfactor = 80);
-- Bytes by their SHA-256; what is on its way or was let go has no name.
CREATE TABLE blobs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text COLLATE "C" UNIQUE,
    size_bytes bigint NOT NULL, put_at double precision NOT NULL);
CREATE INDEX blobs_by_age ON blobs (put_at);
CREATE TABLE blob_pieces (
    blob_id bigint NOT NULL, number integer NOT NULL, bytes bytea NOT NULL,
    PRIMARY KEY (blob_id, number));
ALTER TABLE blob_pieces ALTER COLUMN bytes SET STORAGE EXTERNAL;
"""

#: The step at place k makes tables of version k into those of version k + 1.
MIGRATIONS: tuple[str, ...] = (_FIRST,)


async def migrate(connection: asyncpg.Connection, schema: str, place: str) -> None:
    """All in one transaction, by one of those who ask at a time. Raises ConfigError for tables from
    the future, and what asyncpg raises."""
    if await _version(connection, schema, place) == len(MIGRATIONS):
        return
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _MIGRATING)
        version = await _version(connection, schema, place)
        if not await connection.fetchval(
            "SELECT count(*) FROM pg_namespace WHERE nspname = $1", schema
        ):
            await connection.execute(f'CREATE SCHEMA "{schema}"')
        for step in MIGRATIONS[version:]:
            await connection.execute(step)
        await connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version integer)")
        await connection.execute("DELETE FROM schema_version")
        await connection.execute("INSERT INTO schema_version VALUES ($1)", len(MIGRATIONS))


async def _version(connection: asyncpg.Connection, schema: str, place: str) -> int:
    # Not to_regclass: it may remember that there was no such table before the lock was had.
    is_made = await connection.fetchval(
        "SELECT count(*) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
        " WHERE nspname = $1 AND relname = 'schema_version'",
        schema,
    )
    if not is_made:
        return 0
    version = int(await connection.fetchval(f'SELECT version FROM "{schema}".schema_version'))
    if version > len(MIGRATIONS):
        raise ConfigError(
            f"{place} was written by a later fakeai-proxy (its schema is {version}, this one knows up "
            f"to {len(MIGRATIONS)}): run that one, or name another database with --store."
        )
    return version
