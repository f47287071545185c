"""Counts of finished exchanges, for the health page."""

from __future__ import annotations

import secrets
from collections import Counter

from fakeai_proxy.clock import Clock
from fakeai_proxy.exchange import Exchange


class Status:
    """An observer that counts."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: Tells this process from every other one.
        self.instance = secrets.token_hex(8)
        self.by_end: Counter[str] = Counter()
        self.by_provenance: Counter[str] = Counter()

    def finished(self, exchange: Exchange) -> None:
        self.by_end[exchange.end] += 1
        if exchange.reply is not None:
            self.by_provenance[exchange.reply.provenance] += 1

    def reset(self) -> None:
        self.by_end.clear()
        self.by_provenance.clear()

    def page(self) -> dict[str, object]:
        return {
            "status": "ok",
            "service": "fakeai-proxy",
            "instance": self.instance,
            "uptime_s": round(self._clock.now(), 3),
            "exchanges": dict(self.by_end),
            "provenance": dict(self.by_provenance),
        }
