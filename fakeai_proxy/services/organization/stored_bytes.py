"""How much vector stores held, at the end of each bucket. What there is says so by itself: from its
creation on, a store counts with what is in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.organization.listing import all_rows
from fakeai_proxy.store import Row, Sum

#: The kind of rows that vector stores are.
KIND = "vector_store"


async def stored_bytes(call: Call, starts: Iterable[int], width_s: int) -> list[Sum]:
    rows = await all_rows(call, KIND, None)
    stores = [(row.created_at, row.key.parent, _bytes(row)) for row in rows]
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
