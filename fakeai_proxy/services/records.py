"""What rooms remember of earlier calls: by kind and id, in memory, the longest unused forgotten first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

#: All records together, and how many.
BYTES_MAX = 64 << 20
COUNT_MAX = 100_000


class Records:
    """`weight` is about how many bytes a record holds on to. Safe to share between threads."""

    def __init__(self, bytes_max: int = BYTES_MAX, count_max: int = COUNT_MAX) -> None:
        self._records: OrderedDict[tuple[str, str], tuple[Any, int]] = OrderedDict()
        self._bytes = 0
        self._bytes_max = bytes_max
        self._count_max = count_max
        self._lock = threading.Lock()
        #: The ids of each kind, in the order in which they were first kept.
        self._ids: dict[str, dict[str, None]] = {}

    def keep(self, kind: str, record_id: str, record: object, weight: int) -> None:
        with self._lock:
            order = self._ids.setdefault(kind, {})
            order.setdefault(record_id)
            self._drop((kind, record_id), stays=True)
            self._records[kind, record_id] = record, weight
            self._bytes += weight
            while self._bytes > self._bytes_max or len(self._records) > self._count_max:
                self._drop(next(iter(self._records)))

    def find(self, kind: str, record_id: str) -> Any:
        """The record, or None."""
        with self._lock:
            found = self._records.get((kind, record_id))
            if found is None:
                return None
            self._records.move_to_end((kind, record_id))
            return found[0]

    def forget(self, kind: str, record_id: str) -> None:
        with self._lock:
            self._drop((kind, record_id))

    def ids(self, kind: str) -> list[str]:
        """Of all records of a kind, the first kept first."""
        with self._lock:
            return list(self._ids.get(kind, ()))

    def _drop(self, key: tuple[str, str], stays: bool = False) -> None:
        """`stays`: another is put in its place."""
        found = self._records.pop(key, None)
        if found is not None:
            self._bytes -= found[1]
        if not stays:
            self._ids.get(key[0], {}).pop(key[1], None)
