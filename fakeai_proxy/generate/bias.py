"""Tokens that a caller makes likelier or less likely: the effect of `logit_bias` on a text."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from random import Random

from fakeai_proxy.generate.tokens import Passage, Tokens

#: From here on a token is the only one that is chosen.
FORCED_FROM = 50.0
_ROUNDS = 12


def forced(bias: Mapping[int, float]) -> list[int]:
    """The tokens that crowd out all others: the strongest of those strong enough."""
    strongest = max(bias.values(), default=0.0)
    if strongest < FORCED_FROM:
        return []
    return sorted(token for token, value in bias.items() if value == strongest)


def only(rng: Random, tokens: Tokens, allowed: list[int], count: int) -> Passage:
    """So many tokens, of the allowed ones alone. One sampled token is nearly always followed by itself."""
    first = allowed[rng.randrange(len(allowed))]
    return Passage.of((tokens.span_of([first] * count),))


def without(rng: Random, tokens: Tokens, passage: Passage, bias: Mapping[int, float]) -> Passage:
    """The passage without what the bias takes out: always at -100, and the less often the weaker."""
    unwanted = {
        token for token, value in bias.items() if value < 0 and rng.random() < -math.expm1(value)
    }
    if unwanted.isdisjoint(passage.ids):
        return passage
    for _ in range(_ROUNDS):
        text = _without_words(passage, unwanted)
        passage = tokens.passage(text)
        if unwanted.isdisjoint(passage.ids):
            return passage
    # What joins into an unwanted token again and again goes token by token.
    return Passage.of((tokens.span_of([token for token in passage.ids if token not in unwanted]),))


def _without_words(passage: Passage, unwanted: Collection[int]) -> str:
    """Words go as a whole, so that what stays still reads."""
    kept: list[str] = []
    word: list[str] = []
    bad = False
    for token, piece in zip(passage.ids, passage.pieces, strict=True):
        if piece[:1].isspace() or (piece and not piece[0].isalnum()):
            kept += () if bad else word
            word, bad = [], False
        word.append(piece)
        bad = bad or token in unwanted
    kept += () if bad else word
    return "".join(kept)
