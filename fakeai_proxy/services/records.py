"""What rooms remember of earlier calls: by kind and id, in memory, the longest unused forgotten first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, NamedTuple

from fakeai_proxy.generate.shelf import Shelf

#: All records together, and how many.
BYTES_MAX = 64 << 20
COUNT_MAX = 100_000


class _Kept(NamedTuple):
    record: Any
    #: Grows with each id that is first kept.
    serial: int


class Records:
    """`weight` is about how many bytes a record holds on to. Safe to share between threads."""

    def __init__(self, bytes_max: int = BYTES_MAX, count_max: int = COUNT_MAX) -> None:
        self._shelf: Shelf[tuple[str, str], _Kept] = Shelf(bytes_max, count_max)
        self._serials = count()
        #: Asks other processes of the service, where there are any, for a record of theirs.
        self.elsewhere: Callable[[str, str], Awaitable[Any]] | None = None

    async def seek(self, kind: str, record_id: str) -> Any:
        """The record, or None, whoever keeps it."""
        found = self.find(kind, record_id)
        if found is None and self.elsewhere is not None:
            found = await self.elsewhere(kind, record_id)
        return found

    def keep(self, kind: str, record_id: str, record: object, weight: int) -> None:
        before = self._shelf.find((kind, record_id))
        serial = next(self._serials) if before is None else before.serial
        self._shelf.keep((kind, record_id), _Kept(record, serial), weight)

    def find(self, kind: str, record_id: str) -> Any:
        """The record, or None."""
        found = self._shelf.find((kind, record_id))
        return None if found is None else found.record

    def forget(self, kind: str, record_id: str) -> None:
        self._shelf.forget((kind, record_id))

    def ids(self, kind: str) -> list[str]:
        """Of all records of a kind, the first kept first."""
        found = [(kept.serial, key[1]) for key, kept in self._shelf.items() if key[0] == kind]
        return [record_id for _, record_id in sorted(found)]
