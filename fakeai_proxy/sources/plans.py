"""Plans that were made before. A plan is a pure function of the request and the seed, so an equal
request need not be read, checked and planned again: only its answer's id and date are its own.
"""

from __future__ import annotations

from collections import OrderedDict

from fakeai_proxy.services.operation import Plan

#: Tokens, of prompts and answers, of all plans that are kept; about 16 bytes each.
TOKENS_MAX = 131_072


class Plans:
    """The least recently used go first."""

    def __init__(self, tokens_max: int = TOKENS_MAX) -> None:
        self._plans: OrderedDict[bytes, Plan] = OrderedDict()
        self._tokens = 0
        self._tokens_max = tokens_max

    def find(self, key: bytes) -> Plan | None:
        plan = self._plans.get(key)
        if plan is not None:
            self._plans.move_to_end(key)
        return plan

    def keep(self, key: bytes, plan: Plan) -> None:
        """Unless it alone would fill a sixteenth of the room."""
        if plan.tokens > self._tokens_max // 16 or key in self._plans:
            return
        self._plans[key] = plan
        self._tokens += plan.tokens
        while self._tokens > self._tokens_max:
            self._tokens -= self._plans.popitem(last=False)[1].tokens
