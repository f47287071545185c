"""Texts -> vectors of unit length, near where the texts are alike. Knows no model and no API.

Of kind `hashed`: words, the concepts behind them, pairs of neighbours and letter n-grams, each hashed to
a few signed places. Of kind `semantic`: the same, and mostly what the word pieces mean.

The bytes are the same on every machine: sums run in a fixed order in float64, never through a BLAS,
and are rounded to 8 decimals before they become float32.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b, shake_128
from itertools import pairwise
from typing import TYPE_CHECKING

from fakeai_proxy.generate import semantic
from fakeai_proxy.generate.concepts import concepts_of, stem, stop_words
from fakeai_proxy.generate.embedders import Kind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Words; scripts without spaces count every letter as one.
_WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+"
)
#: Letters of one word that are looked at.
_WORD_CHARS_MAX = 48
#: Signed places of one feature: several, so that a shortened vector keeps a share of each.
_PLACES = 16
_NGRAM_CHARS = (3, 4)

# Weights were set by hand so that related sentences of everyday topics rank as people rank them;
# tests/generate/test_vectors.py holds the ranking.
_WORD_WEIGHT = 1.0
_STOP_WORD_WEIGHT = 0.12
_NGRAMS_WEIGHT = 0.45
_PAIR_WEIGHT = 0.35
#: Share of the vector that is the exact text's own, so that no two texts share a vector and no
#: prefix is empty.
_OWN_SHARE = 0.04
#: Share that all texts have in common: unrelated texts are a little above a right angle apart.
_COMMON_SHARE = 0.08
#: Share of the likeness of two texts that is what they mean; words alike are the rest, which is what
#: there is in languages that the vectors of word pieces hardly know.
_MEANING_SHARE = 0.7


class Embedder:
    """The space of one model: `salt` keeps models apart, `dimensions` is the full length."""

    def __init__(self, salt: str, dimensions: int, kind: Kind = "hashed") -> None:
        self.dimensions = dimensions
        self._kind = kind
        self._salt = blake2b(salt.encode(), digest_size=32).digest()

    def embed(
        self, texts: Sequence[str], dimensions: int | None = None, role: str = ""
    ) -> NDArray[np.float32]:
        """One row a text. Fewer `dimensions` are a prefix, brought back to unit length. Texts in
        another `role` (query, passage) have vectors a little beside these."""
        import numpy

        rows = numpy.empty((len(texts), dimensions or self.dimensions), numpy.float32)
        places = _Places(self._salt, self.dimensions)
        common = self._noise(b"common")
        meant = semantic.meanings(texts) if self._kind == "semantic" else None
        for row, text in enumerate(texts):
            features = features_of(text)
            indexes, weights = places.of(features)
            # bincount adds in the order of its input, whatever the machine.
            said = _unit(numpy.bincount(indexes, weights, self.dimensions).astype(numpy.float64))
            if meant is not None:
                # Each by itself: a product of matrices adds in an order that depends on their size.
                meaning = _unit(meant[row] @ _projection(self._salt, self.dimensions))
                said = math.sqrt(1 - _MEANING_SHARE) * said + math.sqrt(_MEANING_SHARE) * meaning
            own = self._noise((role + text).encode("utf-8", "surrogatepass"))
            vector = said + _COMMON_SHARE * common + _OWN_SHARE * own
            rows[row] = numpy.round(_unit(vector[: rows.shape[1]]), 8)
        return rows

    def _noise(self, key: bytes) -> NDArray[np.float64]:
        """Plus and minus ones, as a vector of unit length."""
        import numpy

        bits = shake_128(self._salt + key).digest((self.dimensions + 7) // 8)
        signs = numpy.unpackbits(numpy.frombuffer(bits, numpy.uint8))[: self.dimensions]
        return (signs.astype(numpy.float64) * 2.0 - 1.0) / math.sqrt(self.dimensions)


@lru_cache(4)
def _projection(salt: bytes, dimensions: int) -> NDArray[np.float64]:
    """Plus and minus ones that spread a meaning over all dimensions, so that each prefix keeps a share."""
    import numpy

    count = semantic.WIDTH * dimensions
    bits = shake_128(salt + b"projection").digest((count + 7) // 8)
    signs = numpy.unpackbits(numpy.frombuffer(bits, numpy.uint8))[:count]
    return signs.reshape(semantic.WIDTH, dimensions).astype(numpy.float64) * 2.0 - 1.0


class _Places:
    """Where features fall, remembered for the texts of one call."""

    def __init__(self, salt: bytes, dimensions: int) -> None:
        self._salt = salt
        self._dimensions = dimensions
        self._digests: dict[str, bytes] = {}

    def of(self, features: dict[str, float]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Indexes and signed weights."""
        import numpy

        digests = self._digests
        found = []
        for feature in features:
            digest = digests.get(feature)
            if digest is None:
                digest = blake2b(feature.encode("utf-8", "surrogatepass"), key=self._salt).digest()
                digests[feature] = digest
            found.append(digest)
        words = numpy.frombuffer(b"".join(found), "<u4")
        weights = numpy.repeat(numpy.array(list(features.values()), numpy.float64), _PLACES)
        signed = numpy.where(words & 0x8000_0000, -weights, weights)
        return ((words & 0x7FFF_FFFF) % self._dimensions).astype(numpy.int64), signed


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of length 1; a running sum, because numpy's own adds in an order that depends on the machine."""
    squares = (vector * vector).cumsum()
    length = math.sqrt(squares[-1])
    return vector / length if length else vector


def features_of(text: str) -> dict[str, float]:
    """Weights by feature; repetition counts with its logarithm."""
    words = words_of(text)
    features: dict[str, float] = {}
    for word, count in Counter(words).items():
        many = 1.0 + math.log(count)
        for feature, weight in _word_features(word):
            features[feature] = features.get(feature, 0.0) + many * weight
    telling = [stem(word) for word in words if word not in stop_words()]
    for (first, second), count in Counter(pairwise(telling)).items():
        features[f"pair {first} {second}"] = _PAIR_WEIGHT * (1.0 + math.log(count))
    return features


def words_of(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKC", text).casefold()
    words = [word[:_WORD_CHARS_MAX] for word in _WORD.findall(plain)]
    return words or [sign for sign in plain if not sign.isspace()]


@lru_cache(65_536)
def _word_features(word: str) -> tuple[tuple[str, float], ...]:
    if word in stop_words():
        return ((f"word {word}", _STOP_WORD_WEIGHT),)
    base = stem(word)
    features = [(f"word {base}", _WORD_WEIGHT), *concepts_of(base)]
    pieces = list(_ngrams(f"<{base}>"))
    if pieces:
        each = _NGRAMS_WEIGHT / math.sqrt(len(pieces))
        features += [(f"letters {piece}", each) for piece in pieces]
    return tuple(features)


def _ngrams(word: str) -> Iterable[str]:
    for size in _NGRAM_CHARS:
        for start in range(len(word) - size + 1):
            yield word[start : start + size]
