"""A source in front of another that leaves with each exchange what is to be played for it, for whoever
wants to look at bodies afterwards."""

from __future__ import annotations

from collections.abc import Sequence

from fakeai_proxy.body import HEARD_BYTES_MAX
from fakeai_proxy.exchange import Exchange, Reply
from fakeai_proxy.roles import Source


class Listening:
    def __init__(self, source: Source) -> None:
        self._source = source

    async def reply(self, exchange: Exchange) -> Reply:
        body = exchange.request.body
        if body.in_memory is None and body.length is not None and body.length <= HEARD_BYTES_MAX:
            await body.read(HEARD_BYTES_MAX)
        reply = await self._source.reply(exchange)
        if isinstance(reply.chunks, Sequence):
            exchange.script = reply.chunks
        return reply

    async def close(self) -> None:
        await self._source.close()
