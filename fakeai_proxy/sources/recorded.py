"""Answers from a cassette: the player, the recorder, and the miss that explains itself.

A recorded reply is a script of its own bytes in their recorded cuts, each with its age; when they
leave is the pacer's business.
"""

from __future__ import annotations

import asyncio
import logging
from array import array
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from typing import overload

from fakeai_proxy import errors
from fakeai_proxy.cassette.bodies import Blob
from fakeai_proxy.cassette.conversation import Conversation, Recorded
from fakeai_proxy.cassette.index import Entry
from fakeai_proxy.cassette.leniency import Leniency
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.likeness import Likeness
from fakeai_proxy.cassette.matching import (
    CANONICAL_BYTES_MAX,
    authority_hash,
    canonical_key,
    destination,
    large_key,
    raw_hash,
    raw_key,
)
from fakeai_proxy.cassette.near import Near
from fakeai_proxy.cassette.redaction import credentials, echoes_of
from fakeai_proxy.cassette.script import Script, by_frames, chunks_of
from fakeai_proxy.errors import CassetteError, FakeAIError, StreamCut
from fakeai_proxy.exchange import (
    HIT,
    MISS,
    STALE,
    SWITCHED,
    Chunk,
    Exchange,
    Headers,
    Reply,
    Request,
    Workload,
    header,
)
from fakeai_proxy.headers import Written
from fakeai_proxy.roles import Source
from fakeai_proxy.sources.gate import Gate
from fakeai_proxy.sources.miss import Miss
from fakeai_proxy.sources.recorder import Recorder

__all__ = ["Miss", "Player", "Recorder"]

log = logging.getLogger("fakeai_proxy")

#: The header of a replayed reply that says which recording it is, and how it was found.
EXPLAINED = b"x-fakeai-cassette"
_SUBPROTOCOL = b"sec-websocket-protocol"
#: What each handshake makes for itself.
_HANDSHAKES_OWN = frozenset(
    (_SUBPROTOCOL, b"sec-websocket-accept", b"sec-websocket-extensions", b"content-length")
)
#: Bodies up to this size are read whole at once; larger ones are hashed as they come.
_WHOLE_BYTES = 1 << 20
#: Keys of larger bodies, and records larger than this on disk, are for a thread.
_INLINE_BYTES = 64 << 10
#: The same of a group on disk, which is some 25 times smaller than its lines.
_INLINE_GROUP_BYTES = 8 << 10
#: Blobs above this are played while they are read.
_SCRIPT_BYTES = 4 << 20
#: A prompt's bytes per token, where the recording does not tell its tokens.
_BYTES_PER_TOKEN = 4


class Player:
    """`upstream` as for the Recorder; without it, a request that names no host is answered by any
    host's recording."""

    def __init__(
        self,
        library: Library,
        on_miss: Source,
        upstream: str | None = None,
        leniency: Leniency | None = None,
        counting: Callable[[bytes], Awaitable[int]] | None = None,
        explains: bool = True,
        pace: float = 1.0,
        reframes: bool = False,
        gate: Gate | None = None,
        by_credential: bool = False,
    ) -> None:
        """`counting` tells how often a key was asked for before, where several processes answer;
        `pace` is how many times faster than recorded a WebSocket is played, inf for at once.
        `reframes`: streams leave frame by frame, not as they were read."""
        self._pace = pace
        self._leniency = leniency or Leniency()
        self._reframes = reframes
        self._counting = counting
        self._explains = explains
        self._by_credential = by_credential
        self._gate = None if gate is None or gate.is_open else gate
        self._library = library
        self._on_miss = on_miss
        self._upstream = upstream
        self._near: Near | None = None
        self._match = leniency.match if leniency is not None else "exact"
        if leniency is not None and not leniency.is_exact:
            self._near = Near(library, leniency)

    async def reply(self, exchange: Exchange) -> Reply:
        request, library = exchange.request, self._library
        where = destination(request.origin, request.target, self._upstream)
        authority = authority_hash(where.authority)
        body = request.body.in_memory
        if body is not None and len(body) <= _WHOLE_BYTES:
            raw = raw_key(request.recorded_method, where.target, request.headers, body)
        else:
            raw = await _raw_key(request, where.target)
        key = library.index.canonical(raw)
        if key is None:
            key = await _canonical_key(request, where.target, raw)
            library.index.remember(raw, key)
        exchange.dice_key = key
        matched = "exact"
        if self._counting is None and not self._by_credential:
            entry = library.find_canonical(key, authority, request.session)
        else:
            entry = await self._found(request, where.target, key, authority)
        if entry is None and self._near is not None:
            matched = self._match
            entry = await self._lenient(self._near, request, where.target, authority)
        exchange.verdict = MISS
        if entry is None:
            return await self._missed(exchange)
        exchange.recording = entry.label.id
        try:
            script = library.at_hand(entry) or await self._script(entry)
            if self._gate is not None and self._gate.refuses(entry.label.id, script.at):
                exchange.verdict = STALE
                return await self._missed(exchange)
            exchange.verdict = HIT
            entry.segment.hits += 1
            headers = script.told
            if matched != "exact" or not headers:
                headers = self._told(entry, script, matched)
            if script.status == SWITCHED:
                return self._socket(exchange, entry, script, headers)
            if script.blob is None:
                return _reply(request, script, script.chunks, headers)
            chunks = await self._blob(entry, script, script.blob)
            return _reply(request, script, chunks, headers)
        except CassetteError as error:
            raise errors.cassette_unreadable(f"The recording of this request: {error}") from None

    async def _missed(self, exchange: Exchange) -> Reply:
        request = exchange.request
        self._library.tried.miss(exchange.id, exchange.arrived_at, request.method, request.path)
        return await self._on_miss.reply(exchange)

    async def _lenient(
        self, near: Near, request: Request, target: str, authority: int
    ) -> Entry | None:
        if request.body.size > CANONICAL_BYTES_MAX:
            return None
        body = await request.body.read(CANONICAL_BYTES_MAX)
        asked = request.recorded_method, target, request.headers, body, authority
        key, entries = await asyncio.to_thread(near.find, *asked)
        if not entries:
            return None
        if self._by_credential:
            found = await self._of_theirs(entries, request, target, key, authority)
        else:
            found = await self._next_of(entries, (request.session, key, authority))
        if found is not None and self._match == "loose":
            log.warning(
                "%s %s is answered by recording %016x, which was asked something else (--match loose)",
                request.method, target.partition("?")[0], found.label.id,
            )  # fmt: skip
        return found

    async def close(self) -> None:
        await self._on_miss.close()

    async def _of_theirs(
        self, entries: Sequence[Entry], request: Request, target: str, key: bytes, authority: int
    ) -> Entry | None:
        """The next of those that were asked with this request's credential."""
        library = self._library
        tag = library.redactor.auth(target, request.headers).get("tag", "")
        try:
            theirs = [
                entry
                for entry in entries
                if (library.at_hand(entry) or await self._script(entry)).tag == tag
            ]
        except CassetteError as error:
            raise errors.cassette_unreadable(f"A recording of this request: {error}") from None
        if not theirs:
            return None
        return await self._next_of(theirs, (request.session, key + tag.encode(), authority))

    async def _found(
        self, request: Request, target: str, key: bytes, authority: int
    ) -> Entry | None:
        """As the library finds it, of what is theirs, in the order that all processes keep together."""
        entries = self._library.index.matching(key, authority)
        if self._by_credential:
            return await self._of_theirs(entries, request, target, key, authority)
        if not entries or not self._library.has_order(entries):
            return entries[0] if entries else None
        return await self._next_of(entries, (request.session, key, authority))

    async def _next_of(
        self, entries: Sequence[Entry], cursor: tuple[str, bytes, int]
    ) -> Entry | None:
        if self._counting is None:
            return self._library.next_of(entries, cursor)
        session, key, authority = cursor
        try:
            place = await self._counting(b"replay/%b/%d/%b" % (key, authority, session.encode()))
        except FakeAIError:  # nobody to keep it with
            return self._library.next_of(entries, cursor)
        return self._library.nth(entries, place)

    def _told(self, entry: Entry, script: Script, matched: str) -> Written:
        """Its headers, and how it was found."""
        if not self._explains:
            return Written(script.headers)
        found = b"hit; id=%016x; match=%b" % (entry.label.id, matched.encode())
        return Written((*script.headers, (EXPLAINED, found)))

    def _socket(self, exchange: Exchange, entry: Entry, script: Script, headers: Headers) -> Reply:
        request = exchange.request
        echoes = echoes_of(credentials(request.target, request.headers))
        likeness = Likeness(self._leniency, lambda data: self._library.redactor.scrub(data, echoes))
        subprotocol = header(script.headers, _SUBPROTOCOL) or b""
        recorded = Recorded(
            f"{entry.label.id:016x}", script.messages, subprotocol.decode("latin-1"), script.end
        )
        return Reply(
            script.status,
            tuple([pair for pair in headers if pair[0].lower() not in _HANDSHAKES_OWN]),
            (),
            provenance=HIT,
            head_age_s=script.head_age_s / self._pace,
            dialogue=Conversation(recorded, likeness, exchange.arrived_at, self._pace),
        )

    async def _script(self, entry: Entry) -> Script:
        library, place = self._library, entry.place
        size, most = place.length, _INLINE_GROUP_BYTES if place.is_grouped else _INLINE_BYTES
        if place.size <= _INLINE_BYTES and entry.segment.has_unpacked(place):
            size = 0
        if size > most:
            script = await asyncio.to_thread(library.script, entry)
        else:
            script = library.script(entry)
        if self._reframes and script.chunks:
            script = script._replace(chunks=await _reframed(script, script.chunks))
        script = script._replace(told=self._told(entry, script, "exact"))
        library.keep(entry, script)
        return script

    async def _blob(
        self, entry: Entry, script: Script, blob: Blob
    ) -> Sequence[Chunk] | AsyncGenerator[Chunk]:
        pieces = self._library.blob(entry, blob)
        if blob.size > _SCRIPT_BYTES:
            return _Read(pieces, script.timed)
        body = await asyncio.to_thread(b"".join, pieces)
        chunks = chunks_of(script.headers, body, script.timed, script.output_tokens)
        return await _reframed(script, chunks) if self._reframes else chunks


async def _reframed(script: Script, chunks: tuple[Chunk, ...]) -> tuple[Chunk, ...]:
    if sum([cut for cut, _ in script.timed]) > _INLINE_BYTES:
        return await asyncio.to_thread(by_frames, script.headers, chunks)
    return by_frames(script.headers, chunks)


def _reply(
    request: Request,
    script: Script,
    chunks: Sequence[Chunk] | AsyncGenerator[Chunk],
    headers: Headers,
) -> Reply:
    return Reply(
        script.status,
        headers,
        chunks,
        script.reason,
        _workload(request, script, chunks),
        HIT,
        script.head_age_s,
        script.cut,
    )


async def _raw_key(request: Request, target: str) -> bytes:
    """Of a body that is large or still arriving."""
    body = request.body
    if body.in_memory is None and body.length is not None and body.length <= _WHOLE_BYTES:
        await body.read(_WHOLE_BYTES)
    whole = body.in_memory
    if whole is None:
        body.keep()
        hashed = raw_hash(request.recorded_method, target, request.headers)
        async for piece in body.chunks():
            hashed.update(piece)
        return hashed.digest()
    if len(whole) > _WHOLE_BYTES:
        asked = request.recorded_method, target, request.headers
        return await asyncio.to_thread(raw_key, *asked, whole)
    return raw_key(request.recorded_method, target, request.headers, whole)


async def _canonical_key(request: Request, target: str, raw: bytes) -> bytes:
    body = request.body
    if body.size > CANONICAL_BYTES_MAX:
        return large_key(request.recorded_method, target, request.headers, raw)
    whole = await body.read(CANONICAL_BYTES_MAX)
    if len(whole) > _INLINE_BYTES:
        return await asyncio.to_thread(
            canonical_key, request.recorded_method, target, request.headers, whole
        )
    return canonical_key(request.recorded_method, target, request.headers, whole)


def _workload(
    request: Request, script: Script, chunks: Sequence[Chunk] | AsyncGenerator[Chunk]
) -> Workload | None:
    """What a GPU would have done for this reply; None for one that no model made."""
    output = script.output_tokens
    if output is None and isinstance(chunks, tuple):
        output = sum([chunk.tokens for chunk in chunks]) or None
    if script.model is None or (output is None and script.prompt_tokens is None):
        return None
    body = request.body.in_memory or b""
    count = script.prompt_tokens
    return Workload(
        script.model,
        _Prompt(body, len(body) // _BYTES_PER_TOKEN if count is None else count),
        output or 0,
    )


class _Prompt(Sequence[int]):
    """Token ids where the tokenizer's are not known: the request's bytes by fours, then zeros. Like
    beginnings stay alike. Made when somebody looks at them."""

    __slots__ = ("_body", "_count", "_ids")

    def __init__(self, body: bytes, count: int) -> None:
        self._body, self._count = body, count
        self._ids: array[int] | None = None

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        ids = self._ids
        if ids is None:
            ids = array("I", self._body[: min(self._count, len(self._body) // 4) * 4])
            ids.extend([0] * (self._count - len(ids)))
            self._ids = ids
        return ids[index]


class _Read(AsyncGenerator[Chunk, None]):
    """The chunks of a body that is read in a thread while it is played."""

    def __init__(self, pieces: Iterator[bytes], timed: Sequence[tuple[int, float]]) -> None:
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
