"""Records what any source answers, on its way to the client.

Chunks pass at once; only the last bytes of a reply wait until the recording has been written, so
that whatever a client has seen whole is in the cassette. What a disk does never becomes the
client's failure.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Coroutine, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from fakeai_proxy.cassette import sse
from fakeai_proxy.cassette.draft import Draft, Heard
from fakeai_proxy.cassette.index import number_of
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.matching import destination
from fakeai_proxy.cassette.tape import Tape
from fakeai_proxy.clock import Clock
from fakeai_proxy.errors import ApiError, CassetteError, StreamCut
from fakeai_proxy.exchange import (
    LIVE,
    MISS,
    NEW,
    STALE,
    SYNTH,
    Chunk,
    Exchange,
    Reply,
    end_to_end,
    header,
    is_event_stream,
)
from fakeai_proxy.providers import provider_of
from fakeai_proxy.roles import Source
from fakeai_proxy.sources.overheard import Overheard

log = logging.getLogger("fakeai_proxy")

#: A large reply is stored in steps of this size while it comes.
_ADVANCE_BYTES = 4 << 20
#: What a back end answers when it is not itself, or does not know us: no reason to give up what it has
#: answered before.
_PASSING = frozenset((401, 402, 403, 407, 408, 425, 429, 500, 502, 503, 504, 529))


class Recorder:
    """`upstream` is where requests without a host of their own go; see `matching.destination`."""

    def __init__(
        self, source: Source, library: Library, clock: Clock, upstream: str | None = None
    ) -> None:
        self._source = source
        self._library = library
        self._clock = clock
        self._upstream = upstream

    async def reply(self, exchange: Exchange) -> Reply:
        exchange.request.body.keep()
        recording = _Recording(self._library, self._clock, exchange, self._upstream)
        try:
            reply = await self._source.reply(exchange)
        except ApiError:
            recording.forget("answered by the proxy itself")
            raise
        except (asyncio.CancelledError, ConnectionError):
            recording.finish("client_gone")
            raise
        if reply.dialogue is not None:
            recording.forget("a conversation that is made up as it goes")
            return reply
        recording.hear(reply)
        if reply.passage is not None:
            reply.passage.onlookers.append(recording.overhear(exchange.request.path))
        if exchange.verdict in ("", MISS):
            exchange.verdict, exchange.recording = NEW, recording.number
        chunks = reply.chunks
        if isinstance(chunks, Sequence):
            # What has no age, as what is made up, has its times when it is sent.
            if all(isinstance(chunk.data, bytes) and chunk.age_s is not None for chunk in chunks):
                for chunk in chunks:
                    recording.add(chunk)
                await recording.written("reset" if reply.cut else "eof")
                recording.finish("eof")
                return reply
            chunks = _each(chunks)
        reply.chunks = _Recorded(chunks, recording, reply.provenance == SYNTH)
        return reply

    async def close(self) -> None:
        await self._source.close()


class _Recorded(AsyncGenerator[Chunk, None]):
    """A live reply's chunks. A class, because closing one that was never started must close the
    source's too. What is `made_up` is there before its time: it came when the next one is asked for,
    because it has been sent by then."""

    def __init__(
        self, chunks: AsyncGenerator[Chunk], recording: _Recording, made_up: bool = False
    ) -> None:
        self._chunks = chunks
        self._recording = recording
        self._made_up = made_up

    def __anext__(self) -> Coroutine[Any, Any, Chunk]:
        return self.asend(None)

    async def asend(self, value: None) -> Chunk:
        recording = self._recording
        if self._made_up:
            recording.delay()
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            await recording.written("eof")
            raise
        except StreamCut as cut:
            await recording.written(cut.end)
            raise
        except ApiError:
            await recording.written("upstream_error")
            raise
        except (asyncio.CancelledError, ConnectionError):
            recording.finish("client_gone")
            raise
        chunk = recording.add(chunk)
        if recording.whole:
            await recording.written("eof")
        return chunk

    async def athrow(self, *failure: object) -> Chunk:
        await self.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self._recording.finish("client_gone")
        await self._chunks.aclose()


async def _each(chunks: Sequence[Chunk]) -> AsyncGenerator[Chunk]:
    for chunk in chunks:
        yield chunk


class _Recording:
    """One interaction while it happens."""

    def __init__(
        self, library: Library, clock: Clock, exchange: Exchange, upstream: str | None
    ) -> None:
        request = exchange.request
        where = destination(request.origin, request.target, upstream)
        self._library = library
        self._clock = clock
        self._exchange = exchange
        #: Whether it takes the place of a recording that no longer counts: it has its id, so that
        #: the order of what was recorded stays.
        self._again = exchange.verdict == STALE
        self._draft = Draft(
            id=f"{exchange.recording:016x}" if self._again else secrets.token_hex(8),
            extra={"again": True} if self._again else {},
            at=clock.wall() - (clock.now() - exchange.arrived_at),
            upstream=where.url,
            method=request.recorded_method,
            target=where.target,
            headers=end_to_end(request.headers),
            session=request.session,
            provider=provider_of(request).name,
        )
        self._heard: Heard | None = None
        self._expected: int | None = None
        self._sse = False
        self._last_us = 0
        self._advanced_bytes = 0
        self._saved: Future[bool] | None = None
        self._saved_bytes = 0
        self._finished = False
        self._overheard: Overheard | None = None
        if not self._again:  # the other one counts until this one is whole
            library.begin(self._draft)

    def hear(self, reply: Reply) -> None:
        """The head has come."""
        head_us = self._age_us(reply.head_age_s)
        self._heard = Heard(reply.status, end_to_end(reply.headers), reply.reason, head_us)
        length = header(reply.headers, b"content-length") or b""
        self._expected = int(length) if length.isdigit() else None
        self._sse = (
            is_event_stream(reply.headers) and header(reply.headers, b"content-encoding") is None
        )

    def add(self, chunk: Chunk) -> Chunk:
        """The chunk with its bytes settled."""
        heard = self._heard
        assert heard is not None
        if not isinstance(chunk.data, bytes):
            chunk = chunk._replace(data=chunk.data(self._exchange.admission))
        data = chunk.data
        assert isinstance(data, bytes)
        at_us = max(self._age_us(chunk.age_s), self._last_us)
        heard.body.add(data)
        heard.cuts.append(len(data))
        heard.gaps_us.append(at_us - self._last_us)
        self._last_us = at_us
        if heard.body.size - self._advanced_bytes >= _ADVANCE_BYTES and not self._again:
            self._advanced_bytes = heard.body.size
            ahead = replace(heard, body=heard.body.snapshot(), cuts=[], gaps_us=[])
            self._library.advance(replace(self._draft, body=Tape(), heard=ahead))
        return chunk

    def delay(self) -> None:
        """The last chunk came only now."""
        heard = self._heard
        if heard is not None and heard.gaps_us:
            at_us = max(self._age_us(None), self._last_us)
            heard.gaps_us[-1] += at_us - self._last_us
            self._last_us = at_us

    def overhear(self, name: str) -> Overheard:
        """Hear what is said on the WebSocket that this becomes."""
        assert self._heard is not None
        messages = self._heard.messages = []
        self._overheard = Overheard(
            name, messages, self._clock, self._exchange.arrived_at, self.written
        )
        return self._overheard

    @property
    def number(self) -> int:
        """The id, as the index has it."""
        return number_of(self._draft.id)

    @property
    def whole(self) -> bool:
        """Whether a client may take what it has by now for the whole reply."""
        heard = self._heard
        assert heard is not None
        if self._expected is not None:
            return heard.body.size >= self._expected
        return self._sse and sse.ends(heard.body.tail)

    async def written(self, end: str) -> None:
        """Finish, and wait until the recording is with the operating system."""
        once = end == "eof" and self._overheard is None  # a stream may look whole and go on
        future = self._save(end) if once else self.finish(end)
        if future is not None:
            try:
                kept = await asyncio.wrap_future(future)
            except CassetteError:
                kept = False  # logged where it happened
            if not kept and not self._again:
                self._exchange.verdict = LIVE

    def finish(self, end: str) -> Future[bool] | None:
        """The end of it, unless what came was whole already."""
        if self._finished:
            return None
        self._finished = True
        if self._overheard is not None and self._heard is not None:
            self._heard.withheld = self._overheard.withheld
        if self._saved is not None and self._heard and self._saved_bytes == self._heard.body.size:
            future: Future[bool] | None = self._saved
        else:
            future = self._append(end)
        if self._heard is not None:
            self._heard.body.close()
        return future

    def forget(self, reason: str) -> None:
        self._finished = True
        if not self._again:
            self._library.drop(self._draft.id, reason)

    def _save(self, end: str) -> Future[bool]:
        """Written once for each length at which the reply looked whole; the last one counts."""
        assert self._heard is not None
        if self._saved is None or self._saved_bytes != self._heard.body.size:
            self._saved = self._append(end)
            self._saved_bytes = self._heard.body.size
        return self._saved

    def _append(self, end: str) -> Future[bool]:
        body, heard = self._exchange.request.body, self._heard
        if self._again and (end != "eof" or heard is None or heard.status in _PASSING):
            log.warning("%s is not recorded again: %s", self._draft.id,
                        f"status {heard.status}" if heard and end == "eof" else end)  # fmt: skip
            refused: Future[bool] = Future()
            refused.set_result(False)
            return refused
        kept = body.kept()
        if heard is not None:
            heard = replace(heard, body=heard.body.snapshot(), cuts=list(heard.cuts),
                            gaps_us=list(heard.gaps_us), end=end,
                            messages=None if heard.messages is None else list(heard.messages))  # fmt: skip
        return self._library.append(
            replace(
                self._draft,
                body=Tape(kept) if isinstance(kept, bytes) else Tape.of_file(kept, body.size),
                complete=body.complete,
                heard=heard,
            )
        )

    def _age_us(self, age_s: float | None) -> int:
        if age_s is None:
            age_s = self._clock.now() - self._exchange.arrived_at
        return max(0, round(age_s * 1e6))
