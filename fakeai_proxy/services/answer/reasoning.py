"""Which models think before they answer, how hard they can be told to, and whether they show it."""

from __future__ import annotations

import re
from functools import lru_cache

from fakeai_proxy.services.catalogue import ModelCard

_REASONING = re.compile(r"(?:[\w-]+/)?(?:o\d|gpt-5(?!-chat|-search|\.\d-chat)|gpt-[6-9]|gpt-oss)")
#: Open models that show their thoughts, besides those whose card says that they reason.
_ALOUD = re.compile(r"(?:.*/)?(?:deepseek-(?:r1|reasoner)|qwq|qwen3-.*thinking)", re.IGNORECASE)


@lru_cache(maxsize=1024)
def reasons(model: str) -> bool:
    return _REASONING.match(model) is not None


def effort_of(model: str, asked: str | None) -> str | None:
    """How hard it thinks; None where it does not."""
    return (asked or "medium") if reasons(model) else None


def default_effort(card: ModelCard) -> str:
    """Models that can be told not to think do not unless they are told to."""
    efforts = card.efforts or ("medium",)
    if efforts[0] == "none":
        return "none"
    return "medium" if "medium" in efforts else efforts[0]


def thinks_aloud(card: ModelCard) -> bool:
    """Whether its server shows the thoughts, as those of vLLM, NIM and DeepSeek do."""
    return not card.is_openai and (
        card.reasoning or reasons(card.id) or _ALOUD.match(card.id) is not None
    )


def effort_for(card: ModelCard, asked: str | None, enabled: bool | None = None) -> str | None:
    """How hard the model of that card thinks; None where it does not. Open hybrid ones, which answer with
    thoughts and without, think where they are asked to: by an effort, or by `enabled`, which their
    template is told."""
    if card.is_openai:
        return (asked or default_effort(card)) if card.reasoning or reasons(card.id) else None
    if enabled is False:
        return None
    usual = reasons(card.id) or _ALOUD.match(card.id) is not None
    if not usual and not enabled and (asked is None or not card.reasoning):
        return None
    return asked or "medium"
