"""What a model declines to do: so that clients see how a refusal looks, in every dialect."""

from __future__ import annotations

import re

#: The words of a refusal.
REFUSAL = "I'm sorry, but I can't assist with that request."
_READ_CHARS = 2000
_HARM = re.compile(
    r"\b(?:build|make|making|assemble|synthesi[sz]e|cook|write|detonate|acquire)\b[^.?!\n]{0,60}\b"
    r"(?:(?<!bath )bombs?|explosives?|nerve (?:agents?|gas)|sarin|ricin|methamphetamine|bioweapons?|"
    r"ransomware)\b",
    re.IGNORECASE,
)


def refuses(prompt: str) -> bool:
    """Whether what is asked last would do obvious harm."""
    return _HARM.search(prompt[-_READ_CHARS:]) is not None
