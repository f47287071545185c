"""Recordings by lenient keys: made when somebody first misses, of the recordings of that route.

The index knows exact keys only. A lenient one is made of a request's body, so the recordings of a route
are read once, in the thread of whoever asks; what is recorded later is added at the next miss.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field

from fakeai_proxy.cassette.bodies import Blob
from fakeai_proxy.cassette.entries import Entry
from fakeai_proxy.cassette.index import Index
from fakeai_proxy.cassette.leniency import Leniency
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.matching import CANONICAL_BYTES_MAX, route_hash
from fakeai_proxy.cassette.redaction import carried, echoes_of
from fakeai_proxy.errors import CassetteError
from fakeai_proxy.exchange import Headers

log = logging.getLogger("fakeai_proxy")

#: Reading so many takes seconds, which is said.
_MANY = 20_000


@dataclass(slots=True)
class _Route:
    #: How many of the route's recordings are in it.
    seen: int = 0
    by_key: dict[bytes, list[Entry]] = field(default_factory=dict)


class Near:
    def __init__(self, library: Library, leniency: Leniency) -> None:
        self._library = library
        self._leniency = leniency
        self._routes: dict[int, _Route] = {}
        self._index: Index | None = None
        self._lock = threading.Lock()

    def find(
        self, method: str, target: str, headers: Headers, body: bytes, authority: int
    ) -> tuple[bytes, list[Entry]]:
        """The lenient key, and what answers it in recorded order; `authority` 0 matches any. Reads
        the route's recordings: for a thread."""
        # Recordings are scrubbed, so what is looked for among them is too.
        redactor = self._library.redactor
        clean = redactor.body(body, headers, echoes_of(carried(target, headers)))
        key = self._leniency.key(method, target, headers, body if clean.withheld else clean.data)
        with self._lock:
            table = self._table(route_hash(method, target))
            found = table.by_key.get(key, [])
            latest = self._library.index.latest
            return key, [
                latest(entry)
                for entry in found
                if not authority or entry.label.authority == authority
            ]

    def _table(self, route: int) -> _Route:
        index = self._library.index
        if index is not self._index:  # places in one mean nothing in another
            self._index, self._routes = index, {}
        table = self._routes.setdefault(route, _Route())
        entries = index.of_route(route)
        if len(entries) - table.seen > _MANY:
            log.info("reading %d recordings for lenient matching", len(entries) - table.seen)
        for place in range(table.seen, len(entries)):
            entry = entries[place]
            try:
                self._add(table, entry)
            except CassetteError as error:
                log.warning("a recording is not matched: %s", error)
        table.seen = len(entries)
        return table

    def _add(self, table: _Route, entry: Entry) -> None:
        request = self._library.load(entry).request
        body = request.body
        if isinstance(body, Blob):
            if body.size > CANONICAL_BYTES_MAX:
                return
            body = b"".join(self._library.blob(entry, body))
        key = self._leniency.key(request.method, request.target, request.headers, body)
        table.by_key.setdefault(key, []).append(entry)
