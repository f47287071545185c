"""HTTP/2, as far as it has to be known to say that it is not spoken here: who insists on it, and a refusal
in its own words, which gRPC and other clients show. No socket."""

from __future__ import annotations

import struct

UNSPOKEN = "HTTP/2 is neither recorded nor replayed here: let the client speak HTTP/1.1."
#: With which a client begins that does not ask first (RFC 9113, 3.4).
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#: What tells it from a request.
PREFACE_BEGINS = PREFACE[:8]
#: The header of a TLS record, which says how long the hello in it is.
RECORD_HEAD_BYTES = 5
_HELLO_BYTES_MAX = 1 << 14
_CLIENT_HELLO, _ALPN = 1, 16
_SETTINGS, _GOAWAY, _HTTP_1_1_REQUIRED = 4, 7, 0xD


def hello_bytes(record_head: bytes) -> int:
    """How long a TLS record is, its head included."""
    return RECORD_HEAD_BYTES + min(int.from_bytes(record_head[3:5], "big"), _HELLO_BYTES_MAX)


def insists(record: bytes) -> bool:
    """Whether this TLS hello offers HTTP/2 and nothing that is spoken here."""
    offered = offered_by(record)
    return b"h2" in offered and b"http/1.1" not in offered


def offered_by(record: bytes) -> list[bytes]:
    """The protocols that a hello offers by ALPN (RFC 7301); nothing where it cannot be read."""
    hello = _Bytes(record[RECORD_HEAD_BYTES:])
    try:
        if hello.number(1) != _CLIENT_HELLO:
            return []
        body = _Bytes(hello.part(3))
        body.take(2 + 32)  # the version and the random bytes
        for size in (1, 2, 1):  # the session, the ciphers, the compressions
            body.part(size)
        extensions = _Bytes(body.part(2))
        while extensions.left:
            kind, data = extensions.number(2), extensions.part(2)
            if kind == _ALPN:
                return list(_Bytes(_Bytes(data).part(2)).parts())
    except EOFError:
        pass
    return []


def refusal(told: str) -> bytes:
    """A server's whole say: its settings, and a farewell that asks for HTTP/1.1."""
    reason = struct.pack(">II", 0, _HTTP_1_1_REQUIRED) + told.encode()
    return _frame(_SETTINGS, b"") + _frame(_GOAWAY, reason)


def _frame(kind: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, 0)) + bytes(4) + payload


class _Bytes:
    """Fields of a TLS message, one after the other. Raises EOFError where they end too soon."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise EOFError
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def part(self, size: int) -> bytes:
        """What follows its own length, which takes so many bytes."""
        return self.take(self.number(size))

    def parts(self) -> list[bytes]:
        found = []
        while self.left:
            found.append(self.part(1))
        return found
