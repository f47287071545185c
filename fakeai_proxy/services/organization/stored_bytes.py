"""How much vector stores held, at the end of each bucket. What there is says so by itself: from its
creation on, a store counts with what is in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from fakeai_proxy.services.operation import Call
from fakeai_proxy.store import Page, Row, Sum

#: The kind of rows that vector stores are.
KIND = "vector_store"
_TOGETHER = 1000


def stored_bytes(call: Call, starts: Iterable[int], width_s: int) -> list[Sum]:
    stores = [(row.created_at, row.key.parent, _bytes(row)) for row in _rows(call)]
    found = []
    for start in starts:
        held: Counter[str] = Counter()
        for created_at, project, size_bytes in stores:
            if created_at < start + width_s:
                held[project] += size_bytes
        found += [
            Sum(start, {"project_id": project}, {"usage_bytes": size_bytes})
            for project, size_bytes in held.items()
            if size_bytes
        ]
    return found


def _bytes(row: Row) -> int:
    return int(row.document.get("usage_bytes") or 0)


def _rows(call: Call) -> Iterator[Row]:
    after = ""
    while True:
        page: Page = call.wait_for(
            lambda after=after: call.store.page(KIND, None, after=after, limit=_TOGETHER)  # type: ignore[misc] # its own page
        )
        yield from page.rows
        if not page.has_more:
            return
        after = page.rows[-1].key.id
