"""A request asked live once more, for comparing: its answer is listened to, and goes to nobody."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from fakeai_proxy.body import Body
from fakeai_proxy.cassette.against import COMPARED_BYTES_MAX
from fakeai_proxy.cassette.draft import Draft, Heard
from fakeai_proxy.cassette.matching import destination
from fakeai_proxy.cassette.tape import Tape
from fakeai_proxy.clock import Clock
from fakeai_proxy.errors import FakeAIError, StreamCut
from fakeai_proxy.exchange import Chunk, Exchange, Reply, Request, end_to_end
from fakeai_proxy.providers import provider_of
from fakeai_proxy.roles import Source


class TooLongError(FakeAIError):
    """An answer of a size that is not compared."""


async def asked_again(
    source: Source, request: Request, body: bytes, clock: Clock, base: str | None
) -> Draft:
    """The call with its answer, as it came. Raises ApiError and TooLongError."""
    now = clock.now()
    exchange = Exchange(f"again-{secrets.token_hex(8)}", replace(request, body=Body(body)), now)
    reply = await source.reply(exchange)
    where = destination(request.origin, request.target, base)
    draft = Draft(
        id=secrets.token_hex(8),
        at=clock.wall(),
        upstream=where.url,
        method=request.method,
        target=where.target,
        headers=end_to_end(request.headers),
        provider=provider_of(request).name,
        body=Tape(body),
    )
    draft.heard = await _heard(reply, now, clock)
    return draft


async def _heard(reply: Reply, started_at: float, clock: Clock) -> Heard:
    head_us = round((clock.now() - started_at) * 1e6)
    heard = Heard(reply.status, end_to_end(reply.headers), reply.reason, head_us)
    chunks = reply.chunks
    last_us = 0
    async with aclosing(_each(chunks) if isinstance(chunks, Sequence) else chunks) as arriving:
        try:
            async for chunk in arriving:
                assert isinstance(chunk.data, bytes), "what comes from an upstream is bytes"
                if heard.body.size + len(chunk.data) > COMPARED_BYTES_MAX:
                    raise TooLongError(f"the answer is longer than {COMPARED_BYTES_MAX >> 20} MB")
                at_us = max(last_us, round((clock.now() - started_at) * 1e6))
                heard.body.add(chunk.data)
                heard.cuts.append(len(chunk.data))
                heard.gaps_us.append(at_us - last_us)
                last_us = at_us
        except StreamCut as cut:
            heard.end = cut.end
    return heard


async def _each(chunks: Sequence[Chunk]) -> AsyncGenerator[Chunk]:
    for chunk in chunks:
        yield chunk
