"""What rooms have at hand of earlier calls: by kind and id, in memory, the longest unused forgotten first.
What a client may rely on is in the store.
"""

from __future__ import annotations

from typing import Any

from fakeai_proxy.generate.shelf import Shelf

#: All records together, and how many.
BYTES_MAX = 64 << 20
COUNT_MAX = 100_000


class Records:
    """`weight` is about how many bytes a record holds on to. Safe to share between threads."""

    def __init__(self, bytes_max: int = BYTES_MAX, count_max: int = COUNT_MAX) -> None:
        self._shelf: Shelf[tuple[str, str], Any] = Shelf(bytes_max, count_max)

    def keep(self, kind: str, record_id: str, record: object, weight: int) -> None:
        self._shelf.keep((kind, record_id), record, weight)

    def find(self, kind: str, record_id: str) -> Any:
        """The record, or None."""
        return self._shelf.find((kind, record_id))

    def forget(self, kind: str, record_id: str) -> None:
        self._shelf.forget((kind, record_id))
