"""The chunks of one file as bytes: what they say, and the vectors and terms that they are found by.

A head in JSON says how long the parts behind it are. The texts come last, and each is read by itself,
so that an index in memory holds everything but them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import orjson

from fakeai_proxy.generate import retrieval
from fakeai_proxy.generate.embedders import Kind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FORMAT = 1
_HEAD_BYTES_MAX = 4096
#: Counts of terms are kept in tenths, in one byte.
_TENTHS, _TENTHS_MAX = 10, 255
#: Texts embedded at a time.
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Pack:
    """`vectors` has a row a chunk, in the space of `kind`. The terms of chunk k are
    `terms[ends[k-1]:ends[k]]`, with their counts in tenths."""

    kind: Kind
    vectors: NDArray[np.float32]
    terms: NDArray[np.uint32]
    tenths: NDArray[np.uint8]
    ends: NDArray[np.int64]

    @property
    def chunks(self) -> int:
        return len(self.vectors)


def packed(texts: Sequence[str], kind: Kind) -> Iterator[bytes]:
    """The bytes, in pieces. Computes for as long as it takes."""
    import numpy

    vectors = [
        retrieval.vectors(texts[k : k + _BATCH], kind).astype("<f2")
        for k in range(0, len(texts), _BATCH)
    ]
    terms, tenths, ends = _counted(texts)
    written = [text.encode("utf-8", "replace") for text in texts]
    places = numpy.cumsum([len(text) for text in written], dtype="<i8")
    head = {
        "format": _FORMAT, "kind": kind, "width": retrieval.WIDTH, "chunks": len(texts),
        "terms": len(terms),
    }  # fmt: skip
    yield orjson.dumps(head).ljust(255) + b"\n"
    yield from (batch.tobytes() for batch in vectors)
    yield ends.astype("<i8").tobytes()
    yield terms.astype("<u4").tobytes()
    yield tenths.tobytes()
    yield places.tobytes()
    yield from written


def _counted(
    texts: Sequence[str],
) -> tuple[NDArray[np.uint32], NDArray[np.uint8], NDArray[np.int64]]:
    import numpy

    found = [retrieval.terms(text) for text in texts]
    terms = numpy.array([term for each in found for term in each], numpy.uint32)
    counts = numpy.array([count for each in found for count in each.values()], numpy.float64)
    tenths = numpy.clip(numpy.rint(counts * _TENTHS), 1, _TENTHS_MAX).astype(numpy.uint8)
    ends = numpy.cumsum([len(each) for each in found], dtype=numpy.int64)
    return terms, tenths, ends


def read(file: IO[bytes], kind: Kind) -> Pack:
    """All but the texts. Vectors that were made in another space are made anew of the texts."""
    import numpy

    head = _head(file)
    count, width = head["chunks"], head["width"]
    vectors = _array(file, "<f2", count * width).reshape(count, width)
    ends = _array(file, "<i8", count)
    terms = _array(file, "<u4", head["terms"])
    tenths = _array(file, "u1", head["terms"])
    if head["kind"] == kind and width == retrieval.WIDTH:
        return Pack(kind, vectors.astype(numpy.float32), terms, tenths, ends)
    texts = _texts(file, _array(file, "<i8", count), range(count))
    return Pack(kind, retrieval.vectors(texts, kind), terms, tenths, ends)


def texts(file: IO[bytes], wanted: Sequence[int] | None = None) -> list[str]:
    """Of these chunks, or of all."""
    head = _head(file)
    count = head["chunks"]
    file.seek(2 * count * head["width"] + 8 * count + 5 * head["terms"], 1)
    places = _array(file, "<i8", count)
    return _texts(file, places, range(count) if wanted is None else wanted)


def _head(file: IO[bytes]) -> dict[str, Any]:
    head: dict[str, Any] = orjson.loads(file.readline(_HEAD_BYTES_MAX))
    return head


def _array(file: IO[bytes], form: str, count: int) -> NDArray[Any]:
    import numpy

    size = numpy.dtype(form).itemsize * count
    return numpy.frombuffer(file.read(size), form)


def _texts(file: IO[bytes], places: NDArray[np.int64], wanted: Sequence[int]) -> list[str]:
    """From a file that stands at the first of them."""
    first = file.tell()
    found = []
    for k in wanted:
        start = int(places[k - 1]) if k else 0
        file.seek(first + start)
        found.append(file.read(int(places[k]) - start).decode("utf-8"))
    return found
