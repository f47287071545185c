"""Bytes on their way to the disk: in memory while they are few, in a temporary file beyond that.

A `Tape` is filled on the event loop and read once by the writer's thread.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

#: Above this a body is in a file.
SPOOL_BYTES = 1 << 20
_READ_BYTES = 1 << 20


class Tape:
    def __init__(self, data: bytes = b"") -> None:
        self._pieces = [data] if data else []
        self._file: int | None = None
        self.size = len(data)

    @classmethod
    def of_file(cls, descriptor: int, size: int) -> Tape:
        """The first `size` bytes of a file; the descriptor is the tape's from now on."""
        tape = cls()
        tape._file, tape.size = descriptor, size
        return tape

    @property
    def spooled(self) -> bool:
        return self._file is not None

    @property
    def memory_bytes(self) -> int:
        return 0 if self.spooled else self.size

    def add(self, data: bytes) -> None:
        self.size += len(data)
        if self._file is None:
            self._pieces.append(data)
            if self.size > SPOOL_BYTES:
                with tempfile.TemporaryFile() as file:
                    self._file = os.dup(file.fileno())
                self._write(b"".join(self._pieces))
                self._pieces.clear()
        else:
            self._write(data)

    def tail(self, count: int) -> bytes:
        """The last `count` bytes or a few more, as far as they are in memory."""
        tail, size = [], 0
        for piece in reversed(self._pieces):
            tail.append(piece)
            size += len(piece)
            if size >= count:
                break
        return b"".join(reversed(tail))

    def pieces(self, position: int = 0) -> Iterator[bytes]:
        """From `position` on, which only a tape in a file is asked for."""
        if self._file is None:
            yield from self._pieces
            return
        while position < self.size:
            piece = os.pread(self._file, min(_READ_BYTES, self.size - position), position)
            if not piece:
                raise OSError("a temporary file is shorter than what was written to it")
            position += len(piece)
            yield piece

    def whole(self) -> bytes:
        return b"".join(self.pieces())

    def snapshot(self) -> Tape:
        """What is here so far, as a tape of its own."""
        if self._file is not None:
            return Tape.of_file(os.dup(self._file), self.size)
        copy = Tape()
        copy._pieces, copy.size = list(self._pieces), self.size
        return copy

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
