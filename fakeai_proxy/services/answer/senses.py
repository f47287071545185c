"""What OpenAI's models take in and give out besides text, by their cards. Others are taken at their word:
whoever serves an open model knows what it can do.
"""

from __future__ import annotations

import re

from fakeai_proxy.services.catalogue import ModelCard

_SEARCH = re.compile(r"gpt-(?:4o(?:-mini)?|5)-search")


def sees(card: ModelCard) -> bool:
    return not card.is_openai or card.takes("image")


def hears(card: ModelCard) -> bool:
    return not card.is_openai or card.takes("audio")


def speaks(card: ModelCard) -> bool:
    return not card.is_openai or card.gives("audio")


def needs_sound(card: ModelCard) -> bool:
    """Whether something of a conversation with it must be sound."""
    return card.is_openai and card.gives("audio")


def searches(card: ModelCard) -> bool:
    """Whether it looks things up on the web before it answers, asked or not."""
    return _SEARCH.match(card.id) is not None


def takes_prediction(card: ModelCard) -> bool:
    return not card.is_openai or card.can("predicted_outputs")
