"""Which of the offered tools a model would call, by their names and descriptions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from fakeai_proxy.generate.plausible import Hints, words_of

#: Calls in one answer.
CALLS_MAX = 4
#: A word of the name that the prompt uses, and one of the description.
_NAME_POINTS, _DESCRIPTION_POINTS = 3, 1
#: From here on a tool is called.
_POINTS_MIN = 2
#: Words that many names and descriptions have and that say nothing.
_EMPTY_WORDS = frozenset(
    """a about all an and any are as at be by call can check create current do find fetch for from
    function get given has have how i if in into is it its look make me my new of on or our perform
    please return returns run set should show some tell tool that the their them this to update use
    used user uses using want what when where which will with you your""".split()  # noqa: SIM905 - a wall of quotation marks otherwise
)

#: Tools that hand over to another agent, as frameworks name them.
_HANDOFF = re.compile(r"(?:transfer|hand_?off|delegate)_to_(\w+)")
_SENTENCE = re.compile(r"[.!?;\n]+")


class Offer(NamedTuple):
    name: str
    description: str = ""


def wanted(offered: Sequence[Offer], hints: Hints, most: int = CALLS_MAX) -> list[int]:
    """The places of those that the prompt speaks of, best first."""
    return [place for points, place in _ranked(offered, hints) if points >= _POINTS_MIN][:most]


def best(offered: Sequence[Offer], hints: Hints) -> int:
    """The place of the one to call where one must be called."""
    return _ranked(offered, hints)[0][1]


def _ranked(offered: Sequence[Offer], hints: Hints) -> list[tuple[int, int]]:
    """Points and places, best first; equals in the order in which they are offered."""
    said = _stems(hints.prompt[-4000:])
    scored = [
        (_points(offer, said) + _handed_points(offer, hints.instructions, said), place)
        for place, offer in enumerate(offered)
    ]
    return sorted(scored, key=lambda entry: -entry[0])


def _points(offer: Offer, said: set[str]) -> int:
    name = _stems(offer.name)
    description = _stems(offer.description) - name
    return _NAME_POINTS * len(name & said) + _DESCRIPTION_POINTS * len(description & said)


def _handed_points(offer: Offer, instructions: str, said: set[str]) -> int:
    """For handing over to another agent: where a sentence of the instructions names that agent together
    with what the prompt speaks of."""
    handed = _HANDOFF.fullmatch(offer.name)
    agent = _stems(handed[1]) if handed else set()
    if not agent:
        return 0
    sentences = [_stems(sentence) for sentence in _SENTENCE.split(instructions[-4000:])]
    agreed = [(sentence & said) - agent for sentence in sentences if agent <= sentence]
    return _NAME_POINTS * max(map(len, agreed), default=0)


def _stems(text: str) -> set[str]:
    return {_stem(word) for word in words_of(text)} - _EMPTY_WORDS


def _stem(word: str) -> str:
    if word == "news":  # no plural of new
        return word
    return word[:-1] if len(word) > 3 and word.endswith("s") else word
