"""Makes room in a store that has only memory: what would be forgotten some day is forgotten sooner."""

from __future__ import annotations

import sqlite3

#: Documents that expire may hold so much, about; then the soonest to expire go.
EXPIRING_BYTES_MAX = 128 << 20


class Room:
    """Looks how much there is when the database has grown by what there may be."""

    def __init__(self, bytes_max: int = EXPIRING_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._look_at = bytes_max

    def make(self, connection: sqlite3.Connection) -> None:
        """In a transaction."""
        used = _used_bytes(connection)
        if used < self._look_at:
            return
        held = _expiring_bytes(connection)
        if held > self._bytes_max:
            held -= _forget(connection, held - self._bytes_max // 2)
            used = _used_bytes(connection)
        self._look_at = used + self._bytes_max - held


def _used_bytes(connection: sqlite3.Connection) -> int:
    names = ("page_count", "freelist_count", "page_size")
    pages, free, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
    return int((pages - free) * size)


def _expiring_bytes(connection: sqlite3.Connection) -> int:
    (held,) = connection.execute(
        "SELECT coalesce(sum(length(document)), 0) FROM documents WHERE expires_at IS NOT NULL"
    ).fetchone()
    return int(held)


def _forget(connection: sqlite3.Connection, wanted_bytes: int) -> int:
    """How many bytes: about as many as are wanted, of what nobody works on."""
    rows: list[tuple[int]] = []
    found_bytes = 0
    for sequence, size in connection.execute(
        "SELECT sequence, length(document) FROM documents"
        " WHERE expires_at IS NOT NULL AND due_at IS NULL ORDER BY expires_at, sequence"
    ):
        if found_bytes >= wanted_bytes:
            break
        rows.append((sequence,))
        found_bytes += size
    for table in ("tags", "documents"):
        connection.executemany(f"DELETE FROM {table} WHERE sequence = ?", rows)
    return found_bytes
