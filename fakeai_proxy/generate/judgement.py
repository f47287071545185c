"""What a text is in the eyes of a moderator: 13 categories, each with a score between 0 and 1 that
rises with what is said. The words and their weights are data, in `profiles/moderation/`; this file
knows how evidence adds up, and no API.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from typing import Annotated, Literal

from pydantic import Field

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.generate.lexicon import Phrases, sentences
from fakeai_proxy.profiles.reading import Data, load, names

#: From this score on, a text belongs to a category.
FLAGGED_FROM = 0.5
#: How much each further phrase of a sentence, and each further sentence, adds to the strongest.
_FURTHER_PHRASE, _FURTHER_SENTENCE = 0.15, 0.1
#: No text is beyond doubt: the logit of 0.998.
_LOGIT_MAX = 6.2
#: Texts without evidence differ a little in their scores, as answers of the hosted model do: by so
#: much, in logits, to either side.
_RESTING_SPREAD = 0.6

_Score = Annotated[float, Field(gt=0, lt=1)]


class Category(Data):
    resting: _Score
    also: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field({})
    images: bool = False
    omni_only: bool = False


class PictureRule(Data):
    """A share of the pixels of a colour, and what it tells; evidence grows from one share to the other."""

    colour: Literal["skin", "blood"]
    category: str
    from_share: _Score
    to_share: _Score
    score: _Score


class _Categories(Data):
    name: str
    source: str = Field(min_length=1)
    category: dict[str, Category]
    picture: list[PictureRule]


class _Term(Data):
    phrases: list[str]
    scores: dict[str, _Score]


class _Harmless(Data):
    phrases: list[str]


class _Context(Data):
    factor: float = Field(gt=0, lt=2)
    phrases: list[str]


class _Language(Data):
    name: str
    language: str
    source: str = Field(min_length=1)
    words: dict[str, str] = Field({})
    term: list[_Term]
    harmless: list[_Harmless] = Field([])
    context: list[_Context] = Field([])


def categories() -> Mapping[str, Category]:
    """By name, in the order of the API. Raises ConfigError."""
    return _table().category


def picture_rules() -> Sequence[PictureRule]:
    return _table().picture


@cache
def _table() -> _Categories:
    return load(_Categories, "moderation", "categories")


def judge(text: str) -> dict[str, float]:
    """Scores by category. Pure: the same text has the same scores, whatever was judged before."""
    return _judged(text, _evidence(text))


def judge_picture(words: str, scores: Mapping[str, float]) -> dict[str, float]:
    """Scores of the categories that pictures are judged by, from the text that one carries and the
    `scores` that it has for what it shows."""
    known = categories()
    evidence = _evidence(words) if words else {}
    for name, score in scores.items():
        if score > known[name].resting:
            shown = _logit(score) - _logit(known[name].resting)
            evidence[name] = max(evidence.get(name, 0.0), shown)
    judged = _judged(words, evidence)
    return {name: score for name, score in judged.items() if known[name].images}


def _judged(text: str, evidence: dict[str, float]) -> dict[str, float]:
    known = categories()
    for name, category in known.items():
        for other, share in category.also.items():
            implied = share * evidence.get(name, 0.0)
            evidence[other] = max(evidence.get(other, 0.0), implied)
    return {name: _score(known[name], name, text, evidence.get(name, 0.0)) for name in known}


def _evidence(text: str) -> dict[str, float]:
    """What the worst sentence tells, and a share of what the others do."""
    spoken = list(sentences(text))
    found = [judged for lexicon in _lexicons() for judged in lexicon.evidence(spoken)]
    return _added(found, _FURTHER_SENTENCE)


def flagged(scores: Mapping[str, float]) -> dict[str, bool]:
    return {name: score >= FLAGGED_FROM for name, score in scores.items()}


def _score(category: Category, name: str, text: str, evidence: float) -> float:
    resting = _logit(category.resting)
    if not evidence:
        digest = blake2b(text.encode("utf-8", "surrogatepass"), key=name.encode()).digest()
        resting += (digest[0] / 127.5 - 1.0) * _RESTING_SPREAD
    return 1.0 / (1.0 + math.exp(-min(resting + evidence, _LOGIT_MAX)))


def _logit(score: float) -> float:
    return math.log(score / (1.0 - score))


def _added(parts: Iterable[Mapping[str, float]], further: float) -> dict[str, float]:
    """The strongest of each category, and a share of all others."""
    strongest: dict[str, float] = {}
    total: dict[str, float] = {}
    for part in parts:
        for name, weight in part.items():
            strongest[name] = max(strongest.get(name, 0.0), weight)
            total[name] = total.get(name, 0.0) + weight
    return {name: most + further * (total[name] - most) for name, most in strongest.items()}


@dataclass(frozen=True)
class _Lexicon:
    """One language. Weights are evidence in logits above the score of rest."""

    terms: Phrases
    weights: Sequence[Mapping[str, float]]
    harmless: Phrases
    contexts: Phrases
    factors: Sequence[float]

    @classmethod
    def load(cls, language: str) -> _Lexicon:
        """Raises ConfigError."""
        data = load(_Language, "moderation", language)
        known = categories()
        terms, harmless, contexts = Phrases(), Phrases(), Phrases()
        weights = []
        for row, term in enumerate(data.term):
            for name in term.scores:
                if name not in known:
                    raise ConfigError(f"moderation {language}: there is no category '{name}'")
            weights.append(
                {
                    name: _logit(score) - _logit(known[name].resting)
                    for name, score in term.scores.items()
                    if score > known[name].resting
                }
            )
            for phrase in term.phrases:
                terms.add(row, phrase, data.words)
        for row, harmless_row in enumerate(data.harmless):
            for phrase in harmless_row.phrases:
                harmless.add(row, phrase, data.words)
        for row, context in enumerate(data.context):
            for phrase in context.phrases:
                contexts.add(row, phrase, data.words)
        return cls(terms, weights, harmless, contexts, [each.factor for each in data.context])

    def evidence(self, spoken: Iterable[Sequence[str]]) -> Iterable[Mapping[str, float]]:
        """By category, of each sentence in which something was found."""
        for words in spoken:
            found = list(self.terms.find(words))
            if not found:
                continue
            masked: set[int] = set()
            for spot in self.harmless.find(words):
                masked.update(range(spot.start, spot.end))
            left = {spot.row for spot in found if masked.isdisjoint(range(spot.start, spot.end))}
            if not left:
                continue
            factor = math.prod([self.factors[row] for row in self._contexts(words)])
            parts = [self.weights[row] for row in sorted(left)]
            judged = _added(parts, _FURTHER_PHRASE)
            yield {name: factor * weight for name, weight in judged.items()}

    def _contexts(self, words: Sequence[str]) -> set[int]:
        return {spot.row for spot in self.contexts.find(words)}


@cache
def _lexicons() -> tuple[_Lexicon, ...]:
    return tuple([_Lexicon.load(name) for name in names("moderation") if name != "categories"])
