"""A request body, read once from the network and as often as needed afterwards.

A body that somebody wants twice (to match and then to forward, to forward and then to record) is
`keep`-ed: its bytes go to memory up to a threshold and to a temporary file beyond it, so that a
100 MB upload is never held in memory.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator
from typing import IO

from fakeai_proxy import errors

#: Above this a kept body goes to a temporary file.
SPOOL_BYTES = 1 << 20
_READ_BYTES = 1 << 18


class Body:
    """`source` yields the bytes as they arrive; `length` is the declared one, if any."""

    def __init__(
        self, source: AsyncIterator[bytes] | bytes = b"", length: int | None = None
    ) -> None:
        self.length = length
        self.size = 0
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
