"""What may be spent on live calls: an upstream that is not asked once that much is spent.

What a call costs is known when it is over: from the usage that its answer tells and the price list. So a
limit of nothing refuses every call, and any other is overspent by the calls under way at most.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from decimal import Decimal
from functools import cache

from fakeai_proxy.cassette.format import RecordedRequest, RecordedResponse
from fakeai_proxy.cassette.view import view_of
from fakeai_proxy.errors import budget_spent
from fakeai_proxy.exchange import Chunk, Exchange, Headers, Reply
from fakeai_proxy.profiles.price import Price, Usage, bill
from fakeai_proxy.roles import Source
from fakeai_proxy.services.catalogue import Catalogue, CatalogueSettings

log = logging.getLogger("fakeai_proxy")

#: Usage is told at the end of a stream, or somewhere in a body of this size.
_KEPT_BYTES = 1 << 20


def price_list(settings: CatalogueSettings) -> Callable[[str], Price]:
    """The registry's prices, read when the first is asked for. A model that it does not know, or has no
    price of, counts like the dearest."""

    @cache
    def catalogue() -> Catalogue:
        return Catalogue.shipped(settings)

    @cache
    def dearest() -> Price:
        return max(
            (card.price for card in catalogue() if card.price), key=lambda price: price.output
        )

    def price_of(model: str) -> Price:
        card = catalogue().priced(model)
        return card.price if card is not None and card.price else dearest()

    return price_of


class Budget:
    """`price_of` gives a model's price, and of one that it does not know the dearest."""

    def __init__(
        self, source: Source, limit_usd: Decimal, price_of: Callable[[str], Price]
    ) -> None:
        self._source = source
        self._limit = limit_usd
        self._price_of = price_of
        self.spent_usd = Decimal(0)
        self.calls = 0

    async def reply(self, exchange: Exchange) -> Reply:
        """Raises 402 where nothing is left."""
        if self.spent_usd >= self._limit:
            raise budget_spent(str(self._limit), f"{self.spent_usd:.4f}", self.calls)
        request = exchange.request
        request.body.keep()
        reply = await self._source.reply(exchange)
        self.calls += 1
        if isinstance(reply.chunks, Sequence):
            body = b"".join(chunk.data for chunk in reply.chunks if isinstance(chunk.data, bytes))
            await self.charge(exchange, reply, body)
        else:
            reply.chunks = _Watched(self, exchange, reply, reply.chunks)
        return reply

    async def close(self) -> None:
        if self.calls:
            log.info("%d live calls cost about $%.4f", self.calls, self.spent_usd)
        await self._source.close()

    async def charge(self, exchange: Exchange, reply: Reply, body: bytes) -> None:
        asked = b""
        if exchange.request.body.size <= _KEPT_BYTES:
            asked = await exchange.request.body.read(_KEPT_BYTES)
        headers: Headers = reply.headers
        view = await asyncio.to_thread(
            view_of,
            RecordedRequest(exchange.request.method, exchange.request.target, (), asked),
            RecordedResponse(reply.status, headers, body),
            "",
        )
        usage = view.get("usage")
        if reply.status < 400 and usage:
            used = Usage(
                input_tokens=usage.get("prompt_tokens", 0),
                output_tokens=usage.get("completion_tokens", 0),
            )
            self.spent_usd += bill(self._price_of(str(view.get("model", ""))), used)


class _Watched(AsyncGenerator[Chunk, None]):
    """The chunks of a live reply; its end is looked at."""

    def __init__(
        self, budget: Budget, exchange: Exchange, reply: Reply, chunks: AsyncGenerator[Chunk]
    ) -> None:
        self._budget = budget
        self._exchange, self._reply = exchange, reply
        self._chunks = chunks
        self._kept = bytearray()
        self._charged = False

    async def asend(self, value: None) -> Chunk:
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            await self._end()
            raise
        if isinstance(chunk.data, bytes):
            self._kept += chunk.data
            del self._kept[: max(0, len(self._kept) - _KEPT_BYTES)]
        return chunk

    async def _end(self) -> None:
        if not self._charged:
            self._charged = True
            await self._budget.charge(self._exchange, self._reply, bytes(self._kept))

    async def athrow(self, *failure: object) -> Chunk:
        await self.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        await self._chunks.aclose()
        await self._end()
