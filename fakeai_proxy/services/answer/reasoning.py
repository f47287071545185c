"""Which models think before they answer, how hard they can be told to, and whether they show it."""

from __future__ import annotations

import re
from functools import lru_cache

from fakeai_proxy.services.catalogue import ModelCard

_REASONING = re.compile(r"(?:[\w-]+/)?(?:o\d|gpt-5(?!-chat|-search|\.\d-chat)|gpt-[6-9]|gpt-oss)")
#: Efforts by model, as the models' pages have them; the first that fits. The first effort is the default.
_EFFORTS: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = tuple(
    (re.compile(pattern), tuple(efforts.split()))
    for pattern, efforts in (
        (r"o1-(?:mini|preview)", "medium"),
        (r"(?:[\w-]+/)?(?:o\d|gpt-oss)", "medium low high"),
        (r"gpt-5-pro", "high"),
        (r"gpt-5\.1", "none low medium high"),
        (r"gpt-5\.[2-9]|gpt-[6-9]", "none low medium high xhigh max"),
        (r"gpt-5", "medium minimal low high"),
    )
)
#: In the order in which they are listed.
ORDER = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
#: Open models that show their thoughts, besides those whose card says that they reason.
_ALOUD = re.compile(r"(?:.*/)?(?:deepseek-(?:r1|reasoner)|qwq|qwen3-.*thinking)", re.IGNORECASE)


@lru_cache(maxsize=1024)
def reasons(model: str) -> bool:
    return _REASONING.match(model) is not None


@lru_cache(maxsize=1024)
def efforts_of(model: str) -> tuple[str, ...]:
    """Those that can be asked for, the default first; none where there are no rules."""
    for pattern, efforts in _EFFORTS:
        if pattern.match(model):
            return efforts
    return ()


def effort_of(model: str, asked: str | None) -> str | None:
    """How hard it thinks; None where it does not."""
    if not reasons(model):
        return None
    return asked or (efforts_of(model) or ("medium",))[0]


def thinks_aloud(card: ModelCard) -> bool:
    """Whether its server shows the thoughts, as those of vLLM, NIM and DeepSeek do."""
    return not card.is_openai and (
        card.reasoning or reasons(card.id) or _ALOUD.match(card.id) is not None
    )


def effort_aloud(card: ModelCard, asked: str | None, enabled: bool | None) -> str | None:
    """How hard such a model thinks. Hybrid ones, which answer with thoughts and without, think where
    they are asked to: by an effort, or by `enable_thinking` for their template."""
    if enabled is False:
        return None
    usual = reasons(card.id) or _ALOUD.match(card.id) is not None
    if not usual and not enabled and asked is None:
        return None
    return asked or "medium"
