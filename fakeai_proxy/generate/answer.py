"""The pieces that answers are planned of, whatever the dialect they are given in: how long a thought
is, where a stop string ends a text, what is said about a tool's result.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from fakeai_proxy.generate.tokens import Passage, Tokens

#: Hidden tokens by effort: the median; they come in steps of 64, as the API reports them.
REASONING_P50_TOKENS = {
    "none": 0, "minimal": 0, "low": 128, "medium": 384, "high": 1024, "xhigh": 2048, "max": 4096,
}  # fmt: skip
_REASONING_STEP_TOKENS = 64
_REASONING_SIGMA = 0.5
_QUOTED_CHARS = 160


class Stopped(NamedTuple):
    """`end` is the stop string that ended the passage, "" where none did."""

    passage: Passage
    end: str = ""


def thought_tokens(rng: Random, effort: str) -> int:
    median = REASONING_P50_TOKENS[effort]
    steps = round(median * rng.lognormvariate(0.0, _REASONING_SIGMA) / _REASONING_STEP_TOKENS)
    return max(steps, 1 if median else 0) * _REASONING_STEP_TOKENS


def stopped(
    tokens: Tokens, passage: Passage, stops: Sequence[str], limit: int, skip_tokens: int = 0
) -> Stopped:
    """The passage before the first stop string, which is looked for after `skip_tokens`."""
    if not stops:
        return Stopped(passage)
    text = passage.text
    skip = len("".join(passage.pieces[:skip_tokens]))
    found = [(text.find(end, skip), end) for end in stops]
    places = [(place, end) for place, end in found if place >= 0]
    if not places:
        return Stopped(passage)
    place, end = min(places)
    return Stopped(tokens.passage(text[:place]).first(limit), end)


def report(result: str) -> str:
    """A sentence about the tool's result that an answer follows, "" where it is empty."""
    result = " ".join(result.split())
    if not result:
        return ""
    quoted = result if len(result) <= _QUOTED_CHARS else result[:_QUOTED_CHARS].rstrip() + "..."
    return f'The result is "{quoted}".'
