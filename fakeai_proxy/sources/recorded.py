"""Answers from a cassette: the player, the recorder, and the miss that explains itself.

A recorded reply is a script of its own bytes in their recorded cuts, each with its age; when they
leave is the pacer's business.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from itertools import accumulate

from fakeai_proxy import errors
from fakeai_proxy.cassette import sse
from fakeai_proxy.cassette.bodies import Blob
from fakeai_proxy.cassette.codings import codings
from fakeai_proxy.cassette.draft import recut
from fakeai_proxy.cassette.format import Interaction, RecordedResponse, is_sse
from fakeai_proxy.cassette.index import Entry
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.matching import (
    CANONICAL_BYTES_MAX,
    Destination,
    authority_hash,
    canonical_key,
    destination,
    large_key,
    raw_hash,
    raw_key,
)
from fakeai_proxy.cassette.view import view_of
from fakeai_proxy.errors import CassetteError, StreamCut
from fakeai_proxy.exchange import HIT, Chunk, Exchange, Reply, Request, Source, Workload
from fakeai_proxy.providers import provider_of
from fakeai_proxy.sources.miss import Miss
from fakeai_proxy.sources.recorder import SESSION_HEADER, Recorder

__all__ = ["Miss", "Player", "Recorder"]

#: Bodies up to this size are read whole at once; larger ones are hashed as they come.
_WHOLE_BYTES = 1 << 20
#: Keys of larger bodies, and records larger than this on disk, are for a thread.
_INLINE_BYTES = 64 << 10
#: Blobs above this are played while they are read.
_SCRIPT_BYTES = 4 << 20
#: A prompt's bytes per token, where the recording does not tell its tokens.
_BYTES_PER_TOKEN = 4


class Player:
    """`upstream` as for the Recorder; without it, a request that names no host is answered by any
    host's recording."""

    def __init__(self, library: Library, on_miss: Source, upstream: str | None = None) -> None:
        self._library = library
        self._on_miss = on_miss
        self._upstream = upstream

    async def reply(self, exchange: Exchange) -> Reply:
        request = exchange.request
        where = destination(request.origin, request.target, self._upstream)
        entry = await self._find(exchange, where)
        if entry is None:
            return await self._on_miss.reply(exchange)
        try:
            if entry.place.length > _INLINE_BYTES:
                recorded = await asyncio.to_thread(self._library.load, entry)
            else:
                recorded = self._library.read(entry)
            return await self._reply(request, entry, recorded)
        except CassetteError as error:
            raise errors.cassette_unreadable(f"The recording of this request: {error}") from None

    async def close(self) -> None:
        await self._on_miss.close()

    async def _find(self, exchange: Exchange, where: Destination) -> Entry | None:
        """The recording to play; sets `dice_key`."""
        request, library = exchange.request, self._library
        raw = await _raw_key(request, where.target)
        key = library.index.canonical(raw)
        if key is None:
            key = await _canonical_key(request, where.target, raw)
            library.index.remember(raw, key)
        exchange.dice_key = key
        session = request.text_header(SESSION_HEADER)
        return library.find_canonical(key, authority_hash(where.authority), session)

    async def _reply(self, request: Request, entry: Entry, recorded: Interaction) -> Reply:
        response = recorded.response
        assert response is not None  # what has none is not matched
        view = recorded.view or view_of(recorded.request, response, provider_of(request).name)
        body = response.body
        if isinstance(body, Blob) and body.size <= _SCRIPT_BYTES:
            body = await asyncio.to_thread(b"".join, self._library.blob(entry, body))
        chunks: Sequence[Chunk] | AsyncGenerator[Chunk]
        if isinstance(body, Blob):
            chunks = _Read(self._library.blob(entry, body), _timed(response, body.size))
        else:
            chunks = _script(response, body, _output_tokens(view))
        return Reply(
            status=response.status,
            headers=response.headers,
            chunks=chunks,
            reason=response.reason,
            workload=_workload(request, view, chunks),
            provenance=HIT,
            head_age_s=response.head_us / 1e6,
            cut=response.end != "eof",
        )


async def _raw_key(request: Request, target: str) -> bytes:
    body = request.body
    if body.in_memory is None and body.length is not None and body.length <= _WHOLE_BYTES:
        await body.read(_WHOLE_BYTES)
    whole = body.in_memory
    if whole is None:
        body.keep()
        hashed = raw_hash(request.method, target, request.headers)
        async for piece in body.chunks():
            hashed.update(piece)
        return hashed.digest()
    if len(whole) > _WHOLE_BYTES:
        return await asyncio.to_thread(raw_key, request.method, target, request.headers, whole)
    return raw_key(request.method, target, request.headers, whole)


async def _canonical_key(request: Request, target: str, raw: bytes) -> bytes:
    body = request.body
    if body.size > CANONICAL_BYTES_MAX:
        return large_key(request.method, target, request.headers, raw)
    whole = await body.read(CANONICAL_BYTES_MAX)
    if len(whole) > _INLINE_BYTES:
        return await asyncio.to_thread(
            canonical_key, request.method, target, request.headers, whole
        )
    return canonical_key(request.method, target, request.headers, whole)


def _timed(response: RecordedResponse, size: int) -> list[tuple[int, float]]:
    """Length and age of each read; where someone has edited the body, of as many reads in
    proportion."""
    cuts, gaps_us = response.cuts, response.gaps_us
    if sum(cuts) != size:
        cuts = recut(cuts, size)
    gaps_us = (*gaps_us, *(0 for _ in range(len(cuts) - len(gaps_us))))
    return [(cut, at_us / 1e6) for cut, at_us in zip(cuts, accumulate(gaps_us), strict=False)]


def _script(response: RecordedResponse, body: bytes, output_tokens: int | None) -> list[Chunk]:
    timed = _timed(response, len(body))
    pieces, position = [], 0
    for cut, _ in timed:
        pieces.append(body[position : position + cut])
        position += cut
    tokens = _tokens(response, pieces, output_tokens)
    return [
        Chunk(piece, count, age_s)
        for piece, count, (_, age_s) in zip(pieces, tokens, timed, strict=True)
    ]


def _tokens(
    response: RecordedResponse, pieces: list[bytes], output_tokens: int | None
) -> list[int]:
    """The output tokens that each piece stands for. A stream's are spread over its frames (over its
    bytes where it is encoded); a whole body's all come before its first byte."""
    if not is_sse(response.headers):
        return [output_tokens or 0, *(0 for _ in pieces[1:])][: len(pieces)]
    weigh: Callable[[bytes], int] = len if codings(response.headers) else sse.data_frames
    seen = list(accumulate(map(weigh, pieces)))
    whole = seen[-1] if seen else 0
    total = whole if output_tokens is None or not whole else output_tokens
    reached = [count * total // whole if whole else 0 for count in seen]
    return [after - before for before, after in zip([0, *reached], reached, strict=False)]


def _output_tokens(view: object) -> int | None:
    return _usage(view, "completion_tokens")


def _usage(view: object, name: str) -> int | None:
    usage = view.get("usage") if hasattr(view, "get") else None
    count = usage.get(name) if isinstance(usage, dict) else None
    return count if isinstance(count, int) and 0 <= count < 1 << 24 else None


def _workload(
    request: Request, view: object, chunks: Sequence[Chunk] | AsyncGenerator[Chunk]
) -> Workload | None:
    """What a GPU would have done for this reply; None for one that no model made. Without the
    tokenizer's ids, the prompt is the request's bytes by fours: like beginnings stay alike."""
    model = view.get("model") if hasattr(view, "get") else None
    output = _usage(view, "completion_tokens")
    if output is None and isinstance(chunks, Sequence):
        output = sum(chunk.tokens for chunk in chunks) or None
    if not isinstance(model, str) or (output is None and _usage(view, "prompt_tokens") is None):
        return None
    body = request.body.in_memory or b""
    count = _usage(view, "prompt_tokens")
    count = len(body) // _BYTES_PER_TOKEN if count is None else count
    prompt = array("I", body[: min(count, len(body) // 4) * 4])
    prompt.extend([0] * (count - len(prompt)))
    return Workload(model, prompt, output or 0)


class _Read(AsyncGenerator[Chunk, None]):
    """The chunks of a body that is read in a thread while it is played."""

    def __init__(self, pieces: Iterator[bytes], timed: list[tuple[int, float]]) -> None:
        self._pieces = pieces
        self._timed = iter(timed)
        self._buffer = bytearray()

    async def asend(self, value: None) -> Chunk:
        """Raises StreamCut where the file is damaged."""
        following = next(self._timed, None)
        if following is None:
            raise StopAsyncIteration
        cut, age_s = following
        buffer = self._buffer
        while len(buffer) < cut:
            try:
                piece = await asyncio.to_thread(next, self._pieces, b"")
            except CassetteError as error:
                raise StreamCut(str(error)) from None
            if not piece:
                raise StreamCut("the recorded body is shorter than its cuts")
            buffer += piece
        data = bytes(buffer[:cut])
        del buffer[:cut]
        return Chunk(data, age_s=age_s)

    async def athrow(self, *failure: object) -> Chunk:
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self._timed = iter(())
