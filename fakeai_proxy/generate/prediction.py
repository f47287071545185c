"""Predicted outputs: an answer that keeps to a prediction but for what was asked to be changed, how much of
the prediction that took up, and how few steps a model needs for it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

#: Predicted tokens that one step verifies besides making its own. Illustrative, of the size that
#: servers with n-gram speculation are run with.
DRAFT_TOKENS = 8
#: So many tokens in a row have to be the same before a prediction counts as found again.
_ANCHOR_TOKENS = 3
_READ_CHARS = 4000

_NAME = r"(?:`([^`\n]+)`|\"([^\"\n]+)\"|'([^'\n]+)'|([\w.-]+))"
_KIND = (
    r"(?:\s+(?:property|field|variable|function|method|class|parameter|argument|column|word|name|"
    r"constant|type|attribute|key|value|string|line|text))?"
)
_CHANGE = re.compile(
    rf"\b(?:replace|rename|change|substitute|swap|convert|turn|update)\s+(?:(?:the|all|every|each|a|an)\s+)*"
    rf"(?:(?:occurrences?|instances?|uses?)\s+of\s+)?(?:the\s+)?{_NAME}{_KIND}\s+"
    rf"(?:with|to|by|into|for|as)\s+(?:(?:the|a|an)\s+)?{_NAME}",
    re.IGNORECASE,
)


class Match(NamedTuple):
    """Tokens of the prediction that the answer has and has not, and the answer's tokens by step."""

    accepted: int
    rejected: int
    strides: tuple[int, ...]


def follow(prediction: str, asked: str) -> str:
    """The prediction with the changes that `asked` names. Of a name with a capital letter, the form
    without one is changed alike."""
    text = prediction
    for match in _CHANGE.finditer(asked[:_READ_CHARS]):
        names = match.groups()
        old, new = (next(filter(None, half), "") for half in (names[:4], names[4:]))
        new = new.rstrip(".")
        if old in text:
            text = _swapped(text, old, new)
        if old[:1].isalpha() and (turned := old[0].swapcase() + old[1:]) in prediction:
            change = str.lower if turned[0].islower() else str.upper
            text = _swapped(text, turned, change(new[:1]) + new[1:])
    return text


def _swapped(text: str, old: str, new: str) -> str:
    before = r"(?<!\w)" if old[0].isalnum() else ""
    after = r"(?!\w)" if old[-1].isalnum() else ""
    return re.sub(before + re.escape(old) + after, lambda _: new, text)


def compare(answer: Sequence[int], prediction: Sequence[int]) -> Match:
    """Walks both: what is the same is accepted; after a difference the prediction is taken up again
    where the next few tokens are found in what is left of it."""
    places: dict[tuple[int, ...], list[int]] = {}
    for k in range(len(prediction) - _ANCHOR_TOKENS, -1, -1):
        places.setdefault(tuple(prediction[k : k + _ANCHOR_TOKENS]), []).append(k)
    drafted, place, accepted = [], 0, 0
    for k, token in enumerate(answer):
        same = place < len(prediction) and prediction[place] == token
        if not same:
            again = places.get(tuple(answer[k : k + _ANCHOR_TOKENS]), [])
            while again and again[-1] < place:
                again.pop()
            if again:
                place = again[-1]
                same = True
        drafted.append(same)
        if same:
            place += 1
            accepted += 1
    return Match(accepted, len(prediction) - accepted, _strides(drafted))


def _strides(drafted: Sequence[bool]) -> tuple[int, ...]:
    """A step makes one token itself, and lets through the predicted ones that follow it."""
    strides: list[int] = []
    through = DRAFT_TOKENS
    for k, from_draft in enumerate(drafted):
        if k and from_draft and through < DRAFT_TOKENS:
            strides[-1] += 1
            through += 1
        else:
            strides.append(1)
            # The prompt's own step, the first, makes one token and verifies nothing.
            through = 0 if k else DRAFT_TOKENS
    return tuple(strides)
