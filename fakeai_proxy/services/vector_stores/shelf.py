"""The indexes of the vector stores that are in use, made of what the store has and kept in step with it.

An index is derived: whoever searches a vector store that somebody, in any process, has changed since
reads what is new first. Those that were not used for longest go when there are too many bytes.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from fakeai_proxy.clock import Clock
from fakeai_proxy.generate.embedders import Kind
from fakeai_proxy.services.vector_stores import pack
from fakeai_proxy.services.vector_stores.index import Index
from fakeai_proxy.services.vector_stores.rows import COMPLETED, FILE_KIND
from fakeai_proxy.store import Blobs, Key, Row, Store

#: Of all indexes in memory; 100,000 chunks of 800 tokens have about 300 MB.
INDEX_BYTES_MAX = 1 << 30
_PAGE = 500


class Known(NamedTuple):
    """What is known of a file beside its chunks."""

    blob: str
    filename: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Stock:
    """What a vector store has, as it was at one time."""

    index: Index
    files: Mapping[str, Known]


@dataclass(slots=True)
class _Shelved:
    """`revision` is that of the vector store whose stock it is."""

    stock: Stock = field(default_factory=lambda: Stock(Index(), {}))
    revision: int = -1
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Shelf:
    def __init__(self, store: Store, bytes_max: int = INDEX_BYTES_MAX) -> None:
        self._store = store
        self._bytes_max = bytes_max
        self._shelved: OrderedDict[tuple[Key, Kind], _Shelved] = OrderedDict()

    async def stock(self, row: Row, kind: Kind, clock: Clock) -> Stock:
        """Of this vector store, as it is in the row or later."""
        place = (row.key, kind)
        shelved = self._shelved.setdefault(place, _Shelved())
        self._shelved.move_to_end(place)
        async with shelved.lock:
            if shelved.revision < row.document["revision"]:
                shelved.stock = await self._renewed(shelved.stock, row.key, kind, clock)
                shelved.revision = row.document["revision"]
        self._make_room(place)
        return shelved.stock

    async def _renewed(self, before: Stock, key: Key, kind: Kind, clock: Clock) -> Stock:
        files = await self._files(key)
        held = before.index.files
        gone = frozenset(
            name for name in held if name not in files or files[name].blob != before.files[name].blob
        )  # fmt: skip
        wanted = {name: one.blob for name, one in files.items() if name not in held or name in gone}
        with clock.hold():
            index = await asyncio.to_thread(
                _changed, before.index, gone, wanted, self._store.blobs, kind
            )
        return Stock(index, files)

    async def _files(self, key: Key) -> dict[str, Known]:
        found: dict[str, Known] = {}
        after = ""
        while True:
            page = await self._store.page(
                FILE_KIND, key.path, tags={"status": COMPLETED}, after=after, limit=_PAGE,
                ascending=True,
            )  # fmt: skip
            for file in page.rows:
                assert file.blob is not None, "a file that was read has its chunks"
                document = file.document
                found[file.key.id] = Known(
                    file.blob, document["filename"], document["attributes"] or {}
                )
            if not page.has_more:
                return found
            after = page.rows[-1].key.id

    def _make_room(self, kept: tuple[Key, Kind]) -> None:
        size = sum([one.stock.index.size_bytes for one in self._shelved.values()])
        for place, one in list(self._shelved.items()):
            if size <= self._bytes_max:
                break
            if place != kept and not one.lock.locked():
                size -= one.stock.index.size_bytes
                del self._shelved[place]


def _changed(
    index: Index, gone: frozenset[str], wanted: Mapping[str, str], blobs: Blobs, kind: Kind
) -> Index:
    """Another index: whoever searches the one that was does so undisturbed."""
    packs = {}
    for name, blob in wanted.items():
        with blobs.open_file(blob) as file:
            packs[name] = pack.read(file, kind)
    return index.without(gone).and_also(packs)


_shelves: WeakKeyDictionary[Store, Shelf] = WeakKeyDictionary()


def shelf_of(store: Store) -> Shelf:
    """The one of this store, in this process."""
    return _shelves.setdefault(store, Shelf(store))
