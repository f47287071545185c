"""Which documents belong to a question: the seam behind which a vector store may stand, and the corpus
that is shipped (`profiles/rag/`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import Field

from fakeai_proxy.generate.embedders import Kind
from fakeai_proxy.generate.vectors import Embedder
from fakeai_proxy.profiles.reading import Data, load, names

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: The space in which questions and texts are compared.
_SPACE, _DIMENSIONS = "rag", 512
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True, slots=True)
class Document:
    id: str
    text: str
    source: str
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Retrieved:
    """`score` is between 0 and 1."""

    document: Document
    score: float


class Retriever(Protocol):
    def retrieve(self, query: str, filters: Mapping[str, Any], top_k: int) -> Sequence[Retrieved]:
        """At most `top_k` documents whose metadata have all of the filters' values, best first. Called
        in a thread."""


class _Row(Data):
    source: str = Field(min_length=1)
    metadata: dict[str, str]
    text: str = Field(min_length=1)


class _Corpus(Data):
    name: str
    source: str = Field(min_length=1)
    document: list[_Row]


@cache
def shipped_documents() -> tuple[Document, ...]:
    """Raises ConfigError."""
    rows = [row for name in names("rag") for row in load(_Corpus, "rag", name).document]
    return tuple([Document(_id(row), row.text, row.source, row.metadata) for row in rows])


def _id(row: _Row) -> str:
    return f"doc-{blake2b(f'{row.source} {row.text}'.encode(), digest_size=4).hexdigest()}"


class Corpus:
    """A few documents, all of which are looked at."""

    def __init__(self, documents: Sequence[Document], kind: Kind) -> None:
        self._documents = documents
        self._kind: Kind = kind
        titles = [" ".join(map(str, each.metadata.values())) for each in documents]
        self._vectors = _vectors(
            [f"{title}. {each.text}" for title, each in zip(titles, documents, strict=True)], kind
        )

    def retrieve(self, query: str, filters: Mapping[str, Any], top_k: int) -> Sequence[Retrieved]:
        asked = _vectors([query], self._kind)[0]
        found = [
            Retrieved(document, likeness(asked, vector))
            for document, vector in zip(self._documents, self._vectors, strict=True)
            if matches(document.metadata, filters)
        ]
        return sorted(found, key=lambda each: (-each.score, each.document.id))[:top_k]


@cache
def shipped_corpus(kind: Kind) -> Corpus:
    return Corpus(shipped_documents(), kind)


def matches(metadata: Mapping[str, Any], filters: Mapping[str, Any]) -> bool:
    """Whether each filter names the value, or lists it; letters' case does not matter."""
    for name, wanted in filters.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        if str(metadata.get(name)).casefold() not in [str(value).casefold() for value in values]:
            return False
    return True


def telling(query: str, text: str, most: int, kind: Kind) -> str:
    """The sentences of a text that say most about the question, in their order."""
    said = _SENTENCE.split(text.strip())
    asked = _vectors([query], kind)[0]
    scores = [likeness(asked, vector) for vector in _sentence_vectors(tuple(said), kind)]
    best = sorted(range(len(said)), key=lambda place: (-scores[place], place))[:most]
    return " ".join([said[place] for place in sorted(best)])


def likeness(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """0 to 1; a running sum, because a product's order depends on the machine."""
    return round(min(max(float((one * other).cumsum()[-1]), 0.0), 1.0), 4)


def _vectors(texts: Sequence[str], kind: Kind) -> NDArray[np.float32]:
    return Embedder(_SPACE, _DIMENSIONS, kind).embed(texts)


@lru_cache(256)
def _sentence_vectors(said: tuple[str, ...], kind: Kind) -> NDArray[np.float32]:
    return _vectors(said, kind)
