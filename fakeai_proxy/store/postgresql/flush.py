"""A workspace against the database: what it locks, and how what came of it is written."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b, sha256
from typing import TYPE_CHECKING, Any

from fakeai_proxy.store.documents import Key, Row
from fakeai_proxy.store.encoding import MINUTE_S, as_json
from fakeai_proxy.store.postgresql.statements import (
    ALL_COLUMNS,
    below,
    bound,
    remove,
    row_of,
    unbound,
)
from fakeai_proxy.store.spans import SPANS_S
from fakeai_proxy.store.workspace import Count, Touched, Workspace

if TYPE_CHECKING:
    import asyncpg

#: Rows of one statement, which are encoded on the event loop in one go.
_TOGETHER = 200
_SHARDS = 8

#: The number of a label set, by its kind and text.
Labels = dict[tuple[str, str], int]


def begin(schema: str, kinds: set[str]) -> str:
    """Of two transactions that insert rows of one kind, the second gets its sequences after the first has
    become visible: a page that ends with one of them has seen all before it."""
    locks = sorted(_lock(f"{schema}/{kind}") for kind in kinds)
    return "BEGIN;" + "".join(f"SELECT pg_advisory_xact_lock({lock});" for lock in locks)


def _lock(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)


# --- loading ---------------------------------------------------------------------------------------


async def load(connection: asyncpg.Connection, touched: Touched) -> Workspace:
    """Locked in the order of their sequences, so that nobody waits in a circle."""
    written = touched.changed | touched.deleted | touched.inserted
    lock = "UPDATE" if touched.deleted else "NO KEY UPDATE"
    rows = await _locked(connection, written, lock)
    # What is only required stays, but may be changed.
    rows += await _locked(connection, touched.required, "KEY SHARE")
    lower = await below(connection, [bound(key.path) for key in touched.deleted])
    return Workspace(rows, [(Key(*map(unbound, columns[:3])), columns[3]) for columns in lower])


async def _locked(connection: asyncpg.Connection, keys: set[Key], lock: str) -> list[Row]:
    if not keys:
        return []
    columns = [[bound(text) for text in column] for column in zip(*keys, strict=True)]
    found = await connection.fetch(
        f"SELECT {ALL_COLUMNS} FROM documents"
        " JOIN unnest($1::text[], $2::text[], $3::text[]) AS wanted (kind, id, parent)"
        " USING (kind, id, parent)"
        f" ORDER BY documents.sequence FOR {lock} OF documents",
        *columns,
    )
    return [row_of(columns) for columns in found]


# --- writing ---------------------------------------------------------------------------------------


async def flush(
    connection: asyncpg.Connection, workspace: Workspace, labels: Labels, now: float
) -> tuple[dict[Key, int], Labels]:
    """The sequences of the inserted rows, and numbers of labels that are good after the commit."""
    await remove(connection, workspace.removed(), now)
    inserted = workspace.inserted()
    sequences: dict[Key, int] = {}
    for start in range(0, len(inserted), _TOGETHER):
        sequences |= await _insert(connection, inserted[start : start + _TOGETHER])
    updated = list(workspace.updated())
    for start in range(0, len(updated), _TOGETHER):
        await _update(connection, updated[start : start + _TOGETHER])
    learnt: Labels = {}
    if workspace.counts:
        wanted = {(kind, text) for kind, text, *_ in workspace.counts}
        learnt = await _numbered(connection, sorted(wanted - labels.keys()))
        await _count(connection, workspace.counts, {**labels, **learnt})
    return sequences, learnt


def _state(row: Row) -> tuple[Any, ...]:
    return (
        as_json(row.document), row.version, as_json(row.tags), row.blob, row.expires_at, row.due_at,
        row.owner,
    )  # fmt: skip


_STATE = "document, version, tags, blob, expires_at, due_at, owner"
_STATE_TYPES = ("json", "bigint", "json", "text", "float8", "float8", "text")


def _unnest(types: Sequence[str]) -> str:
    return ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(types, 1))


_INSERT = (
    f"INSERT INTO documents (kind, id, parent, created_at, {_STATE})"
    f" SELECT kind, id, parent, created_at, {_STATE}"
    f" FROM unnest({_unnest(('text', 'text', 'text', 'float8', *_STATE_TYPES))})"
    f" WITH ORDINALITY AS given (kind, id, parent, created_at, {_STATE}, place)"
    " ORDER BY place RETURNING kind, id, parent, sequence"
)
_UPDATE = (
    f"UPDATE documents SET ({_STATE}) ="
    f" ROW ({', '.join('given.' + name for name in _STATE.split(', '))})"
    f" FROM unnest({_unnest(('bigint', *_STATE_TYPES))}) AS given (sequence, {_STATE})"
    " WHERE documents.sequence = given.sequence"
)


async def _insert(connection: asyncpg.Connection, rows: list[Row]) -> dict[Key, int]:
    columns = [(*map(bound, row.key), row.created_at, *_state(row)) for row in rows]
    found = await connection.fetch(_INSERT, *map(list, zip(*columns, strict=True)))
    sequences = {Key(*map(unbound, line[:3])): line[3] for line in found}
    await _tag(connection, [(sequences[row.key], row) for row in rows])
    return sequences


async def _update(connection: asyncpg.Connection, rows: list[tuple[Row, Row]]) -> None:
    columns = [(after.sequence, *_state(after)) for _, after in rows]
    await connection.execute(_UPDATE, *map(list, zip(*columns, strict=True)))
    retagged = [after for before, after in rows if after.tags != before.tags]
    if retagged:
        await connection.execute(
            "DELETE FROM tags WHERE sequence = ANY($1)", [row.sequence for row in retagged]
        )
        await _tag(connection, [(row.sequence, row) for row in retagged])


async def _tag(connection: asyncpg.Connection, rows: list[tuple[int, Row]]) -> None:
    columns = [
        (bound(row.key.kind), bound(name), bound(value), sequence)
        for sequence, row in rows
        for name, value in row.tags.items()
    ]
    if columns:
        await connection.execute(
            "INSERT INTO tags SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[])",
            *map(list, zip(*columns, strict=True)),
        )


# --- counting --------------------------------------------------------------------------------------


async def _numbered(connection: asyncpg.Connection, wanted: list[tuple[str, str]]) -> Labels:
    if not wanted:
        return {}
    digests = {(bound(kind), sha256(text.encode()).digest()): (kind, text) for kind, text in wanted}
    found = await connection.fetch(
        "INSERT INTO labels (kind, digest, labels)"
        " SELECT * FROM unnest($1::text[], $2::bytea[], $3::text[]) ORDER BY 1, 2"
        " ON CONFLICT (kind, digest) DO UPDATE SET kind = excluded.kind RETURNING kind, digest, id",
        [kind for kind, _ in digests],
        [digest for _, digest in digests],
        [text for _, text in digests.values()],
    )
    return {digests[kind, digest]: number for kind, digest, number in found}


async def _count(connection: asyncpg.Connection, counts: dict[Count, int], labels: Labels) -> None:
    added: dict[tuple[int, int, int, str], int] = {}
    for (kind, text, minute, name), amount in counts.items():
        for span in SPANS_S:
            place = labels[kind, text], span, minute * MINUTE_S // span * span, name
            added[place] = added.get(place, 0) + amount
    columns = [(*place, amount) for place, amount in sorted(added.items())]
    for start in range(0, len(columns), 10 * _TOGETHER):
        await connection.execute(
            "INSERT INTO tallies (labels_id, span, at, name, amount, shard)"
            " SELECT *, pg_backend_pid() % $6 FROM"
            " unnest($1::bigint[], $2::integer[], $3::bigint[], $4::text[], $5::bigint[])"
            " ON CONFLICT (labels_id, span, at, shard, name)"
            " DO UPDATE SET amount = tallies.amount + excluded.amount",
            *map(list, zip(*columns[start : start + 10 * _TOGETHER], strict=True)),
            _SHARDS,
        )
