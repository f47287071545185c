"""The shapes of requests."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from fakeai_proxy import errors
from fakeai_proxy.services.vector_stores.chunking import AUTO, Strategy
from fakeai_proxy.services.vector_stores.filters import Attributes, Filter
from fakeai_proxy.services.wire import Metadata, Shape, json_kind

#: platform.openai.com/docs/api-reference/vector-stores/create and .../vector-stores-file-batches.
STORE_FILES_MAX, BATCH_FILES_MAX = 500, 2000
RESULTS_MAX, RESULTS_DEFAULT = 50, 10
#: Characters of a question, and questions of one search; limits of ours.
_QUERY_CHARS_MAX, _QUERIES_MAX = 65_536, 64

_Name = Annotated[str, Field(max_length=256)]
_FileId = Annotated[str, Field(min_length=1, max_length=256)]


class ExpiresAfter(Shape):
    anchor: Literal["last_active_at"]
    days: Annotated[int, Field(ge=1, le=365)]


class AutoChunking(Shape):
    type: Literal["auto"]


class Sizes(Shape):
    max_chunk_size_tokens: Annotated[int, Field(ge=100, le=4096)]
    chunk_overlap_tokens: Annotated[int, Field(ge=0)]


class StaticChunking(Shape):
    type: Literal["static"]
    static: Sizes


Chunking = Annotated[AutoChunking | StaticChunking, Field(discriminator="type")]


def strategy_of(asked: AutoChunking | StaticChunking | None, path: str) -> Strategy:
    """Raises 400."""
    if not isinstance(asked, StaticChunking):
        return AUTO
    size, overlap = asked.static.max_chunk_size_tokens, asked.static.chunk_overlap_tokens
    if overlap * 2 > size:
        raise errors.bad_overlap(f"{path}.static.chunk_overlap_tokens", size, overlap)
    return Strategy(size, overlap)


class CreateStore(Shape):
    name: _Name | None = None
    description: Annotated[str, Field(max_length=512)] | None = None
    file_ids: Annotated[list[_FileId], Field(max_length=STORE_FILES_MAX)] | None = None
    chunking_strategy: Chunking | None = None
    expires_after: ExpiresAfter | None = None
    metadata: Metadata | None = None


class ModifyStore(Shape):
    name: _Name | None = None
    expires_after: ExpiresAfter | None = None
    metadata: Metadata | None = None


class CreateFile(Shape):
    file_id: _FileId
    attributes: Attributes | None = None
    chunking_strategy: Chunking | None = None


class UpdateFile(Shape):
    attributes: Attributes | None


class CreateBatch(Shape):
    file_ids: Annotated[list[_FileId], Field(min_length=1, max_length=BATCH_FILES_MAX)] | None = (
        None
    )
    files: Annotated[list[CreateFile], Field(min_length=1, max_length=BATCH_FILES_MAX)] | None = (
        None
    )
    attributes: Attributes | None = None
    chunking_strategy: Chunking | None = None


class HybridSearch(Shape):
    embedding_weight: Annotated[float, Field(ge=0)]
    text_weight: Annotated[float, Field(ge=0)]


class RankingOptions(Shape):
    ranker: Literal["auto", "none", "default-2024-11-15", "default_2024_08_21"] | None = None
    score_threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    hybrid_search: HybridSearch | None = None


_Query = Annotated[str, Field(min_length=1, max_length=_QUERY_CHARS_MAX)]


class SearchStore(Shape):
    query: Annotated[
        Annotated[_Query, Tag("string")]
        | Annotated[list[_Query], Field(min_length=1, max_length=_QUERIES_MAX), Tag("array")],
        Discriminator(json_kind),
    ]
    filters: Filter | None = None
    max_num_results: Annotated[int, Field(ge=1, le=RESULTS_MAX)] = RESULTS_DEFAULT
    ranking_options: RankingOptions | None = None
    rewrite_query: bool = False


def check_known(asked: Shape, path: str = "") -> None:
    """Raises 400 for the first parameter that nobody knows."""
    for name in asked.model_extra or ():
        raise errors.unknown_parameter(f"{path}{name[:100]}")
    for name, value in asked:
        for place, inner in enumerate(value) if isinstance(value, list) else ((-1, value),):
            if isinstance(inner, Shape):
                where = f"{path}{name}" if place < 0 else f"{path}{name}[{place}]"
                check_known(inner, f"{where}.")


def check_weights(ranking: RankingOptions | None, path: str = "ranking_options") -> None:
    """Raises 400."""
    weights = None if ranking is None else ranking.hybrid_search
    if weights is not None and not weights.embedding_weight + weights.text_weight:
        raise errors.no_weights(f"{path}.hybrid_search")
