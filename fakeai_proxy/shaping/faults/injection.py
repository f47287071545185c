"""The faults of one exchange: a source in front of the real one, and a client behind the real one.

The pipeline serves an exchange with faults as it serves any other, from another source to another
client. Leaving the context ends the line: in good order when all was sent, otherwise as the faults say.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from fakeai_proxy.errors import ApiError, StreamCut
from fakeai_proxy.exchange import FAULT, Chunk, Exchange, Reply, header, is_event_stream
from fakeai_proxy.providers import Told, error_answer, provider_of
from fakeai_proxy.roles import Client, Source
from fakeai_proxy.shaping.faults.frames import CODINGS, Decoded, Frames, Gathered
from fakeai_proxy.shaping.faults.kinds import (
    EVENTS,
    FRAMES,
    STREAM,
    WHOLE,
    AnyFault,
    Case,
    Stage,
    Stop,
    counted_bytes,
    is_json,
)
from fakeai_proxy.shaping.faults.link import Link

if TYPE_CHECKING:
    from fakeai_proxy.shaping.faults.faults import Faults
    from fakeai_proxy.shaping.faults.rule import Look, Rule

MARK = "x-fakeai-fault"


class Injection:
    """Also a Source."""

    def __init__(
        self, faults: Faults, rules: Sequence[Rule], look: Look, exchange: Exchange,
        client: Client, source: Source,
    ) -> None:  # fmt: skip
        self._exchange = exchange
        self._source = source
        self._clock = faults.clock
        #: Whose an error is.
        self._provenance = FAULT
        self._mark = faults.settings.fault_mark
        self.client = Link(client, faults.scheduler, faults.clock)
        self._chosen = [
            (rule, Case(exchange, self.client, faults.scheduler.until,
                        lambda rule=rule: faults.dice.roll(*rule.draw_key(look))))  # type: ignore[misc] # its own rule
            for rule in rules
        ]  # fmt: skip
        exchange.faults = tuple([rule.name for rule in rules])

    async def __aenter__(self) -> Injection:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: object
    ) -> None:
        link = self.client
        try:
            if failure is None or isinstance(failure, StreamCut):
                await link.flush()
            if isinstance(failure, StreamCut):
                link.cut()
        finally:
            link.close()
            if self._exchange.first_byte_at is not None:
                self._exchange.first_byte_at = link.first_byte_at

    async def reply(self, exchange: Exchange) -> Reply:
        """Raises what the source raises, and StreamCut for no answer at all."""
        for rule, case in self._chosen:
            if rule.fault.line is not None:
                rule.fault.line(rule.params, case)
        try:
            reply = await self._answer(exchange)
        except ApiError as error:
            if not any(
                rule.fault.line or rule.fault.stage or rule.fault.head for rule, _ in self._chosen
            ):
                if self._mark:
                    error.headers[MARK] = named(exchange.faults)
                raise
            exchange.end = "error"
            if not exchange.request.body.complete:
                self.client.close_after()
            reply = self._told(error)
        self._spoil(reply)
        if self._mark and exchange.faults:
            value = named(exchange.faults).encode("latin-1", "replace")
            reply.headers = (*reply.headers, (MARK.encode(), value))
        return reply

    async def close(self) -> None:
        await self._source.close()

    def _told(self, error: ApiError) -> Reply:
        """The error as a reply, for faults of what is sent and of the line it is sent on."""
        exchange, clock = self._exchange, self._clock
        spent_ms = int((clock.now() - exchange.arrived_at) * 1000)
        answer = error_answer(
            provider_of(exchange.request), error, Told(exchange.id, spent_ms, int(clock.wall()))
        )
        length = (b"content-length", b"%d" % len(answer.body))
        headers = (*answer.headers, length)
        return Reply(answer.status, headers, [Chunk(answer.body)], provenance=self._provenance)

    async def _answer(self, exchange: Exchange) -> Reply:
        for rule, case in self._chosen:
            if rule.fault.before is not None:
                made = await rule.fault.before(rule.params, case)
                if made is not None:
                    return made
        self._provenance = ""
        return await self._source.reply(exchange)

    def _spoil(self, reply: Reply) -> None:
        coding = _coding(reply)
        left = [(rule, case) for rule, case in self._chosen if _concerns(rule.fault, reply, coding)]
        self._exchange.faults = tuple([rule.name for rule, _ in left])
        staged = sorted(
            [(rule, case) for rule, case in left if rule.fault.stage is not None],
            key=lambda pair: pair[0].fault.rank,
        )
        if staged:
            stages = [*_units([rule.fault for rule, _ in staged], reply, coding)]
            for rule, case in staged:
                assert rule.fault.stage is not None
                stages.append(rule.fault.stage(rule.params, case, reply))
            changes = any(not rule.fault.keeps_length for rule, _ in staged)
            apply(stages, reply, changes or Decoded in map(type, stages))
        for rule, case in left:
            if rule.fault.head is not None:
                rule.fault.head(rule.params, case, reply)


def named(faults: Iterable[str]) -> str:
    """As a header's value, which has no room for line ends."""
    return "".join([char if char.isprintable() else " " for char in ", ".join(faults)])


def _coding(reply: Reply) -> bytes:
    return (header(reply.headers, b"content-encoding") or b"").strip().lower()


def _concerns(fault: AnyFault, reply: Reply, coding: bytes) -> bool:
    """Whether the fault can be seen in such a reply."""
    stream = is_event_stream(reply.headers)
    if fault.on in (STREAM, WHOLE):
        return (fault.on == STREAM) is stream
    if fault.stage is None:
        return True
    needs_text = stream or fault.unit == FRAMES
    if needs_text and coding not in (b"", b"identity", *CODINGS):
        return False
    return stream or fault.unit == EVENTS or is_json(reply.headers)


def _units(faults: Iterable[AnyFault], reply: Reply, coding: bytes) -> Iterable[Stage]:
    """What comes before the faults' own stages, so that they get what they work on."""
    stream = is_event_stream(reply.headers)
    # A body of JSON is one answer: a place in it is a place in all of it.
    gathers = any(fault.unit == FRAMES for fault in faults) or counted_bytes(reply) is None
    if coding in CODINGS and (stream or gathers):
        reply.headers = _without(reply, b"content-encoding")
        yield Decoded(coding)
    if stream:
        yield Frames()
    elif gathers:
        yield Gathered()


def _without(reply: Reply, name: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return tuple([pair for pair in reply.headers if pair[0].lower() != name])


def apply(stages: Sequence[Stage], reply: Reply, changes_length: bool) -> None:
    """Send the reply's chunks through the stages: all at once where they are all there, else as they
    come."""
    chain = Chain(stages)
    chunks = reply.chunks
    declared = header(reply.headers, b"content-length") is not None
    if changes_length and declared:
        reply.headers = _without(reply, b"content-length")
    if not isinstance(chunks, Sequence):
        reply.chunks = _Passing(chunks, chain)
        return
    passed = chain.all(chunks)
    if chain.stopped is not None:
        reply.cut = chain.stopped is Stop.CUT
    reply.chunks = passed
    sizes = [len(chunk.data) for chunk in passed if isinstance(chunk.data, bytes)]
    if changes_length and declared and not reply.cut and len(sizes) == len(passed):
        reply.headers += ((b"content-length", b"%d" % sum(sizes)),)


class Chain:
    """Stages one after the other."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = stages
        self.stopped: Stop | None = None

    def all(self, chunks: Iterable[Chunk]) -> list[Chunk]:
        passed: list[Chunk] = []
        for chunk in chunks:
            passed += self.feed(chunk)
            if self.stopped is not None:
                return passed
        return passed + self.end()

    def feed(self, chunk: Chunk) -> list[Chunk]:
        return self._through(0, [chunk])

    def end(self) -> list[Chunk]:
        """What the stages still hold; nothing once one of them has stopped."""
        return self._ended(0)

    def _ended(self, start: int) -> list[Chunk]:
        passed: list[Chunk] = []
        for k in range(start, len(self._stages)):
            if self.stopped is not None and k > start:
                break
            passed += self._through(k + 1, list(self._stages[k].end()))
        return passed

    def _through(self, start: int, chunks: list[Chunk]) -> list[Chunk]:
        """What comes out of the stages from `start` on. What follows one that stops still sees what
        it has passed and, where the body is to look whole, the end."""
        stopped_by: int | None = None
        for k in range(start, len(self._stages)):
            stage = self._stages[k]
            passed: list[Chunk] = []
            for chunk in chunks:
                passed += stage.feed(chunk)
                if stage.stopped is not None:
                    stopped_by = k if stopped_by is None else min(stopped_by, k)
                    self.stopped = self.stopped or stage.stopped
                    break
            chunks = passed
        if stopped_by is not None and self.stopped is Stop.WHOLE:
            for k in range(stopped_by + 1, len(self._stages)):
                chunks = chunks + self._after(k)
        return chunks

    def _after(self, k: int) -> list[Chunk]:
        held = list(self._stages[k].end())
        for stage in self._stages[k + 1 :]:
            held = [out for chunk in held for out in stage.feed(chunk)]
        return held


class _Passing(AsyncGenerator[Chunk, None]):
    """Chunks that are still arriving, through the chain. A class, because closing one that was never
    started must close the source's too."""

    def __init__(self, chunks: AsyncGenerator[Chunk], chain: Chain) -> None:
        self._chunks = chunks
        self._chain = chain
        self._ready: deque[Chunk] = deque()
        self._failure: StreamCut | None = None
        self._over = False

    async def asend(self, value: None) -> Chunk:
        while not self._ready and not self._over:
            try:
                self._ready.extend(self._chain.feed(await anext(self._chunks)))
            except StopAsyncIteration:
                self._finish()
            except StreamCut as cut:
                self._failure = cut
                self._finish()
            if self._chain.stopped is not None:
                self._over = True
                await self._chunks.aclose()
        if self._ready:
            return self._ready.popleft()
        if self._failure is not None:
            raise self._failure
        if self._chain.stopped is Stop.CUT:
            raise StreamCut("a fault cut the answer")
        raise StopAsyncIteration

    def _finish(self) -> None:
        self._over = True
        self._ready.extend(self._chain.end())

    async def athrow(self, *failure: Any) -> Chunk:
        await self.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self._over = True
        self._ready.clear()
        await self._chunks.aclose()
