"""Which prompts for pictures and films are declined."""

from __future__ import annotations

import re

from fakeai_proxy.services.answer.refusal import refuses

_READ_CHARS = 4000
#: What the vendor calls it, and the words for it; the last are let through where moderation is low.
_VIOLATIONS = {
    "sexual": re.compile(
        r"\b(?:porn\w*|hentai|nsfw|nudes?|nudity|naked|sexually explicit)\b", re.I
    ),
    "self-harm": re.compile(r"\b(?:suicide|self-harm|cutting (?:herself|himself|myself))\b", re.I),
    "violence": re.compile(
        r"\b(?:gore|gory|beheading|beheaded|decapitat\w+|dismember\w+|mutilat\w+|torture[ds]?|"
        r"bloody corpses?)\b",
        re.I,
    ),
}


def violation(prompt: str, moderation: str | None) -> str:
    """What a prompt violates, "" for nothing."""
    text = prompt[:_READ_CHARS]
    if refuses(text):
        return "illicit"
    for name, words in _VIOLATIONS.items():
        if words.search(text) and not (name == "violence" and moderation == "low"):
            return name
    return ""
