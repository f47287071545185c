"""What a request that was never recorded is told, where nothing else answers it."""

from __future__ import annotations

import asyncio

from fakeai_proxy.cassette.leniency import Leniency
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.clock import Clock, SystemClock
from fakeai_proxy.errors import cassette_miss
from fakeai_proxy.exchange import Exchange, Reply
from fakeai_proxy.sources.explaining import Explainer


class Miss:
    """A Source that has no answers; its parameters are the Explainer's."""

    def __init__(
        self,
        library: Library,
        upstream: str | None = None,
        clock: Clock | None = None,
        leniency: Leniency | None = None,
        by_credential: bool = False,
    ) -> None:
        self._explainer = Explainer(
            library, upstream, clock or SystemClock(), leniency, by_credential
        )
        self._library = library

    async def reply(self, exchange: Exchange) -> Reply:
        """Raises 404 `cassette_miss`, always."""
        question = self._explainer.question(exchange)
        told = await asyncio.to_thread(self._explainer.explained, question)
        self._library.tried.explain(exchange.id, told)
        raise cassette_miss(told.message, told.nearest)

    async def close(self) -> None:
        pass
