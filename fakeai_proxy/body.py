"""A request body, read once from the network and as often as needed afterwards; and what is remembered
of an answer's.

A body that somebody wants twice (to match and then to forward, to forward and then to record) is
`keep`-ed: its bytes go to memory up to a threshold and to a temporary file beyond it, so that a
100 MB upload is never held in memory.
"""

from __future__ import annotations

import os
import tempfile
import zlib
from collections import deque
from collections.abc import AsyncIterator
from typing import IO, Any

from fakeai_proxy import errors

#: Above this a kept body goes to a temporary file.
SPOOL_BYTES = 1 << 20
_READ_BYTES = 1 << 18
#: JSON bodies, before and after decoding (images travel in them as data URLs).
JSON_BYTES_MAX = 64 << 20
#: Bodies above this are parsed in a thread, so that the event loop never stops.
INLINE_BYTES_MAX = 32 << 10
#: Remembered of an answer: usage is told at the end of a stream, or somewhere in a body of this size.
HEARD_BYTES_MAX = 256 << 10
_WBITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class Body:
    """`source` yields the bytes as they arrive; `length` is the declared one, if any."""

    def __init__(
        self, source: AsyncIterator[bytes] | bytes = b"", length: int | None = None
    ) -> None:
        self.length = length
        self.size = 0
        #: The JSON object in it, from when somebody has parsed it.
        self.parsed: dict[str, Any] | None = None
        self._whole: bytes | None = None
        self._source: AsyncIterator[bytes] | None = None
        self._spool: IO[bytes] | None = None
        if isinstance(source, bytes):
            self._whole, self.size, self.length = source, len(source), len(source)
        else:
            self._source = source

    @property
    def complete(self) -> bool:
        """Whether the last byte has arrived."""
        return self._source is None

    @property
    def in_memory(self) -> bytes | None:
        """The whole body if it is here and in memory."""
        return self._whole

    def keep(self) -> None:
        """Make the body readable more than once; called before the first read."""
        if self._source is not None and self._spool is None:
            self._spool = tempfile.SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115 - closed by close()

    async def read(self, limit: int) -> bytes:
        """All of it, in memory from then on. Raises 413 over `limit` bytes."""
        if self.length is not None and self.length > limit:
            raise errors.body_too_large(limit, self.length)
        if self._whole is None:
            pieces: list[bytes] = []
            total = 0
            async for piece in self.chunks():
                total += len(piece)
                if total > limit:
                    raise errors.body_too_large(limit, total)
                pieces.append(piece)
            self._whole = b"".join(pieces)
            self.close()
        return self._whole

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes in order: first what is kept, then the rest as it arrives."""
        if self._whole is not None:
            if self._whole:
                yield self._whole
            return
        position = 0
        while self._spool is not None:
            self._spool.seek(position)
            piece = self._spool.read(_READ_BYTES)
            if not piece:
                break
            position += len(piece)
            yield piece
        if self._source is not None:
            async for piece in self._source:
                self.size += len(piece)
                if self._spool is not None:
                    self._spool.seek(0, 2)
                    self._spool.write(piece)
                yield piece
            self._source = None

    async def finish(self) -> None:
        """Read what has not been read yet; only sensible on a kept body."""
        if self._source is not None:
            async for _ in self.chunks():
                pass

    def kept(self) -> bytes | int:
        """What has been kept so far: the bytes, or a descriptor of the temporary file, which the
        caller reads with `os.pread` (`size` bytes), whatever becomes of this body, and closes."""
        if self._whole is not None or self._spool is None:
            return self._whole or b""
        if self.size > SPOOL_BYTES:
            self._spool.flush()
            return os.dup(self._spool.fileno())
        self._spool.seek(0)
        return self._spool.read()

    def close(self) -> None:
        """Give the temporary file back."""
        if self._spool is not None:
            self._spool.close()
            self._spool = None


class Heard:
    """The bytes of an upstream's answer, for whoever wants to know afterwards what it said of itself: all
    of a usual one, the beginning and the end of a long one."""

    __slots__ = ("_first", "_rest", "size")

    def __init__(self) -> None:
        self.size = 0
        self._first = b""
        self._rest: deque[bytes] = deque()

    def add(self, data: bytes) -> None:
        if not self._first:
            self._first = data[:HEARD_BYTES_MAX]
            self.size = len(self._first)
            return
        self._rest.append(data)
        self.size += len(data)
        while self.size > HEARD_BYTES_MAX and len(self._rest) > 1:
            self.size -= len(self._rest.popleft())

    def pieces(self) -> list[bytes]:
        return [self._first, *self._rest]


def decoded(coding: str, raw: bytes) -> bytes:
    """`raw` without its content coding. Raises 400, and 413 over JSON_BYTES_MAX."""
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        return raw
    if coding not in _WBITS:
        raise errors.undecodable_body(coding)
    engine = zlib.decompressobj(_WBITS[coding])
    try:
        data = engine.decompress(raw, JSON_BYTES_MAX + 1)
    except zlib.error:
        raise errors.undecodable_body(coding) from None
    if len(data) > JSON_BYTES_MAX:
        raise errors.body_too_large(JSON_BYTES_MAX, len(data))
    if not engine.eof or engine.unused_data:
        raise errors.undecodable_body(coding)
    return data
