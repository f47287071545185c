"""Retrieval from vector stores, in the place of the shipped corpus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.rag.retrieval import Document, Retrieved
from fakeai_proxy.services.vector_stores.filters import Comparison, Compound
from fakeai_proxy.services.vector_stores.searching import Hit, search


class Stocked:
    """For a handler that runs in a thread."""

    def __init__(self, call: Call, vector_store_ids: Sequence[str]) -> None:
        self._call = call
        self._ids = vector_store_ids

    def retrieve(self, query: str, filters: Mapping[str, Any], top_k: int) -> Sequence[Retrieved]:
        """Raises 400 and 404."""
        call = self._call
        hits = call.wait_for(
            lambda: search(
                call.store, call.project, self._ids, [query], limit=top_k,
                filters=_filter(filters), embedder=call.embedder, clock=call.clock,
            )
        )  # fmt: skip
        return [Retrieved(_document(hit), hit.score) for hit in hits]


def _filter(filters: Mapping[str, Any]) -> Compound | None:
    if not filters:
        return None
    wanted: list[Comparison | Compound] = [
        Comparison(type="in" if isinstance(value, list) else "eq", key=key, value=value)
        for key, value in filters.items()
    ]
    return Compound(type="and", filters=wanted)


def _document(hit: Hit) -> Document:
    return Document(f"{hit.file_id}-{hit.chunk}", hit.text, hit.filename, hit.attributes)
