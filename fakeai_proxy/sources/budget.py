"""What live calls cost, and what may be spent: an upstream that is not asked once that much is spent.

What a call costs is known when it is over: from the usage that its answer tells and the price list. So a
limit of nothing refuses every call, and any other is overspent by the calls under way at most.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

from fakeai_proxy.body import Body
from fakeai_proxy.cassette import sse
from fakeai_proxy.cassette.format import RecordedRequest, RecordedResponse
from fakeai_proxy.cassette.rfc6455 import FramingError, Reader
from fakeai_proxy.cassette.turns import Turn, Turns
from fakeai_proxy.cassette.verdict import Tally
from fakeai_proxy.cassette.view import plain_body, view_of
from fakeai_proxy.errors import budget_spent
from fakeai_proxy.exchange import Chunk, Exchange, Headers, Reply, is_event_stream
from fakeai_proxy.profiles.price import Price, Usage, bill
from fakeai_proxy.roles import Source
from fakeai_proxy.services.catalogue import Catalogue

log = logging.getLogger("fakeai_proxy")

#: Usage is told at the end of a stream, or somewhere in a body of this size.
_KEPT_BYTES = 1 << 20
#: Where nobody has counted a prompt's tokens. Source: English text in OpenAI's tokenizers.
_BYTES_PER_TOKEN = 4


def price_list(catalogue: Callable[[], Catalogue]) -> Callable[[str], Price]:
    """The prices of `catalogue`, which is read when the first is asked for. A model that it does not
    know, or has no price of, counts like the dearest."""
    catalogue = cache(catalogue)

    @cache
    def dearest() -> Price:
        return max(
            (card.price for card in catalogue() if card.price), key=lambda price: price.output
        )

    def price_of(model: str) -> Price:
        card = catalogue().priced(model)
        return card.price if card is not None and card.price else dearest()

    return price_of


def cost_usd(tally: Tally, price_of: Callable[[str], Price]) -> Decimal:
    """What its replayed answers would have cost."""
    cost = Decimal(0)
    for (model, prompt, output), times in tally.usages.items():
        cost += bill(price_of(model), Usage(input_tokens=prompt, output_tokens=output)) * times
    for turn, times in tally.turns.items():
        cost += _bill(price_of, turn) * times
    for model, (prompt, output) in tally.beyond.items():
        # Of many together none is as long as their sum.
        usual = price_of(model).model_copy(update={"long": None})
        cost += bill(usual, Usage(input_tokens=prompt, output_tokens=output))
    return cost


class Budget:
    """`price_of` gives a model's price, and of one that it does not know the dearest. Without a limit it
    only counts."""

    def __init__(
        self, source: Source, limit_usd: Decimal | None, price_of: Callable[[str], Price]
    ) -> None:
        self._source = source
        self._limit = limit_usd
        self._price_of = price_of
        self.spent_usd = Decimal(0)
        self.calls = 0
        self._charging: set[asyncio.Future[None]] = set()

    async def reply(self, exchange: Exchange) -> Reply:
        """Raises 402 where nothing is left."""
        if self._limit is not None:
            await self.counted()
        if self._limit is not None and self.spent_usd >= self._limit:
            raise budget_spent(str(self._limit), f"{self.spent_usd:.4f}", self.calls)
        request = exchange.request
        request.body.keep()
        reply = await self._source.reply(exchange)
        self.calls += 1
        if reply.passage is not None:
            reply.passage.onlookers.append(_Listener(self, request.target))
        elif isinstance(reply.chunks, Sequence):
            body = b"".join(chunk.data for chunk in reply.chunks if isinstance(chunk.data, bytes))
            self.charge(exchange, reply.status, reply.headers, body)
        else:
            reply.chunks = _Watched(self, exchange, reply, reply.chunks)
        return reply

    async def counted(self) -> None:
        """What is over by now is in `spent_usd`."""
        await asyncio.gather(*self._charging)

    async def close(self) -> None:
        await self.counted()
        if self.calls:
            log.info("%d live calls cost about $%.4f", self.calls, self.spent_usd)
        await self._source.close()

    def charge(self, exchange: Exchange, status: int, headers: Headers, body: bytes) -> None:
        """Nobody waits for it: the end of a reply is not the place."""
        if status >= 400:
            return
        request = exchange.request
        asked = RecordedRequest(request.method, request.target, (), _asked(request.body))
        response = RecordedResponse(status, headers, body)
        self._charge(lambda: self._cost(asked, response))

    def charge_turn(self, turn: Turn) -> None:
        """The same of an answer on a WebSocket."""
        self._charge(lambda: _bill(self._price_of, turn))

    def _charge(self, cost: Callable[[], Decimal]) -> None:
        async def charge() -> None:
            usd = await asyncio.to_thread(cost)
            self.spent_usd += usd

        charging = asyncio.ensure_future(charge())
        self._charging.add(charging)
        charging.add_done_callback(self._charging.discard)

    def _cost(self, request: RecordedRequest, response: RecordedResponse) -> Decimal:
        view = view_of(request, response, "")
        usage = view.get("usage")
        if not usage and not view.get("model"):
            return Decimal(0)
        if not usage:
            usage = _counted(request, response)
        used = Usage(
            input_tokens=usage.get("prompt_tokens", 0),
            output_tokens=usage.get("completion_tokens", 0),
        )
        return bill(self._price_of(str(view.get("model", ""))), used)


def _counted(request: RecordedRequest, response: RecordedResponse) -> dict[str, int]:
    """Of a stream that does not tell: its frames, of which each is about a token, and the request's bytes.
    Nothing else that tells nothing costs anything."""
    body, asked = response.body, request.body
    if (
        not is_event_stream(response.headers)
        or not isinstance(body, bytes)
        or not isinstance(asked, bytes)
    ):
        return {}
    frames = sse.data_frames(plain_body(response))
    return {"prompt_tokens": len(asked) // _BYTES_PER_TOKEN, "completion_tokens": frames}


def _bill(price_of: Callable[[str], Price], turn: Turn) -> Decimal:
    amounts: dict[str, Any] = dict(turn.amounts)
    return bill(price_of(turn.model), Usage(**amounts))


class _Listener:
    """Hears what a server tells of its answers on a WebSocket that is passed through."""

    def __init__(self, budget: Budget, target: str) -> None:
        self._budget = budget
        self._turns = Turns(target)
        self._reader: Reader | None = Reader()

    def saw(self, from_client: bool, data: bytes) -> None:
        if from_client or self._reader is None:
            return
        try:
            found = self._reader.feed(data)
        except FramingError:
            self._reader = None
            return
        for op, said, _ in found:
            turn = self._turns.heard(said) if op == "text" else None
            if turn is not None:
                self._budget.charge_turn(turn)

    async def ended(self, by_client: bool) -> None: ...


class _Watched(AsyncGenerator[Chunk, None]):
    """The chunks of a live reply; its end is looked at."""

    def __init__(
        self, budget: Budget, exchange: Exchange, reply: Reply, chunks: AsyncGenerator[Chunk]
    ) -> None:
        self._budget = budget
        self._exchange = exchange
        # Not the reply itself, which has these chunks: only the collector would free the two.
        self._status, self._headers = reply.status, reply.headers
        self._chunks = chunks
        self._kept = bytearray()
        self._charged = False

    def __anext__(self) -> Coroutine[Any, Any, Chunk]:
        return self.asend(None)

    async def asend(self, value: None) -> Chunk:
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            self._end()
            raise
        if isinstance(chunk.data, bytes):
            self._kept += chunk.data
            del self._kept[: max(0, len(self._kept) - _KEPT_BYTES)]
        return chunk

    def _end(self) -> None:
        if not self._charged:
            self._charged = True
            self._budget.charge(self._exchange, self._status, self._headers, bytes(self._kept))

    async def athrow(self, *failure: object) -> Chunk:
        await self.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        await self._chunks.aclose()
        self._end()


def _asked(body: Body) -> bytes:
    """What is in memory; a longer one has its model in the answer."""
    kept = body.kept()
    if isinstance(kept, bytes):
        return kept
    os.close(kept)
    return b""
