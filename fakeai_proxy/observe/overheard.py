"""What bodies say: of upstreams' answers the model, tokens, and why it stopped; and, where they are to be
kept, themselves, without secrets and not longer than wanted.

Looking costs a tenth of a millisecond, so it is done in a thread, for many exchanges together, when
somebody wants to know or many are waiting.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from fakeai_proxy.body import HEARD_BYTES_MAX
from fakeai_proxy.exchange import LIVE, Exchange, Headers

#: Answers that wait to be looked at, and their bytes.
WAITING_MAX, WAITING_BYTES_MAX = 64, 4 << 20
#: Of a body that is cut off: a secret that is cut in two would not be known for one.
_MARGIN_BYTES = 8 << 10
#: Where vendors tell which part of a prompt was cached: outer and inner name.
_CACHED = (
    ("prompt_tokens_details", "cached_tokens"),
    ("input_tokens_details", "cached_tokens"),
)
#: Anthropic counts these besides the input.
_BESIDES = ("cache_read_input_tokens", "cache_creation_input_tokens")


class Asked(NamedTuple):
    """What is kept of an exchange until somebody looks. `number` is its entry's."""

    number: int
    is_live: bool
    method: str
    target: str
    request_headers: Headers
    body: bytes
    status: int
    headers: Headers
    pieces: list[bytes]


class Facts(NamedTuple):
    model: str = ""
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int = 0
    finish: str = ""


class Bodies(NamedTuple):
    """The beginning of each, as text."""

    request: str = ""
    response: str = ""


class Overheard:
    def __init__(self, bodies_bytes: int = 0) -> None:
        """So much of each body is kept."""
        self._most = bodies_bytes
        self._waiting: list[Asked] = []
        self._bytes = 0

    def add(self, number: int, exchange: Exchange) -> None:
        reply, request = exchange.reply, exchange.request
        is_live = reply is not None and reply.provenance == LIVE and exchange.heard is not None
        if not is_live and not self._most:
            return
        body = request.body.in_memory or b""
        pieces = exchange.heard.pieces() if exchange.heard is not None else []
        if self._most and not is_live:
            pieces = _played(exchange, self._most + _MARGIN_BYTES)
        status, headers = (0, ()) if reply is None else (reply.status, reply.headers)
        self._waiting.append(
            Asked(
                number, is_live, request.method, request.target, request.headers, body, status,
                headers, pieces,
            )
        )  # fmt: skip
        self._bytes += sum(map(len, pieces)) + len(body)

    @property
    def are_many(self) -> bool:
        return len(self._waiting) >= WAITING_MAX or self._bytes >= WAITING_BYTES_MAX

    def take(self) -> list[Asked]:
        """Those that wait, for `look`; none of them waits any more."""
        taken, self._waiting, self._bytes = self._waiting, [], 0
        return taken

    def look(self, waiting: Sequence[Asked]) -> list[tuple[int, Facts | None, Bodies]]:
        """By the numbers of their entries. For a thread."""
        return [
            (asked.number, _facts(asked) if asked.is_live else None, self._bodies(asked))
            for asked in waiting
        ]

    def _bodies(self, asked: Asked) -> Bodies:
        if not self._most:
            return Bodies()
        from fakeai_proxy.cassette.redaction import credentials, echoes_of

        echoes = tuple(echoes_of(credentials(asked.target, asked.request_headers)))
        answer = b"".join(asked.pieces)
        return Bodies(
            self._shown(asked.body, asked.request_headers, echoes),
            self._shown(answer, asked.headers, echoes),
        )

    def _shown(self, body: bytes, headers: Headers, echoes: tuple[bytes, ...]) -> str:
        from fakeai_proxy.cassette.codings import Undecodable, codings, decoded_whole
        from fakeai_proxy.cassette.redaction import Redactor, is_lines

        try:
            plain = decoded_whole(body, codings(headers), HEARD_BYTES_MAX)
        except Undecodable as error:
            return f"({len(body)} bytes that cannot be decoded: {error})" if body else ""
        plain = plain[: self._most + _MARGIN_BYTES]
        # Nothing has to be compared: what is hidden is only hidden.
        clean = Redactor(b"").scrub(plain, echoes, is_lines(headers))
        return clean[: self._most].decode("utf-8", "replace")


def _played(exchange: Exchange, most: int) -> list[bytes]:
    """The beginning of a scripted answer."""
    pieces: list[bytes] = []
    size = 0
    for chunk in exchange.script:
        if size > most:
            break
        data = chunk.data if isinstance(chunk.data, bytes) else chunk.data(exchange.admission)
        pieces.append(data)
        size += len(data)
    return pieces


def _facts(asked: Asked) -> Facts:
    from fakeai_proxy.cassette.format import RecordedRequest, RecordedResponse
    from fakeai_proxy.cassette.view import told_by, view_of

    response = RecordedResponse(asked.status, asked.headers, b"".join(asked.pieces))
    request = RecordedRequest(asked.method, asked.target, (), asked.body)
    view = view_of(request, response, "")
    usage = view.get("usage") or {}
    cached, besides = 0, 0
    for told in _usages(told_by(response)):
        for outer, inner in _CACHED:
            cached = max(cached, _count(told.get(outer), inner))
        read, written = (_count(told, name) for name in _BESIDES)
        cached, besides = max(cached, read), max(besides, read + written)
    prompt = usage.get("prompt_tokens")
    return Facts(
        str(view.get("model", "")),
        None if prompt is None else prompt + besides,
        usage.get("completion_tokens", None if prompt is None else 0),
        cached,
        str(view.get("finish_reason", "")),
    )


def _usages(objects: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    inner = [told.get(name) for told in objects for name in ("message", "response")]
    found = [one.get("usage") for one in (*objects, *inner) if isinstance(one, dict)]
    return [usage for usage in found if isinstance(usage, dict)]


def _count(told: Any, name: str) -> int:
    count = told.get(name) if isinstance(told, dict) else None
    return count if isinstance(count, int) and count > 0 else 0
