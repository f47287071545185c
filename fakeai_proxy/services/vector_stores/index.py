"""The chunks of one vector store in memory, to be searched: all vectors, exactly, and an inverted list of
terms. Knows neither stores nor files but by their ids.

An index is a few segments that never change. Files that come make a segment of their own, and small
segments are merged into larger ones, so that adding a file costs little however many there are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from fakeai_proxy.services.vector_stores.pack import Pack

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

#: How fast a repeated term counts for less, and how much a long chunk is held against it (Robertson and
#: Zaragoza, The Probabilistic Relevance Framework, 2009: the usual values).
_K1, _B = 1.2, 0.75
_TENTHS = 10.0
#: A segment is merged with the one before it while that is not so many times as large.
_GROWTH = 4


class Query(NamedTuple):
    """The vector and the terms of a question, and how much each of the two matters."""

    vector: Floats
    terms: Mapping[int, float]
    embedding_weight: float
    text_weight: float


class Found(NamedTuple):
    """`score` is between 0 and 1."""

    score: float
    file: str
    chunk: int


@dataclass(frozen=True, slots=True)
class Segment:
    """Row k is a chunk: number `chunk_of[k]` of the file `files[file_of[k]]`. The rows that have the
    term `terms[j]` are `rows[starts[j]:starts[j+1]]`."""

    files: tuple[str, ...]
    vectors: Floats
    file_of: NDArray[np.int32]
    chunk_of: NDArray[np.int32]
    lengths: Floats
    terms: NDArray[np.uint32]
    starts: NDArray[np.int64]
    rows: NDArray[np.int32]
    tenths: NDArray[np.uint8]

    @property
    def size_bytes(self) -> int:
        return sum(
            array.nbytes
            for array in (
                self.vectors, self.file_of, self.chunk_of, self.lengths, self.terms, self.starts,
                self.rows, self.tenths,
            )
        )  # fmt: skip

    def having(self, term: int) -> slice:
        """Where the rows are that have it."""
        import numpy

        place = int(numpy.searchsorted(self.terms, term))
        if place == len(self.terms) or self.terms[place] != term:
            return slice(0, 0)
        return slice(int(self.starts[place]), int(self.starts[place + 1]))

    def without(self, gone: frozenset[str]) -> Segment:
        """The same without the rows of these files."""
        import numpy

        kept_files = numpy.array([name not in gone for name in self.files])
        if kept_files.all():
            return self
        kept = kept_files[self.file_of]
        rows = numpy.repeat(numpy.arange(len(self.terms)), numpy.diff(self.starts))
        holds = kept[self.rows]
        place_of = (numpy.cumsum(kept) - 1).astype(numpy.int32)
        file_place = (numpy.cumsum(kept_files) - 1).astype(numpy.int32)
        return _segment(
            tuple([name for name in self.files if name not in gone]),
            self.vectors[kept],
            file_place[self.file_of[kept]],
            self.chunk_of[kept],
            self.terms[rows[holds]],
            place_of[self.rows[holds]],
            self.tenths[holds],
        )


def _segment(
    files: tuple[str, ...],
    vectors: Floats,
    file_of: NDArray[np.int32],
    chunk_of: NDArray[np.int32],
    terms: NDArray[np.uint32],
    rows: NDArray[np.int32],
    tenths: NDArray[np.uint8],
) -> Segment:
    """Of terms with the rows that have them, in any order."""
    import numpy

    order = numpy.argsort(terms, kind="stable")
    unique, starts = numpy.unique(terms[order], return_index=True)
    lengths = numpy.bincount(rows, tenths, len(vectors)).astype(numpy.float32)
    starts = numpy.append(starts, len(terms)).astype(numpy.int64)
    return Segment(
        files, vectors, file_of, chunk_of, lengths, unique, starts, rows[order], tenths[order]
    )


def segment_of(packs: Mapping[str, Pack]) -> Segment:
    """Of the packs of files that are new, by their ids."""
    import numpy

    sizes = [pack.chunks for pack in packs.values()]
    counts = [numpy.diff(pack.ends, prepend=0) for pack in packs.values()]
    return _segment(
        tuple(packs),
        numpy.concatenate([pack.vectors for pack in packs.values()]),
        numpy.repeat(numpy.arange(len(packs), dtype=numpy.int32), sizes),
        numpy.concatenate([numpy.arange(size, dtype=numpy.int32) for size in sizes]),
        numpy.concatenate([pack.terms for pack in packs.values()]),
        numpy.repeat(numpy.arange(sum(sizes), dtype=numpy.int32), numpy.concatenate(counts)),
        numpy.concatenate([pack.tenths for pack in packs.values()]),
    )


def _merged(one: Segment, other: Segment) -> Segment:
    import numpy

    terms = [numpy.repeat(each.terms, numpy.diff(each.starts)) for each in (one, other)]
    return _segment(
        (*one.files, *other.files),
        numpy.concatenate([one.vectors, other.vectors]),
        numpy.concatenate([one.file_of, other.file_of + numpy.int32(len(one.files))]),
        numpy.concatenate([one.chunk_of, other.chunk_of]),
        numpy.concatenate(terms),
        numpy.concatenate([one.rows, other.rows + numpy.int32(len(one.vectors))]),
        numpy.concatenate([one.tenths, other.tenths]),
    )


class Index:
    """Never changes: what is added to it, or taken out, is another one."""

    def __init__(self, segments: Sequence[Segment] = ()) -> None:
        self._segments = tuple(segments)

    @property
    def size_bytes(self) -> int:
        return sum([segment.size_bytes for segment in self._segments])

    @property
    def chunks(self) -> int:
        return sum([len(segment.vectors) for segment in self._segments])

    @property
    def files(self) -> set[str]:
        return {name for segment in self._segments for name in segment.files}

    def without(self, files: frozenset[str]) -> Index:
        kept = [segment.without(files) for segment in self._segments] if files else self._segments
        return Index([segment for segment in kept if segment.files])

    def and_also(self, packs: Mapping[str, Pack]) -> Index:
        """With files that are not there."""
        if not packs:
            return self
        segments = [*self._segments, segment_of(packs)]
        while len(segments) > 1 and len(segments[-2].vectors) < _GROWTH * len(segments[-1].vectors):
            last = segments.pop()
            segments[-1] = _merged(segments[-1], last)
        return Index(segments)

    def search(self, query: Query, limit: int, files: frozenset[str] | None = None) -> list[Found]:
        """The best chunks, best first; only of these `files`, if any are given."""
        import numpy

        segments = self._segments
        weights = _weights(segments, query.terms) if query.text_weight else {}
        found: list[Found] = []
        for segment in segments:
            scores = self._scores(segment, query, weights, segments)
            if files is not None:
                allowed = numpy.array([name in files for name in segment.files])
                scores = numpy.where(allowed[segment.file_of], scores, -numpy.inf)
            found += [
                Found(
                    _spread(float(scores[k])), segment.files[segment.file_of[k]],
                    int(segment.chunk_of[k]),
                )
                for k in _best(scores, limit)
            ]  # fmt: skip
        found.sort(key=lambda each: (-each.score, each.file, each.chunk))
        return found[:limit]

    def _scores(
        self,
        segment: Segment,
        query: Query,
        weights: Mapping[int, float],
        segments: Sequence[Segment],
    ) -> Floats:
        """Shares of what a perfect answer would have: of likeness in meaning and of matching terms."""
        import numpy

        total = query.embedding_weight + query.text_weight
        scores: Floats = (segment.vectors @ query.vector) * numpy.float32(
            query.embedding_weight / total
        )
        best = sum(weights.values()) * (_K1 + 1)
        if not best:
            return scores
        chunks = sum([len(each.vectors) for each in segments])
        mean = max(sum([float(each.lengths.sum()) for each in segments]) / chunks, 1.0)
        norms = numpy.float32(_K1) * (
            numpy.float32(1 - _B) + numpy.float32(_B / mean) * segment.lengths
        )
        share = query.text_weight / total / best
        for term, weight in weights.items():
            where = segment.having(term)
            rows = segment.rows[where]
            counts = segment.tenths[where] * numpy.float32(1 / _TENTHS)
            gain = numpy.float32(share * weight * (_K1 + 1)) * counts / (counts + norms[rows])
            scores[rows] += gain
        return scores


def _best(scores: Floats, limit: int) -> list[int]:
    """The rows of the best, of equals the first ones."""
    import numpy

    count = min(limit, len(scores))
    least = numpy.partition(scores, len(scores) - count)[len(scores) - count]
    above = numpy.flatnonzero(scores > least)
    equal = numpy.flatnonzero(scores == least)[: count - len(above)]
    return [int(k) for k in (*above, *(equal if least > -numpy.inf else ()))]


def _weights(segments: Sequence[Segment], terms: Mapping[int, float]) -> dict[int, float]:
    """How much each term of a question tells: rare ones tell more."""
    chunks = sum([len(segment.vectors) for segment in segments])
    weights = {}
    for term, count in terms.items():
        places = [segment.having(term) for segment in segments]
        having = sum([place.stop - place.start for place in places])
        weights[term] = min(count, 1.0) * math.log(1 + (chunks - having + 0.5) / (having + 0.5))
    return weights


def _spread(share: float) -> float:
    """Scores of what belongs to a question lie above a half, others below: a cosine of a third is much
    for a question and its answer."""
    return round(math.sqrt(min(max(share, 0.0), 1.0)), 4)
