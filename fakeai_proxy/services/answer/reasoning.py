"""Which models think before they answer."""

from __future__ import annotations

import re
from functools import lru_cache

_REASONING = re.compile(r"(?:[\w-]+/)?(?:o\d|gpt-5(?!-chat)|gpt-oss)")


@lru_cache(maxsize=1024)
def reasons(model: str) -> bool:
    return _REASONING.match(model) is not None


def effort_of(model: str, asked: str | None) -> str | None:
    """How hard it thinks; None where it does not."""
    return (asked or "medium") if reasons(model) else None
