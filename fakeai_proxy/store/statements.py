"""What the store asks of SQLite, on a connection and in a transaction that others manage."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fakeai_proxy.store.documents import (
    Change,
    Delete,
    Exists,
    Insert,
    Key,
    Missing,
    Page,
    Require,
    Row,
    Sum,
    Tally,
    Write,
)
from fakeai_proxy.store.encoding import (
    COLUMNS,
    GRAVE_S,
    as_json,
    gathered,
    label_text,
    row_of,
)
from fakeai_proxy.store.spans import SPANS_S, covering

_ALIVE = "(expires_at IS NULL OR expires_at > ?)"


# --- reading ---------------------------------------------------------------------------------------


def get(connection: sqlite3.Connection, key: Key, now: float) -> Row | None:
    found = connection.execute(
        f"SELECT {COLUMNS} FROM documents WHERE kind = ? AND id = ? AND parent = ? AND {_ALIVE}",
        (*key, now),
    ).fetchone()
    return None if found is None else row_of(found)


def _place(connection: sqlite3.Connection, kind: str, parent: str | None, row_id: str) -> int:
    """The sequence of a cursor's row, which may be deleted. Raises Missing."""
    for table in ("documents", "graves"):
        found = connection.execute(
            f"SELECT sequence FROM {table} WHERE kind = ? AND id = ? AND parent = coalesce(?, parent)",
            (kind, row_id, parent),
        ).fetchone()
        if found is not None:
            return int(found[0])
    raise Missing(Key(kind, row_id, parent or ""))


def _selected(
    kind: str, parent: str | None, tags: Mapping[str, str], now: float
) -> tuple[str, list[Any]]:
    """The FROM and WHERE of a list."""
    source = "FROM documents"
    arguments: list[Any] = []
    conditions = ["documents.kind = ?", _ALIVE]
    for number, (name, value) in enumerate(tags.items()):
        tag = f"tag{number}"
        source += (
            f" JOIN tags AS {tag} ON {tag}.sequence = documents.sequence AND {tag}.kind = ?"
            f" AND {tag}.name = ? AND {tag}.value = ?"
        )
        arguments += [kind, name, value]
    arguments += [kind, now]
    if parent is not None:
        conditions.append("documents.parent = ?")
        arguments.append(parent)
    return f"{source} WHERE {' AND '.join(conditions)}", arguments


def page(
    connection: sqlite3.Connection,
    kind: str,
    parent: str | None,
    tags: Mapping[str, str],
    cursors: tuple[str, str],
    limit: int,
    ascending: bool,
    now: float,
) -> Page:
    """`cursors` are the ids after and before which rows are wanted, "" for none. Raises Missing."""
    after, before = cursors
    where, arguments = _selected(kind, parent, tags, now)
    for cursor, later in ((after, ascending), (before, not ascending)):
        if cursor:
            where += f" AND documents.sequence {'>' if later else '<'} ?"
            arguments.append(_place(connection, kind, parent, cursor))
    # The page before a row ends next to that row.
    backwards = bool(before) and not after
    order = "ASC" if ascending != backwards else "DESC"
    columns = ", ".join(f"documents.{name}" for name in COLUMNS.split(", "))
    found = connection.execute(
        f"SELECT {columns} {where} ORDER BY documents.sequence {order} LIMIT ?",
        (*arguments, limit + 1),
    ).fetchall()
    rows = [row_of(columns) for columns in found[:limit]]
    return Page(rows[::-1] if backwards else rows, len(found) > limit)


def count(
    connection: sqlite3.Connection,
    kind: str,
    parent: str | None,
    tags: Mapping[str, str],
    now: float,
) -> int:
    where, arguments = _selected(kind, parent, tags, now)
    (number,) = connection.execute(f"SELECT count(*) {where}", arguments).fetchone()
    return int(number)


def unnamed(connection: sqlite3.Connection, blobs: Sequence[str]) -> list[str]:
    """Those of them that no row has."""
    query = "SELECT 1 FROM documents WHERE blob = ? LIMIT 1"
    return [blob for blob in blobs if connection.execute(query, (blob,)).fetchone() is None]


def sums(
    connection: sqlite3.Connection, kind: str, start_at: int, end_at: int, bucket_s: int
) -> list[Sum]:
    """By bucket and by all labels."""
    texts = connection.execute("SELECT id, labels FROM labels WHERE kind = ? ORDER BY id", (kind,))
    labels: dict[int, str] = dict(texts)
    # Each of these stretches lies together, and in order.
    query = (
        "SELECT at, ?, json_group_object(name, amount) FROM tallies"
        " WHERE labels_id = ? AND span = ? AND at >= ? AND at < ? GROUP BY at"
    )
    ranges = covering(start_at, end_at, bucket_s)
    lines = (
        line
        for number in labels
        for stretch in ranges
        for line in connection.execute(query, (number, number, *stretch))
    )
    return gathered(lines, labels, bucket_s)


# --- writing ---------------------------------------------------------------------------------------


def apply(connection: sqlite3.Connection, write: Write, now: float) -> Row | None:
    """The row as it is afterwards; None where there is none. Raises StoreError."""
    match write:
        case Insert(row):
            return _insert(connection, row, now)
        case Change(key, function):
            row = _required(connection, key, now)
            return _update(connection, row, function(row))
        case Require(key):
            return _required(connection, key, now)
        case Delete(key):
            _required(connection, key, now)
            delete(connection, "kind = ? AND id = ? AND parent = ?", (*key,), now)
            below = key.path
            # "0" follows "/".
            delete(
                connection,
                "parent = ? OR (parent > ? AND parent < ?)",
                (below, below + "/", below + "0"),
                now,
            )
        case Tally():
            _tally(connection, write)
    return None


def _required(connection: sqlite3.Connection, key: Key, now: float) -> Row:
    row = get(connection, key, now)
    if row is None:
        raise Missing(key)
    return row


def _insert(connection: sqlite3.Connection, row: Row, now: float) -> Row:
    # What has expired makes room for its successor.
    expired = "kind = ? AND id = ? AND parent = ? AND expires_at <= ?"
    delete(connection, expired, (*row.key, now), now)
    try:
        cursor = connection.execute(
            "INSERT INTO documents (kind, id, parent, document, created_at, version, tags, blob,"
            " expires_at, due_at, owner) VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?)",
            (
                *row.key, as_json(row.document), row.created_at, as_json(row.tags), row.blob,
                row.expires_at, row.due_at, row.owner,
            ),
        )  # fmt: skip
    except sqlite3.IntegrityError:
        raise Exists(row.key) from None
    sequence = cursor.lastrowid or 0
    _tag(connection, row, sequence)
    return replace(row, sequence=sequence, version=1)


def _update(connection: sqlite3.Connection, before: Row, after: Row) -> Row:
    connection.execute(
        "UPDATE documents SET document = ?, version = version + 1, tags = ?, blob = ?,"
        " expires_at = ?, due_at = ?, owner = ? WHERE sequence = ?",
        (
            as_json(after.document), as_json(after.tags), after.blob, after.expires_at, after.due_at,
            after.owner, before.sequence,
        ),
    )  # fmt: skip
    if after.tags != before.tags:
        connection.execute("DELETE FROM tags WHERE sequence = ?", (before.sequence,))
        _tag(connection, after, before.sequence)
    return replace(
        after,
        key=before.key,
        sequence=before.sequence,
        version=before.version + 1,
        created_at=before.created_at,
    )


def _tag(connection: sqlite3.Connection, row: Row, sequence: int) -> None:
    connection.executemany(
        "INSERT INTO tags VALUES (?, ?, ?, ?)",
        [(row.key.kind, name, value, sequence) for name, value in row.tags.items()],
    )


def delete(connection: sqlite3.Connection, where: str, arguments: Any, now: float) -> int:
    """How many rows."""
    found = connection.execute(
        f"SELECT kind, parent, id, sequence, tags != '{{}}' FROM documents WHERE {where}", arguments
    ).fetchall()
    connection.executemany(
        "INSERT OR REPLACE INTO graves VALUES (?, ?, ?, ?, ?)", [(*row[:4], now) for row in found]
    )
    for sequence in [row[3] for row in found if row[4]]:
        connection.execute("DELETE FROM tags WHERE sequence = ?", (sequence,))
    connection.executemany("DELETE FROM documents WHERE sequence = ?", [(row[3],) for row in found])
    return len(found)


def sweep(connection: sqlite3.Connection, now: float) -> int:
    """Removes what has expired. How many rows."""
    connection.execute("DELETE FROM graves WHERE deleted_at <= ?", (now - GRAVE_S,))
    expired = connection.execute(
        "SELECT kind, id, parent FROM documents WHERE expires_at <= ?", (now,)
    ).fetchall()
    for key in [Key(*found) for found in expired]:
        delete(connection, "kind = ? AND id = ? AND parent = ?", key, now)
        below = key.path
        among = "parent = ? OR (parent > ? AND parent < ?)"
        delete(connection, among, (below, below + "/", below + "0"), now)
    return len(expired)


def _tally(connection: sqlite3.Connection, tally: Tally) -> None:
    names = (tally.kind, label_text(tally.labels))
    connection.execute("INSERT OR IGNORE INTO labels (kind, labels) VALUES (?, ?)", names)
    (labels_id,) = connection.execute(
        "SELECT id FROM labels WHERE kind = ? AND labels = ?", names
    ).fetchone()
    connection.executemany(
        "INSERT INTO tallies VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
        [
            (labels_id, span, int(tally.at) // span * span, name, amount)
            for name, amount in tally.amounts.items()
            for span in SPANS_S
        ],
    )


# --- leases ----------------------------------------------------------------------------------------


def claim(
    connection: sqlite3.Connection, kind: str, owner: str, now: float, until: float, limit: int
) -> list[Row]:
    found = connection.execute(
        f"UPDATE documents SET owner = ?, due_at = ? WHERE sequence IN (SELECT sequence FROM documents"
        f" WHERE kind = ? AND due_at <= ? AND {_ALIVE} ORDER BY due_at, sequence LIMIT ?)"
        f" RETURNING {COLUMNS}",
        (owner, until, kind, now, now, limit),
    ).fetchall()
    return sorted(map(row_of, found), key=lambda row: row.sequence)


def next_due(connection: sqlite3.Connection, kinds: Sequence[str], now: float) -> dict[str, float]:
    among = ", ".join("?" * len(kinds))
    return dict(
        connection.execute(
            f"SELECT kind, MIN(due_at) FROM documents WHERE kind IN ({among}) AND due_at IS NOT NULL"
            f" AND {_ALIVE} GROUP BY kind",
            (*kinds, now),
        )
    )


def renew(connection: sqlite3.Connection, key: Key, owner: str, until: float) -> bool:
    changed = connection.execute(
        "UPDATE documents SET due_at = ? WHERE kind = ? AND id = ? AND parent = ? AND owner = ?",
        (until, *key, owner),
    )
    return changed.rowcount > 0
