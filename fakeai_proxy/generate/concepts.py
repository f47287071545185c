"""English words that mean nearly the same, and the topics they belong to: what lets texts without a
word in common be near each other. The words are tables in `words/`, written by hand: one concept, or
one topic, a line.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

_SYNONYM_WEIGHT = 0.8
_TOPIC_WEIGHT = 0.5

#: Endings, longest first, with what takes their place and the letters that must remain.
_ENDINGS = (
    ("ational", "ate", 3), ("ization", "ize", 3), ("fulness", "ful", 3), ("ousness", "ous", 3),
    ("iveness", "ive", 3), ("ements", "", 4), ("ement", "", 4), ("ments", "", 4), ("ment", "", 4),
    ("ings", "", 3), ("ing", "", 3), ("edly", "", 3), ("ies", "y", 2), ("ied", "y", 2),
    ("sses", "ss", 2), ("ness", "", 4), ("xes", "x", 2), ("ches", "ch", 2), ("shes", "sh", 2),
    ("ed", "", 3), ("ly", "", 4), ("es", "", 3), ("s", "", 3), ("e", "", 3),
)  # fmt: skip


def stem(word: str) -> str:
    """A word without its ending, roughly: `running`, `runs` and `run` meet."""
    for ending, instead, least in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= least and not word.endswith("ss"):
            word = word[: len(word) - len(ending)] + instead
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiouls":
        word = word[:-1]
    return word[:-1] if len(word) > 3 and word[-1] == "e" else word


def concepts_of(base: str) -> list[tuple[str, float]]:
    """The concepts and topics of a stem, with their weights."""
    return _concepts().get(base, [])


@cache
def stop_words() -> frozenset[str]:
    """Words that tell next to nothing about a text."""
    return frozenset(_lines("stop_words").split())


@cache
def _concepts() -> dict[str, list[tuple[str, float]]]:
    table: dict[str, list[tuple[str, float]]] = {}
    for kind, weight in (("synonyms", _SYNONYM_WEIGHT), ("topics", _TOPIC_WEIGHT)):
        for line in _lines(kind).splitlines():
            words = line.split()
            for word in dict.fromkeys(map(stem, words)):
                table.setdefault(word, []).append((f"{kind} {words[0]} {words[1]}", weight))
    return table


def _lines(name: str) -> str:
    return (resources.files("fakeai_proxy.generate") / "words" / f"{name}.txt").read_text("utf-8")
