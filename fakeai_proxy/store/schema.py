"""The tables of the SQLite store, and how an older file becomes one of today's."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.store.spans import SPANS_S

_FIRST = (
    """CREATE TABLE documents (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL, parent TEXT NOT NULL, id TEXT NOT NULL,
        document TEXT NOT NULL, created_at REAL NOT NULL, version INTEGER NOT NULL,
        tags TEXT NOT NULL, blob TEXT, expires_at REAL, due_at REAL, owner TEXT NOT NULL,
        UNIQUE (kind, parent, id))""",
    "CREATE INDEX documents_listed ON documents (kind, parent, sequence)",
    "CREATE INDEX documents_below ON documents (parent)",
    "CREATE INDEX documents_of_blob ON documents (blob) WHERE blob IS NOT NULL",
    "CREATE INDEX documents_expiring ON documents (expires_at) WHERE expires_at IS NOT NULL",
    "CREATE INDEX documents_due ON documents (kind, due_at) WHERE due_at IS NOT NULL",
    # One row for each tag, so that a list by tag is read in its order.
    """CREATE TABLE tags (
        kind TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, sequence INTEGER NOT NULL,
        PRIMARY KEY (kind, name, value, sequence)) WITHOUT ROWID""",
    "CREATE INDEX tags_of_document ON tags (sequence)",
    # Where a list goes on whose last row was deleted since.
    """CREATE TABLE graves (
        kind TEXT NOT NULL, parent TEXT NOT NULL, id TEXT NOT NULL, sequence INTEGER NOT NULL,
        deleted_at REAL NOT NULL, PRIMARY KEY (kind, parent, id)) WITHOUT ROWID""",
    # What was counted, by the minute; labels have numbers, so that sums touch numbers only.
    """CREATE TABLE labels (
        id INTEGER PRIMARY KEY, kind TEXT NOT NULL, labels TEXT NOT NULL, UNIQUE (kind, labels))""",
    """CREATE TABLE tallies (
        labels_id INTEGER NOT NULL, minute INTEGER NOT NULL, name TEXT NOT NULL,
        amount INTEGER NOT NULL, PRIMARY KEY (labels_id, minute, name)) WITHOUT ROWID""",
)


def _first(connection: sqlite3.Connection) -> None:
    for statement in _FIRST:
        connection.execute(statement)


#: What was counted, by the minute, the hour and the day, so that long stretches are few rows.
_SPANS = (
    """CREATE TABLE spans (
        labels_id INTEGER NOT NULL, span INTEGER NOT NULL, at INTEGER NOT NULL, name TEXT NOT NULL,
        amount INTEGER NOT NULL, PRIMARY KEY (labels_id, span, at, name)) WITHOUT ROWID""",
    *[
        f"INSERT INTO spans SELECT labels_id, {span}, minute * 60 / {span} * {span} AS at, name,"
        " sum(amount) FROM tallies GROUP BY labels_id, at, name"
        for span in SPANS_S
    ],
    "DROP TABLE tallies",
    "ALTER TABLE spans RENAME TO tallies",
)


def _spans(connection: sqlite3.Connection) -> None:
    for statement in _SPANS:
        connection.execute(statement)


#: The step at place k makes a file of version k into one of version k + 1.
MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_first, _spans)


def migrate(connection: sqlite3.Connection, place: str) -> None:
    """All in one transaction: a file is of one version or the other. Raises ConfigError for a file
    from the future."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise ConfigError(
                f"{place} was written by a later fakeai-proxy (its schema is {version}, this one "
                f"knows up to {len(MIGRATIONS)}): run that one, or name another folder with --data."
            )
        for step in MIGRATIONS[version:]:
            step(connection)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
