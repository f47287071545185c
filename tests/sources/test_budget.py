"""What live calls may cost."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from decimal import Decimal
from functools import partial

import pytest

from fakeai_proxy.body import Body
from fakeai_proxy.config import Config
from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import LIVE, Chunk, Exchange, Reply, Request
from fakeai_proxy.profiles.price import Price
from fakeai_proxy.services.catalogue import Catalogue
from fakeai_proxy.sources.budget import Budget, price_list
from fakeai_proxy.sources.price_list import PriceList
from tests.sources.test_recorded import JSON, SSE, drained

#: A dollar for a thousand tokens in, two for a thousand out.
PRICE = Price(input=Decimal(1000), output=Decimal(2000))
USAGE = b'"usage":{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150}'
CALL_USD = Decimal("0.2")
STREAM = [b'data: {"model":"m","choices":[]}\n\n', b'data: {"choices":[],' + USAGE + b"}\n\n",
          b"data: [DONE]\n\n"]  # fmt: skip


class Live:
    def __init__(self, pieces: list[bytes], status: int = 200, at_once: bool = False) -> None:
        self.pieces, self.status, self.at_once = pieces, status, at_once
        self.asked = 0

    async def reply(self, exchange: Exchange) -> Reply:
        self.asked += 1
        headers = SSE if self.pieces[0].startswith(b"data") else JSON
        chunks = [Chunk(piece) for piece in self.pieces]
        return Reply(
            self.status, headers, chunks if self.at_once else self._each(), provenance=LIVE
        )

    async def _each(self) -> AsyncGenerator[Chunk]:
        for piece in self.pieces:
            yield Chunk(piece)

    async def close(self) -> None: ...


def asking(model: str = "m") -> Exchange:
    body = Body(json.dumps({"model": model}).encode())
    return Exchange("req_1", Request("POST", "/v1/chat/completions", JSON, body), 0.0)


def budget(live: Live, limit: str) -> Budget:
    return Budget(live, Decimal(limit), lambda model: PRICE)


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("pieces", [STREAM, [b'{"model":"m",' + USAGE + b"}"]])
async def test_calls_are_refused_once_the_limit_is_spent(
    pieces: list[bytes], at_once: bool
) -> None:
    live = Live(pieces, at_once=at_once)
    guarded = budget(live, "0.3")
    for number in (1, 2):
        assert b"".join(await drained(await guarded.reply(asking()))) == b"".join(pieces)
        await guarded.counted()
        assert guarded.spent_usd == CALL_USD * number
    with pytest.raises(ApiError) as caught:
        await guarded.reply(asking())
    assert (caught.value.status, live.asked) == (402, 2)
    assert "$0.4000 of the $0.3" in caught.value.message
    assert caught.value.headers == {"x-should-retry": "false"}


async def test_a_stream_that_tells_no_usage_is_counted_by_its_frames() -> None:
    words = [
        b'data: {"model":"m","choices":[{"delta":{"content":"%d"}}]}\n\n' % k for k in range(9)
    ]
    guarded = budget(Live([*words, b"data: [DONE]\n\n"]), "9")
    await drained(await guarded.reply(asking()))
    await guarded.counted()
    prompt = len(b'{"model": "m"}') // 4
    assert guarded.spent_usd == Decimal(prompt) / 1000 + Decimal(9) * 2 / 1000
    guarded = budget(Live([b"data: {}\n\n"]), "9")
    await drained(await guarded.reply(asking("")))
    await guarded.counted()
    assert guarded.spent_usd == 0


async def test_a_limit_of_nothing_lets_nothing_through() -> None:
    live = Live(STREAM)
    with pytest.raises(ApiError):
        await budget(live, "0").reply(asking())
    assert live.asked == 0


async def test_errors_cost_nothing_and_a_client_that_leaves_pays_for_what_was_told() -> None:
    failing = budget(Live([b"{" + USAGE + b"}"], status=500), "1")
    await drained(await failing.reply(asking()))
    await failing.counted()
    assert failing.spent_usd == 0
    left = budget(Live(STREAM), "1")
    chunks = (await left.reply(asking())).chunks
    assert isinstance(chunks, AsyncGenerator)
    await anext(chunks)
    await anext(chunks)
    await chunks.aclose()
    await left.counted()
    assert left.spent_usd == CALL_USD


def test_a_model_that_nobody_knows_counts_like_the_dearest() -> None:
    price_of = price_list(partial(Catalogue.shipped, Config()))
    assert price_of("gpt-4o-mini").output < price_of("no-such-model").output
    assert price_of("no-such-model").output >= price_of("gpt-4o").output


def test_bills_and_limits_read_the_registry_once() -> None:
    read: list[Catalogue] = []

    def registry() -> Catalogue:
        read.append(Catalogue.shipped(Config()))
        return read[-1]

    prices = PriceList(registry)
    price_of = price_list(prices.catalogue)
    assert not read
    exact = prices.exact("completions", "gpt-4o", {}, {"input_tokens": 1_000_000})
    assert exact == price_of("gpt-4o").input
    assert len(read) == 1
