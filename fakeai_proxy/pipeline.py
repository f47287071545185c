"""The life of an exchange, as one flat function: the file to read first.

limits -> faults -> source -> pacing -> send -> observers. What an exchange holds (its entries in the
limits, an upstream request, an engine slot, a place in the scheduler) is held by context managers in
this one frame, so a client that goes away, which cancels the frame, gives everything back at once.
Faults are a source in front of the source and a client behind the client; an exchange without any
never meets them.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing

from fakeai_proxy.clock import Clock
from fakeai_proxy.errors import ApiError, StreamCut
from fakeai_proxy.exchange import HIT, Chunk, Exchange, Reply, header
from fakeai_proxy.providers import status_of
from fakeai_proxy.roles import Client, Observer, Source
from fakeai_proxy.shaping.faults.faults import Faults
from fakeai_proxy.shaping.limits import Free, Limiter, LimitSettings, Permit
from fakeai_proxy.shaping.pacing import Pacer, Pacing


class Traffic:
    """What is under way: replies that go out in pieces."""

    __slots__ = ("streams",)

    def __init__(self) -> None:
        self.streams = 0


class Pipeline:
    def __init__(
        self,
        source: Source,
        pacer: Pacer,
        clock: Clock,
        observers: Sequence[Observer] = (),
        faults: Faults | None = None,
        limiter: Limiter | None = None,
        meter: Callable[[Exchange], None] | None = None,
        identify: Callable[[Exchange], Awaitable[None] | None] | None = None,
        traffic: Traffic | None = None,
    ) -> None:
        """Without `faults` nothing goes wrong on purpose; without a `limiter` everybody may ask;
        without a `meter` nobody pays. `identify` says whose an exchange is, as far as its key tells."""
        self.faults = faults
        self.meter = meter
        self.identify = identify
        self.limiter = limiter or Limiter(LimitSettings(), clock)
        self.source = source
        self.pacer = pacer
        self.clock = clock
        self.observers = observers
        self.traffic = traffic or Traffic()
        #: When a model was last given work that somebody waits for.
        self.live_at = -math.inf

    def within(self, source: Source) -> Pipeline:
        """For what is said within one exchange: the same limits, timing and observers, but what was
        done to that exchange on purpose is not done again."""
        return Pipeline(
            source,
            self.pacer,
            self.clock,
            self.observers,
            limiter=self.limiter,
            meter=self.meter,
            traffic=self.traffic,
        )

    def around(self, source: Source) -> Pipeline:
        """For what a job asks of another source: with the faults, too."""
        made = self.within(source)
        made.faults = self.faults
        return made

    async def serve(self, exchange: Exchange, client: Client) -> None:
        """Carry `exchange` from request to last byte.

        Raises ApiError; if `exchange.first_byte_at` is set by then, the head of the reply has gone
        out, and all that is left is to cut the connection.
        """
        if self.faults is not None:
            exchange.phase = self.faults.phase
        try:
            if self.identify is not None and not exchange.project:
                asking = self.identify(exchange)
                if asking is not None:
                    await asking
            async with self.limiter.admit(exchange) as permit:
                injection = None
                if self.faults is not None and self.faults.concern(exchange.request):
                    injection = await self.faults.choose(exchange, client, self.source)
                if injection is None:
                    await self._answer(exchange, client, self.source, permit)
                else:
                    async with injection:
                        await self._answer(exchange, injection.client, injection, permit)
            exchange.end = exchange.end or "ok"
        except StreamCut:
            exchange.end = "cut"
            client.cut()
        except (ConnectionError, asyncio.CancelledError):
            exchange.end = "client_gone"
            raise
        except ApiError as error:
            exchange.end, exchange.status = "error", status_of(exchange.request, error)
            exchange.error = error.name
            raise
        finally:
            exchange.finished_at = self.clock.now()
            exchange.request.body.close()
            for observer in self.observers:
                observer.finished(exchange)

    async def _answer(
        self, exchange: Exchange, client: Client, source: Source, permit: Permit | Free
    ) -> None:
        reply = await source.reply(exchange)
        exchange.reply, exchange.status = reply, reply.status
        if reply.workload is not None and not exchange.tier:
            self.live_at = self.clock.now()
        exchange.meter = self.meter
        permit.stamp(reply)
        if reply.dialogue is not None or reply.passage is not None:
            await client.converse(exchange, reply)
            return
        script = reply.script
        streams = script is None or len(script) > 1
        self.traffic.streams += streams
        try:
            async with self.pacer.admit(exchange, reply) as pacing:
                if script is not None:
                    await pacing.play(script, client)
                else:
                    await self._relay(exchange, reply, pacing, client)
        finally:
            self.traffic.streams -= streams
        if reply.cut:
            raise StreamCut("the body stops short of its end")

    async def _relay(
        self, exchange: Exchange, reply: Reply, pacing: Pacing, client: Client
    ) -> None:
        """A live reply: every chunk goes on as it comes, or when the pacing lets it. The head goes
        out first, as the upstream's did."""
        sink = client.sink
        async with aclosing(reply.live) as chunks:
            if reply.keep is not None:
                await reply.keep(exchange.admission)
            if reply.provenance == HIT and self.pacer.settings.timing == "recorded":
                await pacing.due(Chunk(b"", age_s=reply.head_age_s))
            ends_with_head = _has_no_body(exchange, reply)
            if not ends_with_head:
                self._begin(exchange, reply, client)
            async for chunk in chunks:
                await pacing.due(chunk)
                data = (
                    chunk.data if isinstance(chunk.data, bytes) else chunk.data(exchange.admission)
                )
                if sink.is_closing():
                    raise ConnectionResetError("the client has gone")
                sink.write(client.frame(data))
                exchange.instants.append(self.clock.now())
                exchange.sent_bytes += len(data)
                await client.drain()
            exchange.settle()
            if ends_with_head:
                # Whoever has it has all of it, so it waits for whatever the end of a body waits for.
                self._begin(exchange, reply, client)
            sink.write(client.tail())

    def _begin(self, exchange: Exchange, reply: Reply, client: Client) -> None:
        client.sink.write(client.head(reply))
        exchange.first_byte_at = self.clock.now()


def _has_no_body(exchange: Exchange, reply: Reply) -> bool:
    return (
        reply.status in (204, 304)
        or exchange.request.method == "HEAD"
        or header(reply.headers, b"content-length") == b"0"
    )
