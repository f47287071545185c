"""What OpenAI's models take in and give out besides text, by their names. Others are taken at their word:
whoever serves an open model knows what it can do.
"""

from __future__ import annotations

import re
from functools import lru_cache

from fakeai_proxy.services.catalogue import ModelCard

#: platform.openai.com/docs/models: those whose page lists no image input.
_BLIND = re.compile(
    r"gpt-3\.5|gpt-4(?:-(?:0314|0613|1106|0125|32k|turbo-preview).*)?$|o1-(?:mini|preview)|o3-mini"
    r"|gpt-4o(?:-mini)?-audio|gpt-audio|gpt-4o(?:-mini)?-search"
)
_AUDIO = re.compile(r"gpt-4o(?:-mini)?-audio|gpt-audio|gpt-4o(?:-mini)?-realtime|gpt-realtime")
_SEARCH = re.compile(r"gpt-(?:4o(?:-mini)?|5)-search")
_PREDICTED = re.compile(r"gpt-4o(?!.*(?:audio|search|realtime))|chatgpt-4o|gpt-4\.1")


def sees(card: ModelCard) -> bool:
    return not (card.is_openai and _is(_BLIND, card.id))


def hears(card: ModelCard) -> bool:
    return not card.is_openai or _is(_AUDIO, card.id)


def needs_sound(card: ModelCard) -> bool:
    """Whether something of a conversation with it must be sound."""
    return card.is_openai and _is(_AUDIO, card.id)


def searches(card: ModelCard) -> bool:
    """Whether it looks things up on the web before it answers, asked or not."""
    return _is(_SEARCH, card.id)


def takes_prediction(card: ModelCard) -> bool:
    return not card.is_openai or _is(_PREDICTED, card.id)


@lru_cache(maxsize=1024)
def _is(pattern: re.Pattern[str], model: str) -> bool:
    return pattern.match(model.removeprefix("ft:")) is not None
