"""Plans that were made before. A plan is a pure function of the request and the seed, so an equal
request need not be read, checked and planned again: only its answer's id and date are its own.
"""

from __future__ import annotations

from fakeai_proxy.generate.shelf import Shelf
from fakeai_proxy.services.operation import Plan

#: Tokens, of prompts and answers, of all plans that are kept; about 16 bytes each.
TOKENS_MAX = 131_072


class Plans:
    """The least recently used go first."""

    def __init__(self, tokens_max: int = TOKENS_MAX) -> None:
        self._shelf: Shelf[bytes, Plan] = Shelf(tokens_max)
        self._tokens_max = tokens_max

    def find(self, key: bytes) -> Plan | None:
        return self._shelf.find(key)

    def keep(self, key: bytes, plan: Plan) -> None:
        """Unless it alone would fill a sixteenth of the room."""
        if plan.tokens <= self._tokens_max // 16 and key not in self._shelf:
            self._shelf.keep(key, plan, plan.tokens)
