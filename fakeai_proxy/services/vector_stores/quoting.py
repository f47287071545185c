"""What an answer says of the chunks that were found: their sentences that say most about the question."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fakeai_proxy.generate import retrieval
from fakeai_proxy.generate.embedders import Kind
from fakeai_proxy.services.vector_stores.searching import Hit

#: Sentences of the best chunk, the next and the third.
_SENTENCES = (2, 1, 1)
#: A chunk whose score is less than this share of the best one's adds nothing.
_SHARE = 0.6
_SENTENCE_CHARS = (12, 400)
#: How much the words of a sentence tell against its meaning.
_TERMS = {"semantic": 0.5, "hashed": 2.0}
_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+|\s*\n\s*|(?<=[。！？])")
_MARKS = re.compile(r"^[#>|*\-\s]+|\|\s*$")
NOTHING = "The files say nothing about that."


class Quote(NamedTuple):
    text: str
    hit: Hit


def quotes(question: str, hits: Sequence[Hit], kind: Kind) -> list[Quote]:
    """None where nothing was found. Computes for a few milliseconds."""
    found: list[Quote] = []
    said: set[str] = set()
    for hit in hits:
        if len(found) == len(_SENTENCES) or hit.score < _SHARE * hits[0].score:
            break
        sentences = [one for one in _sentences(hit.text) if one not in said]
        best = _telling(question, sentences, _SENTENCES[len(found)], kind)
        if best:
            said.update(best)
            found.append(Quote(" ".join(best), hit))
    return found


def _sentences(text: str) -> list[str]:
    """Without the halves at its ends, unless there is nothing else."""
    parts = [_MARKS.sub("", part).strip() for part in _END.split(text)]
    least, most = _SENTENCE_CHARS
    whole = [part for part in parts if least <= len(part) <= most]
    proper = [part for part in whole if part[-1] in ".!?。！？" and not part[0].islower()]
    return list(dict.fromkeys(proper or whole or [text[:most]]))


def _telling(question: str, sentences: Sequence[str], most: int, kind: Kind) -> list[str]:
    """In their order."""
    if not sentences:
        return []
    vectors = retrieval.vectors([question, *sentences], kind)
    asked = retrieval.terms(question)
    scores = [
        float(vector @ vectors[0]) + _TERMS[kind] * _shared(asked, retrieval.terms(sentence))
        for vector, sentence in zip(vectors[1:], sentences, strict=True)
    ]
    best = sorted(range(len(sentences)), key=lambda place: (-scores[place], place))[:most]
    return [sentences[place] for place in sorted(best)]


def _shared(asked: Mapping[int, float], said: Mapping[int, float]) -> float:
    """The share of the question's terms that are there."""
    total = sum(asked.values())
    return sum([weight for term, weight in asked.items() if term in said]) / total if total else 0.0
