"""What the store asks of PostgreSQL, on a connection that others manage.

Text of PostgreSQL has no NUL, so that it is escaped in whatever is looked up by value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fakeai_proxy.store import encoding
from fakeai_proxy.store.documents import Key, Missing, Page, Row
from fakeai_proxy.store.encoding import COLUMNS, GRAVE_S
from fakeai_proxy.store.spans import covering

if TYPE_CHECKING:
    import asyncpg

ALL_COLUMNS = ", ".join(f"documents.{name}" for name in COLUMNS.split(", "))
_ESCAPED = {"\\0": "\0", "\\\\": "\\"}


def bound(text: str) -> str:
    """As PostgreSQL takes it; prefixes stay prefixes."""
    if "\\" in text or "\0" in text:
        return text.replace("\\", "\\\\").replace("\0", "\\0")
    return text


def unbound(text: str) -> str:
    return re.sub(r"\\[0\\]", lambda m: _ESCAPED[m[0]], text) if "\\" in text else text


def row_of(columns: Sequence[Any]) -> Row:
    row = encoding.row_of(columns)
    if any("\\" in text for text in row.key):
        return replace(row, key=Key(*map(unbound, row.key)))
    return row


def rows_of(found: Iterable[Sequence[Any]]) -> list[Row]:
    return [row_of(columns) for columns in found]


class Arguments(list[Any]):
    """What the places $1, $2, ... of a statement stand for."""

    def add(self, value: Any) -> str:
        self.append(value)
        return f"${len(self)}"


def _alive(arguments: Arguments, now: float) -> str:
    return f"(documents.expires_at IS NULL OR documents.expires_at > {arguments.add(now)})"


# --- reading ---------------------------------------------------------------------------------------


async def get(connection: asyncpg.Connection, key: Key, now: float) -> Row | None:
    arguments = Arguments(map(bound, key))
    found = await connection.fetchrow(
        f"SELECT {ALL_COLUMNS} FROM documents WHERE kind = $1 AND id = $2 AND parent = $3"
        f" AND {_alive(arguments, now)}",
        *arguments,
    )
    return None if found is None else row_of(found)


def _selected(
    arguments: Arguments, kind: str, parent: str | None, tags: Mapping[str, str], now: float
) -> tuple[str, str]:
    """The FROM and WHERE of a list, and what it is ordered by."""
    kind_place = arguments.add(bound(kind))
    where = f"documents.kind = {kind_place} AND {_alive(arguments, now)}"
    if parent is not None:
        where += f" AND documents.parent = {arguments.add(bound(parent))}"
    if not tags:
        return f"FROM documents WHERE {where}", "documents.sequence"
    sources = []
    for number, (name, value) in enumerate(tags.items()):
        sources.append(f"tags AS tag{number}")
        where += (
            f" AND tag{number}.sequence = tag0.sequence AND tag{number}.kind = {kind_place}"
            f" AND tag{number}.name = {arguments.add(bound(name))}"
            f" AND tag{number}.value = {arguments.add(bound(value))}"
        )
    # OFFSET has the list of the first tag read in its order, and as far as it is wanted only.
    source = (
        f"FROM {', '.join(sources)} CROSS JOIN LATERAL (SELECT * FROM documents"
        f" WHERE documents.sequence = tag0.sequence OFFSET 0) AS documents WHERE {where}"
    )
    return source, "tag0.sequence"


async def page(
    connection: asyncpg.Connection,
    kind: str,
    parent: str | None,
    tags: Mapping[str, str],
    cursors: tuple[str, str],
    limit: int,
    ascending: bool,
    now: float,
) -> tuple[list[Sequence[Any]], bool, bool]:
    """(columns, whether there are more, whether they are in the other order). Raises Missing."""
    after, before = cursors
    arguments = Arguments()
    where, place = _selected(arguments, kind, parent, tags, now)
    for cursor, later in ((after, ascending), (before, not ascending)):
        if cursor:
            at = await _place(connection, kind, parent, cursor)
            where += f" AND {place} {'>' if later else '<'} {arguments.add(at)}"
    # The page before a row ends next to that row.
    backwards = bool(before) and not after
    order = "ASC" if ascending != backwards else "DESC"
    found = await connection.fetch(
        f"SELECT {ALL_COLUMNS} {where} ORDER BY {place} {order} LIMIT {arguments.add(limit + 1)}",
        *arguments,
    )
    return found[:limit], len(found) > limit, backwards


def page_of(found: tuple[list[Sequence[Any]], bool, bool]) -> Page:
    columns, has_more, backwards = found
    rows = rows_of(columns)
    return Page(rows[::-1] if backwards else rows, has_more)


async def _place(connection: asyncpg.Connection, kind: str, parent: str | None, row_id: str) -> int:
    """The sequence of a cursor's row, which may be deleted. Raises Missing."""
    found = await connection.fetchval(
        "SELECT sequence FROM documents WHERE kind = $1 AND id = $2 AND parent = coalesce($3, parent)"
        " UNION ALL"
        " SELECT sequence FROM graves WHERE kind = $1 AND id = $2 AND parent = coalesce($3, parent)"
        " LIMIT 1",
        bound(kind), bound(row_id), None if parent is None else bound(parent),
    )  # fmt: skip
    if found is None:
        raise Missing(Key(kind, row_id, parent or ""))
    return int(found)


async def count(
    connection: asyncpg.Connection,
    kind: str,
    parent: str | None,
    tags: Mapping[str, str],
    now: float,
) -> int:
    arguments = Arguments()
    where, _ = _selected(arguments, kind, parent, tags, now)
    return int(await connection.fetchval(f"SELECT count(*) {where}", *arguments))


async def sums(
    connection: asyncpg.Connection, kind: str, start_at: int, end_at: int, bucket_s: int
) -> tuple[list[Sequence[Any]], dict[int, str]]:
    """By bucket and by all labels, for `gathered`."""
    ranges = covering(start_at, end_at, bucket_s)
    if not ranges:
        return [], {}
    found = await connection.fetch(
        "SELECT at, labels.id, amounts"
        " FROM unnest($2::integer[], $3::bigint[], $4::bigint[]) AS wanted (span, start_at, end_at)"
        " JOIN labels ON labels.kind = $1"
        # A stretch of one set of labels lies together; what shards have is added up later.
        " CROSS JOIN LATERAL (SELECT at, json_object_agg(name, amount) AS amounts FROM tallies"
        "  WHERE tallies.labels_id = labels.id AND tallies.span = wanted.span"
        "  AND tallies.at >= wanted.start_at AND tallies.at < wanted.end_at"
        "  GROUP BY at, shard) AS added ORDER BY labels.id",
        bound(kind), *map(list, zip(*ranges, strict=True)),
    )  # fmt: skip
    texts = await connection.fetch("SELECT id, labels FROM labels WHERE kind = $1", bound(kind))
    return found, dict(texts)


# --- leases ----------------------------------------------------------------------------------------


async def claim(
    connection: asyncpg.Connection, kind: str, owner: str, now: float, until: float, limit: int
) -> list[Row]:
    # What another transaction works on is left to it.
    found = await connection.fetch(
        "UPDATE documents SET owner = $1, due_at = $2 WHERE sequence = ANY(ARRAY("
        " SELECT sequence FROM documents WHERE kind = $3 AND due_at <= $4"
        " AND (expires_at IS NULL OR expires_at > $4)"
        f" ORDER BY due_at, sequence LIMIT $5 FOR UPDATE SKIP LOCKED)) RETURNING {ALL_COLUMNS}",
        owner, until, bound(kind), now, limit,
    )  # fmt: skip
    return sorted(rows_of(found), key=lambda row: row.sequence)


async def next_due(
    connection: asyncpg.Connection, kinds: Sequence[str], now: float
) -> dict[str, float]:
    # The index has the first of each kind.
    found = await connection.fetch(
        "SELECT wanted, first.due_at FROM unnest($1::text[]) AS wanted CROSS JOIN LATERAL ("
        " SELECT due_at FROM documents WHERE kind = wanted AND due_at IS NOT NULL"
        " AND (expires_at IS NULL OR expires_at > $2) ORDER BY due_at LIMIT 1) AS first",
        list(map(bound, kinds)),
        now,
    )
    return {unbound(kind): due_at for kind, due_at in found}


async def renew(connection: asyncpg.Connection, key: Key, owner: str, until: float) -> bool:
    done = await connection.fetchval(
        "UPDATE documents SET due_at = $1 WHERE kind = $2 AND id = $3 AND parent = $4 AND owner = $5"
        " RETURNING true",
        until, *map(bound, key), owner,
    )  # fmt: skip
    return bool(done)


# --- sweeping --------------------------------------------------------------------------------------


async def sweep(connection: asyncpg.Connection, now: float, limit: int) -> int:
    """Removes some of what has expired, with what lies below. How many rows had."""
    await connection.execute("DELETE FROM graves WHERE deleted_at <= $1", now - GRAVE_S)
    found = await connection.fetch(
        "SELECT kind, id, parent, sequence FROM documents WHERE expires_at <= $1"
        " ORDER BY sequence LIMIT $2 FOR UPDATE SKIP LOCKED",
        now,
        limit,
    )
    keys = [Key(*columns[:3]) for columns in found]
    lower = await below(connection, [key.path for key in keys])
    await remove(connection, [row[3] for row in found] + [row[3] for row in lower], now)
    return len(found)


async def below(connection: asyncpg.Connection, paths: list[str]) -> list[Sequence[Any]]:
    """(kind, id, parent, sequence) of all rows below these paths, as they are stored."""
    if not paths:
        return []
    # "0" follows "/".
    found: list[Sequence[Any]] = await connection.fetch(
        "SELECT kind, id, parent, sequence FROM unnest($1::text[]) AS path"
        " JOIN documents ON parent = path"
        " UNION SELECT kind, id, parent, sequence FROM unnest($1::text[]) AS path"
        " JOIN documents ON parent > path || '/' AND parent < path || '0'",
        paths,
    )
    return found


async def remove(connection: asyncpg.Connection, sequences: list[int], now: float) -> None:
    if not sequences:
        return
    await connection.execute(
        "WITH gone AS (DELETE FROM documents WHERE sequence = ANY($1)"
        " RETURNING kind, parent, id, sequence),"
        " untagged AS (DELETE FROM tags WHERE sequence = ANY($1))"
        " INSERT INTO graves SELECT kind, parent, id, sequence, $2 FROM gone ORDER BY sequence"
        " ON CONFLICT (kind, parent, id)"
        " DO UPDATE SET sequence = excluded.sequence, deleted_at = excluded.deleted_at",
        sorted(set(sequences)),
        now,
    )
