"""Search in vector stores: what `/search`, the file_search tools and retrieval have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.clock import Clock
from fakeai_proxy.generate import retrieval
from fakeai_proxy.generate.concepts import stop_words
from fakeai_proxy.generate.embedders import Kind
from fakeai_proxy.services.vector_stores import pack
from fakeai_proxy.services.vector_stores.filters import Comparison, Compound, matches
from fakeai_proxy.services.vector_stores.index import Found, Query
from fakeai_proxy.services.vector_stores.rows import STORES, is_expired
from fakeai_proxy.services.vector_stores.shelf import Stock, shelf_of
from fakeai_proxy.services.vector_stores.wire import RankingOptions
from fakeai_proxy.store import Blobs, Change, Key, Missing, Row, Store

#: How much the meaning and the words of a chunk matter, where a request says nothing. Where vectors know
#: little of meaning, words tell more; tests/services/test_vector_search.py measures both.
WEIGHTS: Mapping[Kind, tuple[float, float]] = {"semantic": (1.0, 0.3), "hashed": (1.0, 2.0)}
#: A vector store that is used says so not more often.
_ACTIVE_EVERY_S = 60


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found; `score` is between 0 and 1, `chunk` its number within the file."""

    file_id: str
    filename: str
    score: float
    attributes: Mapping[str, Any]
    text: str
    chunk: int


async def search(
    store: Store,
    project: str,
    vector_store_ids: Sequence[str],
    queries: Sequence[str],
    *,
    limit: int,
    filters: Comparison | Compound | None = None,
    ranking: RankingOptions | None = None,
    embedder: Kind,
    clock: Clock,
) -> list[Hit]:
    """The chunks that belong best to any of the queries, best first. Raises 404 for a vector store
    that is not there and 400 for one that has expired."""
    rows = await require(store, project, vector_store_ids, clock.wall())
    stocks = [await shelf_of(store).stock(row, embedder, clock) for row in rows]
    for row in rows:
        await _used(store, row, clock.wall())
    with clock.hold():
        return await asyncio.to_thread(
            _searched, stocks, store.blobs, queries, limit, filters, ranking, embedder
        )


def rewritten(query: str) -> str:
    """A question as a search: the words of it that tell something."""
    words = [word.strip(".,;:!?\"'()[]") for word in query.split()]
    telling = [word for word in words if word and word.casefold() not in stop_words()]
    return " ".join(telling) or query


async def require(
    store: Store, project: str, vector_store_ids: Sequence[str], now: float
) -> list[Row]:
    """Each once. Raises 404 and 400."""
    return [await _row(store, project, each, now) for each in dict.fromkeys(vector_store_ids)]


async def _row(store: Store, project: str, vector_store_id: str, now: float) -> Row:
    row = await store.get(Key(STORES.kind, vector_store_id, project))
    if row is None:
        raise errors.no_such_vector_store(vector_store_id)
    if is_expired(row, now):
        raise errors.vector_store_expired(vector_store_id)
    return row


async def _used(store: Store, row: Row, now: float) -> None:
    if now - row.document["last_active_at"] < _ACTIVE_EVERY_S:
        return
    try:
        await store.commit(Change(row.key, lambda row: row.merged(last_active_at=int(now))))
    except Missing:
        raise errors.no_such_vector_store(row.key.id) from None


def _searched(
    stocks: Sequence[Stock],
    blobs: Blobs,
    queries: Sequence[str],
    limit: int,
    filters: Comparison | Compound | None,
    ranking: RankingOptions | None,
    kind: Kind,
) -> list[Hit]:
    least = (ranking.score_threshold if ranking else None) or 0.0
    vectors = retrieval.vectors(queries, kind)
    best: dict[tuple[int, str, int], Found] = {}
    for text, vector in zip(queries, vectors, strict=True):
        query = Query(vector, retrieval.terms(text), *_weights(ranking, kind))
        for place, one in enumerate(stocks):
            for found in one.index.search(query, limit, _allowed(one, filters)):
                key = (place, found.file, found.chunk)
                if found.score >= least and (key not in best or best[key].score < found.score):
                    best[key] = found
    ranked = sorted(best.items(), key=lambda pair: (-pair[1].score, pair[0]))[:limit]
    chunks: dict[tuple[int, str], list[int]] = {}
    for place, file, chunk in dict(ranked):
        chunks.setdefault((place, file), []).append(chunk)
    texts: dict[tuple[int, str, int], str] = {}
    for (place, file), wanted in chunks.items():
        with blobs.open_file(stocks[place].files[file].blob) as opened:
            for chunk, said in zip(wanted, pack.texts(opened, wanted), strict=True):
                texts[place, file, chunk] = said
    return [_hit(stocks[key[0]], found, texts[key]) for key, found in ranked]


def _weights(ranking: RankingOptions | None, kind: Kind) -> tuple[float, float]:
    if ranking is not None and ranking.hybrid_search is not None:
        return ranking.hybrid_search.embedding_weight, ranking.hybrid_search.text_weight
    return (1.0, 0.0) if ranking is not None and ranking.ranker == "none" else WEIGHTS[kind]


def _allowed(stock: Stock, filters: Comparison | Compound | None) -> frozenset[str] | None:
    if filters is None:
        return None
    return frozenset(
        name for name, known in stock.files.items() if matches(filters, known.attributes)
    )


def _hit(stock: Stock, found: Found, text: str) -> Hit:
    known = stock.files[found.file]
    return Hit(found.file, known.filename, found.score, known.attributes, text, found.chunk)
