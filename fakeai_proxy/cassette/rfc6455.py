"""WebSocket frames as bytes (RFC 6455), read and made; no socket, no clock."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

Op = Literal["text", "binary", "ping", "pong", "close"]

OPCODES: dict[Op, int] = {"text": 1, "binary": 2, "close": 8, "ping": 9, "pong": 10}
_OPS: dict[int, Op] = {code: op for op, code in OPCODES.items()}
_CONTINUATION, _FIN, _MASKED, _RESERVED = 0, 0x80, 0x80, 0x70
#: 5.2: lengths that take two and eight bytes more.
_TWO_BYTES, _EIGHT_BYTES = 126, 127
#: Longer messages are not read.
MESSAGE_BYTES_MAX = 64 << 20
_CONTROL = re.compile("ping|pong|close")


class FramingError(ValueError):
    """The bytes are no WebSocket frames, or none that may be looked into."""


class Whole(NamedTuple):
    """A message that is all there. `cuts` are the lengths of its fragments, if there were several."""

    op: Op
    data: bytes
    cuts: tuple[int, ...] = ()


class Reader:
    """One direction of a connection: bytes in, messages out."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._op: Op | None = None
        self._fragments: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Whole]:
        """The messages that end in `data`. Raises FramingError."""
        self._buffer += data
        found = []
        while (frame := self._frame()) is not None:
            whole = self._joined(*frame)
            if whole is not None:
                found.append(whole)
        return found

    def _frame(self) -> tuple[bool, int, bytes] | None:
        """Whether it is the last of its message, its opcode and payload; None while it comes."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        first, second = buffer[0], buffer[1]
        if first & _RESERVED:
            raise FramingError("an extension is used that was not agreed on")
        size, start = second & ~_MASKED, 2
        if size >= _TWO_BYTES:
            start += 2 if size == _TWO_BYTES else 8
            if len(buffer) < start:
                return None
            size = int.from_bytes(buffer[2:start], "big")
        if size + self._size > MESSAGE_BYTES_MAX:
            raise FramingError(f"a message of more than {MESSAGE_BYTES_MAX >> 20} MB")
        mask = b""
        if second & _MASKED:
            mask = bytes(buffer[start : start + 4])
            start += 4
        if len(buffer) < start + size:
            return None
        payload = bytes(buffer[start : start + size])
        del buffer[: start + size]
        return bool(first & _FIN), first & 0x0F, unmasked(payload, mask) if mask else payload

    def _joined(self, last: bool, opcode: int, payload: bytes) -> Whole | None:
        op = _OPS.get(opcode)
        if op is not None and _CONTROL.fullmatch(op):
            return Whole(op, payload)
        if opcode == _CONTINUATION:
            op = self._op
        elif self._op is not None:
            op = None
        if op is None:
            raise FramingError("a frame in a place where it has no meaning")
        self._op = op
        self._fragments.append(payload)
        self._size += len(payload)
        if not last:
            return None
        fragments, self._fragments, self._op, self._size = self._fragments, [], None, 0
        if len(fragments) == 1:
            return Whole(op, payload)
        return Whole(op, b"".join(fragments), tuple(map(len, fragments)))


def unmasked(payload: bytes, mask: bytes) -> bytes:
    """Masked where it was not: it is the same (5.3)."""
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


def framed(op: Op, data: bytes, cuts: tuple[int, ...] = ()) -> bytes:
    """The message as a server sends it: without a mask, in fragments of these lengths."""
    if sum(cuts) != len(data) or len(cuts) < 2:
        return _one(_FIN | OPCODES[op], data)
    frames, position = [], 0
    for place, cut in enumerate(cuts):
        first = _CONTINUATION if place else OPCODES[op]
        last = _FIN if place == len(cuts) - 1 else 0
        frames.append(_one(first | last, data[position : position + cut]))
        position += cut
    return b"".join(frames)


def _one(first: int, data: bytes) -> bytes:
    size = len(data)
    if size < _TWO_BYTES:
        return bytes((first, size)) + data
    if size < 1 << 16:
        return bytes((first, _TWO_BYTES)) + size.to_bytes(2, "big") + data
    return bytes((first, _EIGHT_BYTES)) + size.to_bytes(8, "big") + data


def closing(data: bytes) -> tuple[int, str]:
    """The code and the reason of a close frame; 0 for none."""
    return int.from_bytes(data[:2], "big"), data[2:].decode("utf-8", "replace")
