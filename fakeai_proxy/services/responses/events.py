"""The events of a stream, numbered from 0 without gaps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from fakeai_proxy.exchange import Admission, Chunk
from fakeai_proxy.generate.tokens import Passage

#: With obfuscation, deltas are filled up to a multiple of this.
_OBFUSCATED_CHARS = 16


class Events:
    """`chunks` has one chunk an event. `noise` is the text that hides the lengths of tokens, ""
    where they are not hidden."""

    def __init__(self, noise: str = "") -> None:
        self.chunks: list[Chunk] = []
        self._noise = noise.encode()

    def add(self, kind: str, tokens: int = 0, **fields: Any) -> None:
        """One event worth so many tokens."""
        self.chunks.append(Chunk(_frame(kind, len(self.chunks), fields), tokens))

    def add_late(self, kind: str, fields: Callable[[Admission], dict[str, Any]]) -> None:
        """One event that tells what the back end did."""
        number = len(self.chunks)
        self.chunks.append(Chunk(lambda admission: _frame(kind, number, fields(admission))))

    def deltas(
        self,
        kind: str,
        passage: Passage,
        tokens: Sequence[int] | None = None,
        logprobs: Sequence[dict[str, Any]] | None = None,
        **place: Any,
    ) -> None:
        """One event a token; `tokens` says what each is worth where that is not 1. `logprobs` are
        given where the event has a field for them, with an entry a token or none."""
        head = b'event: %b\ndata: {"type":"%b","sequence_number":' % (kind.encode(), kind.encode())
        opening = b"," + orjson.dumps(place)[1:-1] + b',"delta":"'
        closing = b'"' if logprobs is None else b'","logprobs":[]'
        number = len(self.chunks)
        for k, piece in enumerate(passage.escaped):
            if logprobs:
                closing = b'","logprobs":[%b]' % orjson.dumps(logprobs[k])
            fill = b""
            if self._noise:
                count = _OBFUSCATED_CHARS - len(piece) % _OBFUSCATED_CHARS
                start = (number + k) * 7 % (len(self._noise) - _OBFUSCATED_CHARS)
                fill = b',"obfuscation":"%b"' % self._noise[start : start + count]
            data = b"%b%d%b%b%b%b}\n\n" % (head, number + k, opening, piece, closing, fill)
            self.chunks.append(Chunk(data, 1 if tokens is None else tokens[k]))


def _frame(kind: str, number: int, fields: dict[str, Any]) -> bytes:
    data = orjson.dumps({"type": kind, "sequence_number": number, **fields})
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)
