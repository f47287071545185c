"""How alike two texts are, by the metrics of the field, each from 0 to 1. Pure.

BLEU: aclanthology.org/P02-1040, smoothed; GLEU: arXiv:1609.08144, section 4; METEOR:
aclanthology.org/W05-0909 with exact and stemmed matches; ROUGE: aclanthology.org/W04-1013, F1.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

from fakeai_proxy.generate.concepts import stem

_WORD = re.compile(r"\w+|[^\w\s]")
_ORDER = 4
#: METEOR's weights of recall over precision and of its penalty for scattered matches.
_ALPHA, _BETA, _GAMMA = 0.9, 3.0, 0.5
#: Longer texts are compared by their beginnings.
_CHARS_MAX = 20_000


def words(text: str) -> list[str]:
    return _WORD.findall(text[:_CHARS_MAX].lower())


def _grams(tokens: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[i : i + order]) for i in range(len(tokens) - order + 1))


def shared_length(one: Sequence[str], other: Sequence[str]) -> int:
    """Of the longest common subsequence, a word of bits at a time (Hyyroe 2004)."""
    places: dict[str, int] = {}
    for place, token in enumerate(one):
        places[token] = places.get(token, 0) | 1 << place
    row = mask = (1 << len(one)) - 1
    for token in other:
        match = row & places.get(token, 0)
        row = (row + match | row - match) & mask
    return len(one) - row.bit_count()


def _f1(common: float, one: int, other: int) -> float:
    return 2 * common / (one + other) if one + other else 1.0


def fuzzy(text: str, reference: str) -> float:
    text, reference = text[:_CHARS_MAX], reference[:_CHARS_MAX]
    return _f1(shared_length(text, reference), len(text), len(reference))


def bleu(text: str, reference: str) -> float:
    said, wanted = words(text), words(reference)
    if not said or not wanted:
        return float(said == wanted)
    total, orders = 0.0, min(_ORDER, len(said), len(wanted))
    for order in range(1, orders + 1):
        grams = _grams(said, order)
        common = (grams & _grams(wanted, order)).total()
        # Without any of one order the others still count.
        total += math.log((common or 0.1) / grams.total())
    brevity = min(0.0, 1 - len(wanted) / len(said))
    return math.exp(brevity + total / orders)


def gleu(text: str, reference: str) -> float:
    said, wanted = words(text), words(reference)
    common = of_said = of_wanted = 0
    for order in range(1, _ORDER + 1):
        ours, theirs = _grams(said, order), _grams(wanted, order)
        common += (ours & theirs).total()
        of_said += ours.total()
        of_wanted += theirs.total()
    if not of_said or not of_wanted:
        return float(said == wanted)
    return min(common / of_said, common / of_wanted)


def meteor(text: str, reference: str) -> float:
    said, wanted = words(text), words(reference)
    if not said or not wanted:
        return float(said == wanted)
    free = dict[int, str](enumerate(map(stem, wanted)))
    matches: list[int | None] = []
    for word in map(stem, said):
        # The one that goes on with the match before, else the first.
        after = None if not matches or matches[-1] is None else matches[-1] + 1
        if after is not None and free.get(after) == word:
            place: int | None = after
        else:
            place = next((at for at, one in free.items() if one == word), None)
        matches.append(place)
        if place is not None:
            del free[place]
    found = [place for place in matches if place is not None]
    if not found:
        return 0.0
    chunks = 1 + sum(b != a + 1 for a, b in pairwise(found))
    precision, recall = len(found) / len(said), len(found) / len(wanted)
    mean = precision * recall / (_ALPHA * precision + (1 - _ALPHA) * recall)
    scattered = 0.0 if chunks == 1 else _GAMMA * (chunks / len(found)) ** _BETA
    return mean * (1 - scattered)


def _rouge(order: int) -> Callable[[str, str], float]:
    def rouge(text: str, reference: str) -> float:
        said, wanted = words(text), words(reference)
        ours, theirs = _grams(said, order), _grams(wanted, order)
        if not ours or not theirs:
            return float(said == wanted)
        return _f1((ours & theirs).total(), ours.total(), theirs.total())

    return rouge


def rouge_l(text: str, reference: str) -> float:
    said, wanted = words(text), words(reference)
    return _f1(shared_length(said, wanted), len(said), len(wanted))


#: All but the cosine, which takes vectors.
METRICS: dict[str, Callable[[str, str], float]] = {
    "fuzzy_match": fuzzy, "bleu": bleu, "gleu": gleu, "meteor": meteor, "rouge_l": rouge_l,
    **{f"rouge_{order}": _rouge(order) for order in range(1, 6)},
}  # fmt: skip
