"""Sees every exchange from both ends, as a source in front of the mode's own and as an observer, and
remembers what a test may ask about: bodies too, up to a limit."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

from fakeai_proxy.body import Body
from fakeai_proxy.clock import turn
from fakeai_proxy.embedded.call import Call, shown_headers, shown_target
from fakeai_proxy.embedded.words import keywords
from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import Chunk, Exchange, Origin, Reply, Request, header
from fakeai_proxy.providers import provider_of
from fakeai_proxy.roles import Source
from fakeai_proxy.sources.recorded import EXPLAINED

#: Bodies above this are not kept, and of all calls together not more than that.
BODY_BYTES_MAX = 4 << 20
KEPT_BYTES_MAX = 64 << 20
#: Calls that are remembered at all.
CALLS_MAX = 10_000
#: The source of what was not on the cassette.
MISS = "MISS"
#: Turns of the loop in which an exchange comes to its end once its last byte has gone out.
_LAST_TURNS = 50


class Witness:
    """`vendors` say where a request that names no host goes, by the name of the vendor whose API it
    is; `hint` says how a miss is recorded."""

    def __init__(
        self,
        vendors: Mapping[str, Origin] | None = None,
        hint: str = "",
        calls_max: int = CALLS_MAX,
    ) -> None:
        self._vendors = dict(vendors or {})
        self._calls_max = calls_max
        self._hint = hint
        self._source: Source | None = None
        self._calls: deque[Call] = deque(maxlen=calls_max)
        self._kept: deque[Call] = deque()
        self._kept_bytes = 0
        self._open: dict[str, tuple[Call, _Heard]] = {}
        #: What misses were told, in full.
        self.misses: list[str] = []

    def around(self, source: Source) -> Source:
        self._source = source
        return self

    @property
    def calls(self) -> list[Call]:
        return list(self._calls)

    async def settled(self) -> list[Call]:
        """The calls; whatever has been answered in full is told in full."""
        for _ in range(_LAST_TURNS):
            if not self._open:
                break
            await turn()
        return self.calls

    @property
    def calls_max(self) -> int:
        return self._calls_max

    def reset(self) -> None:
        for kept in (self._calls, self._kept, self.misses):
            kept.clear()
        self._kept_bytes = 0

    # --- a source

    async def reply(self, exchange: Exchange) -> Reply:
        assert self._source is not None, "set by `around`"
        request = exchange.request
        if not request.client:
            return await self._source.reply(exchange)  # a job of the server's own
        vendor = None if request.origin else self._vendors.get(provider_of(request).name)
        if vendor is not None:
            request.origin = vendor
        call, heard = self._begin(request), _Heard()
        self._open[exchange.id] = call, heard
        call.body = await _whole(request.body)
        try:
            reply = await self._source.reply(exchange)
        except ApiError as error:
            call.error = error.message
            if error.code == "cassette_miss":
                call.source = MISS
                self._missed(error)
                call.error = error.message
            raise
        if call.body is None:
            call.body = _sent(request.body)
        call.cassette = (header(reply.headers, EXPLAINED) or b"").decode("latin-1")
        if isinstance(reply.chunks, Sequence):
            heard.script = reply.chunks
        else:
            reply.chunks = heard.tee(reply.chunks)
        return reply

    async def close(self) -> None:
        if self._source is not None:
            await self._source.close()

    # --- an observer

    def finished(self, exchange: Exchange) -> None:
        if not exchange.request.client:
            return
        if exchange.id in self._open:
            call, heard = self._open.pop(exchange.id)
        else:  # refused before it reached a source, or carried past it
            call, heard = self._begin(exchange.request), _Heard()
        call.source = exchange.source or call.source
        if exchange.reply is not None:
            call.answered(exchange.reply.headers, heard.body(exchange))
        call.status = exchange.status
        if exchange.finished_at is not None:
            call.duration_s = exchange.finished_at - exchange.arrived_at
        self._keep(call)

    def _begin(self, request: Request) -> Call:
        path, _, query = shown_target(request.target, request.headers).partition("?")
        call = Call(
            request.method,
            request.origin.authority if request.origin else "",
            path,
            query,
            shown_headers(request.target, request.headers),
            request.body.in_memory,
        )
        self._calls.append(call)
        return call

    def _keep(self, call: Call) -> None:
        self._kept.append(call)
        self._kept_bytes += call.size_bytes
        while self._kept_bytes > KEPT_BYTES_MAX or len(self._kept) > self._calls_max:
            oldest = self._kept.popleft()
            self._kept_bytes -= oldest.size_bytes
            oldest.forget()

    def _missed(self, error: ApiError) -> None:
        if self._hint:
            error.message = f"{error.message.partition(' To record it: ')[0]} {self._hint}"
        found = error.detail.get("nearest")
        nearest = found if isinstance(found, list) else []
        options = {near["option"]: keywords(near["option"]) for near in nearest if near["option"]}
        for option, spelled in options.items():
            error.message = error.message.replace(option, spelled)
        lines = [error.message]
        for near in nearest:
            lines.append(f"  nearest: {near['id']} {near['request']}")
            lines += [f"    differs in {difference}" for difference in near["differences"]]
            if near["option"]:
                lines.append(f"    is found with {options[near['option']]}")
        self.misses.append("\n".join(lines))


class _Heard:
    """An answer on its way."""

    def __init__(self) -> None:
        #: Held here, because a reply lets go of its chunks when they have been played.
        self.script: Sequence[Chunk] = ()
        self._live = bytearray()
        self._is_live = self._is_too_long = False

    def tee(self, chunks: AsyncGenerator[Chunk]) -> AsyncGenerator[Chunk]:
        self._is_live = True
        return _Overheard(chunks, self._take)

    def body(self, exchange: Exchange) -> bytes | None:
        """None for one that is too long."""
        if self._is_live:
            return None if self._is_too_long else bytes(self._live)
        pieces, size = [], 0
        for chunk in self.script:
            data = chunk.data
            piece = data if isinstance(data, bytes) else data(exchange.admission)
            size += len(piece)
            if size > BODY_BYTES_MAX:
                return None
            pieces.append(piece)
        return b"".join(pieces)

    def _take(self, data: bytes) -> None:
        if self._is_too_long or len(self._live) + len(data) > BODY_BYTES_MAX:
            self._is_too_long = True
            self._live.clear()
        else:
            self._live += data


class _Overheard(AsyncGenerator[Chunk, None]):
    """A class, because closing one that was never started must close the source's too."""

    def __init__(self, chunks: AsyncGenerator[Chunk], take: Callable[[bytes], None]) -> None:
        self._chunks = chunks
        self._take = take

    async def asend(self, value: None) -> Chunk:
        chunk = await anext(self._chunks)
        if isinstance(chunk.data, bytes):
            self._take(chunk.data)
        return chunk

    async def athrow(self, *failure: object) -> Chunk:
        await self.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        await self._chunks.aclose()


async def _whole(body: Body) -> bytes | None:
    """What is here or will be soon; None for what is large, or of a size that nobody knows."""
    if body.in_memory is None and body.length is not None and body.length <= BODY_BYTES_MAX:
        await body.read(BODY_BYTES_MAX)
    whole = body.in_memory
    return whole if whole is None or len(whole) <= BODY_BYTES_MAX else None


def _sent(body: Body) -> bytes | None:
    """A body of unknown length, once the source has read it."""
    if body.in_memory is not None or not body.complete or body.size > BODY_BYTES_MAX:
        return body.in_memory if len(body.in_memory or b"") <= BODY_BYTES_MAX else None
    kept = body.kept()
    if isinstance(kept, bytes):
        return kept or None
    try:
        return os.pread(kept, body.size, 0)
    finally:
        os.close(kept)
