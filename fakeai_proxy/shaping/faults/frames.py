"""A body in units that a fault can name: server-sent events one by one, or a whole body in one piece.

Chunks are whatever a network read brought; events lie across them. A frame's tokens are its share of
those of the chunks it came in.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from fakeai_proxy.exchange import Chunk, Reply
from fakeai_proxy.shaping.faults.kinds import Stage, Where

_END = re.compile(rb"\r?\n\r?\n|\r\r")
_DATA = re.compile(rb"^data: ?(.*?)\r?$", re.MULTILINE)
#: A piece of what the model says: a field that is not empty.
_TEXT = re.compile(
    rb'"(?:content|text|delta|arguments|partial_json|reasoning_content|thinking|refusal|input)"'
    rb'\s?:\s?"(?!")'
)
_LAST = re.compile(
    rb"^data: ?\[DONE\]|^event: ?(?:message_stop|response\.(?:completed|failed|incomplete))\r?$",
    re.MULTILINE,
)
_OVER = re.compile(rb'"(?:finish_reason|stop_reason)"\s?:\s?"|' + _LAST.pattern, re.MULTILINE)
#: Content codings that can be taken off -> zlib's window bits: gzip, and deflate in zlib's wrapping.
CODINGS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}
#: A frame longer than this is passed on in parts, so that a body that calls itself a stream but has
#: no events in it is not kept in memory.
_FRAME_BYTES_MAX = 8 << 20


def is_last(frame: Chunk) -> bool:
    """Whether a vendor ends its streams with it."""
    return isinstance(frame.data, bytes) and _LAST.search(frame.data) is not None


def says(frame: Chunk) -> bool:
    """Whether it holds a piece of the answer."""
    return isinstance(frame.data, bytes) and _TEXT.search(frame.data) is not None


def tokens(frame: Chunk) -> int:
    """Output tokens that a client sees in it."""
    return max(frame.tokens, 1) if says(frame) else 0


class Place:
    """A place in a stream, before which some tokens pass. One that is a share of nobody knows what
    comes before the answer ends."""

    def __init__(self, where: Where | None = None, reply: Reply | None = None) -> None:
        self._left = where.tokens(reply) if where is not None and reply is not None else 0
        self._latest = where is not None and where.after is None

    def reached(self, frame: Chunk) -> bool:
        """Whether the place is before this frame, or was before one that came earlier."""
        if self._left <= 0 or (self._latest and _ends(frame)):
            self._left = 0
            return True
        self._left -= tokens(frame)
        return False


def _ends(frame: Chunk) -> bool:
    """Whether the answer is over with it, or before."""
    return isinstance(frame.data, bytes) and _OVER.search(frame.data) is not None


def is_data(frame: Chunk) -> bool:
    """Whether it holds JSON."""
    data = frame.data
    return isinstance(data, bytes) and b"data:" in data and b"data: [DONE]" not in data


def payload(data: bytes) -> tuple[int, int] | None:
    """Where the JSON of a frame, or of a body that is no stream, begins and ends."""
    match = _DATA.search(data)
    if match is not None:
        return match.span(1)
    return (0, len(data)) if data.lstrip()[:1] in (b"{", b"[") else None


def rewritten(data: bytes, change: Callable[[Any], bool]) -> bytes:
    """A frame or a body with its JSON changed in place by `change`, which tells whether it did. What
    is no JSON object, and what has not changed, stays as it is to the byte."""
    place = payload(data)
    if place is None:
        return data
    try:
        value = orjson.loads(data[place[0] : place[1]])
    except orjson.JSONDecodeError:
        return data
    if not isinstance(value, dict) or not change(value):
        return data
    return data[: place[0]] + orjson.dumps(value) + data[place[1] :]


class Frames(Stage):
    """Cuts a stream anew, one event a chunk."""

    def __init__(self) -> None:
        self._begun = bytearray()
        self._searched = 0
        self._tokens = 0
        self._age_s: float | None = None

    def feed(self, chunk: Chunk) -> Iterable[Chunk]:
        data = chunk.data
        if not isinstance(data, bytes):
            return (*self.end(), chunk)  # made by us, and whole events
        self._age_s = chunk.age_s
        if not self._begun and _is_one(data):
            return (chunk._replace(tokens=chunk.tokens + self._take()),)
        self._begun += data
        self._tokens += chunk.tokens
        return self._cut()

    def end(self) -> Iterable[Chunk]:
        if not self._begun:
            return ()
        rest = Chunk(bytes(self._begun), self._take(), self._age_s)
        self._begun.clear()
        self._searched = 0
        return (rest,)

    def _take(self) -> int:
        taken, self._tokens = self._tokens, 0
        return taken

    def _cut(self) -> list[Chunk]:
        frames: list[bytes] = []
        begun = self._begun
        start = 0
        while match := _END.search(begun, max(start, self._searched)):
            frames.append(bytes(begun[start : match.end()]))
            start = self._searched = match.end()
        del begun[:start]
        # The end may lie across two chunks.
        self._searched = max(0, len(begun) - 3)
        if len(begun) > _FRAME_BYTES_MAX:
            return [*self._spread(frames), *self.end()]
        return self._spread(frames)

    def _spread(self, frames: list[bytes]) -> list[Chunk]:
        """Tokens go to the frames that say something, evenly; to the first where none does."""
        if not frames:
            return []
        chunks = [Chunk(frame, 0, self._age_s) for frame in frames]
        telling = [place for place, chunk in enumerate(chunks) if says(chunk)] or [0]
        count, whole = len(telling), self._take()
        for k, place in enumerate(telling):
            share = whole * (k + 1) // count - whole * k // count
            chunks[place] = chunks[place]._replace(tokens=share)
        return chunks


def _is_one(data: bytes) -> bool:
    """Whether it is one whole event, as nearly all are."""
    return data.endswith(b"\n\n") and data.find(b"\n\n") == len(data) - 2 and b"\r" not in data


class Gathered(Stage):
    """A body that is no stream, in one piece."""

    def __init__(self) -> None:
        self._chunks: list[Chunk] = []

    def feed(self, chunk: Chunk) -> Iterable[Chunk]:
        self._chunks.append(chunk)
        return ()

    def end(self) -> Iterable[Chunk]:
        chunks = self._chunks
        if len(chunks) < 2:
            return chunks
        total, age_s = sum([chunk.tokens for chunk in chunks]), chunks[-1].age_s
        pieces = [chunk.data for chunk in chunks]
        if all(isinstance(piece, bytes) for piece in pieces):
            return (
                Chunk(
                    b"".join([piece for piece in pieces if isinstance(piece, bytes)]), total, age_s
                ),
            )
        return (
            Chunk(
                lambda admission: b"".join(
                    [piece if isinstance(piece, bytes) else piece(admission) for piece in pieces]
                ),
                total,
                age_s,
            ),
        )


class Decoded(Stage):
    """Takes a content coding off."""

    def __init__(self, coding: bytes) -> None:
        self._engine = zlib.decompressobj(CODINGS[coding])

    def feed(self, chunk: Chunk) -> Iterable[Chunk]:
        assert isinstance(chunk.data, bytes), "what is made here is not encoded"
        try:
            return (chunk._replace(data=self._engine.decompress(chunk.data)),)
        except zlib.error:
            return (chunk,)


def each(chunks: Iterable[Chunk]) -> Iterator[bytes]:
    """The bytes of chunks that are all there."""
    for chunk in chunks:
        assert isinstance(chunk.data, bytes)
        yield chunk.data
