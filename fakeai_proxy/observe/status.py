"""Counts of finished exchanges, for the health page."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from fakeai_proxy.clock import Clock
from fakeai_proxy.exchange import Exchange
from fakeai_proxy.observe.gathering import Counting
from fakeai_proxy.shared.commons import Commons


class Status(Counting):
    """An observer that counts."""

    def __init__(self, clock: Clock, commons: Commons | None = None) -> None:
        self._clock = clock
        self._commons = commons = commons or Commons()
        commons.offer("status", self._counted)
        #: Tells this service from every other one.
        self.instance = commons.instance
        self.by_end: Counter[str] = Counter()
        self.by_provenance: Counter[str] = Counter()

    def alike(self, exchanges: Sequence[Exchange]) -> None:
        first = exchanges[0]
        self.by_end[first.end] += len(exchanges)
        if first.source:
            self.by_provenance[first.source] += len(exchanges)

    def reset(self) -> None:
        self.catch_up()
        self.by_end.clear()
        self.by_provenance.clear()

    async def page(self) -> dict[str, object]:
        """Of all processes."""
        by_end: Counter[str] = Counter()
        by_provenance: Counter[str] = Counter()
        counted = await self._commons.gather("status")
        for ends, provenances in counted:
            by_end += ends
            by_provenance += provenances
        return {
            "status": "ok",
            "service": "fakeai-proxy",
            "instance": self.instance,
            "workers": len(counted),
            "uptime_s": round(self._clock.now(), 3),
            "tasks": len(asyncio.all_tasks()),
            "exchanges": dict(by_end),
            "provenance": dict(by_provenance),
        }

    def _counted(self) -> tuple[Counter[str], Counter[str]]:
        self.catch_up()
        return Counter(self.by_end), Counter(self.by_provenance)
