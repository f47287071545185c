"""Which models think before they answer, and how long."""

from __future__ import annotations

import re
from functools import lru_cache

_REASONING = re.compile(r"(?:[\w-]+/)?(?:o\d|gpt-5(?!-chat)|gpt-oss)")
#: Hidden tokens by effort: the median.
_P50_TOKENS = {
    "none": 0, "minimal": 0, "low": 128, "medium": 384, "high": 1024, "xhigh": 2048, "max": 4096,
}  # fmt: skip


@lru_cache(maxsize=1024)
def reasons(model: str) -> bool:
    return _REASONING.match(model) is not None


def thinks_p50_tokens(model: str, effort: str | None) -> int:
    """The median of the hidden tokens of an answer."""
    return _P50_TOKENS[effort or "medium"] if reasons(model) else 0
