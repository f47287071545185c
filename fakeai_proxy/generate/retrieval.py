"""What a passage is found by: a vector of what it means, and the terms that stand in it.

Vectors here are as short and as telling as they can be; those of the embeddings room are as long as the
model's that they stand for. Terms are stems, and behind them the concepts and topics of `words/`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING
from zlib import crc32

from fakeai_proxy.generate import semantic
from fakeai_proxy.generate.concepts import concepts_of, stem, stop_words
from fakeai_proxy.generate.embedders import Kind
from fakeai_proxy.generate.vectors import Embedder, words_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WIDTH = semantic.WIDTH
_SPACE = "retrieval"


def vectors(texts: Sequence[str], kind: Kind) -> NDArray[np.float32]:
    """One row of unit length a text; of zeros where it says nothing."""
    import numpy

    if kind == "hashed":
        return Embedder(_SPACE, WIDTH).embed(texts)
    meant = semantic.meanings(texts)
    lengths = numpy.sqrt((meant * meant).sum(axis=1, keepdims=True))
    rows: NDArray[np.float32] = (meant / numpy.maximum(lengths, 1e-12)).astype(numpy.float32)
    return rows


def terms(text: str) -> dict[int, float]:
    """How often each term stands in it, by a number that is the term's own on every machine. A word
    that only means what the term does counts as less than one."""
    found: dict[int, float] = {}
    for word, count in Counter(words_of(text)).items():
        for term, weight in _terms_of(word):
            found[term] = found.get(term, 0.0) + count * weight
    return found


@lru_cache(65_536)
def _terms_of(word: str) -> tuple[tuple[int, float], ...]:
    if word in stop_words():
        return ()
    base = stem(word)
    return tuple(
        [(crc32(name.encode("utf-8", "surrogatepass")), weight)
         for name, weight in ((f"word {base}", 1.0), *concepts_of(base))]
    )  # fmt: skip
