"""What upstreams' answers say of themselves: the model, tokens, and why it stopped.

Looking costs a tenth of a millisecond, so it is done in a thread, for many answers together, when
somebody wants to know or many are waiting.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from fakeai_proxy.cassette.format import RecordedRequest, RecordedResponse
from fakeai_proxy.cassette.view import told_by, view_of
from fakeai_proxy.exchange import Exchange, Headers

#: Answers that wait to be looked at, and their bytes.
WAITING_MAX, WAITING_BYTES_MAX = 64, 4 << 20
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
    method: str
    target: str
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


class LiveAnswers:
    def __init__(self) -> None:
        self._waiting: list[Asked] = []
        self._bytes = 0

    def add(self, number: int, exchange: Exchange) -> None:
        reply, request = exchange.reply, exchange.request
        if reply is None or exchange.heard is None:
            return
        body = request.body.in_memory or b""
        pieces = exchange.heard.pieces()
        self._waiting.append(
            Asked(number, request.method, request.target, body, reply.status, reply.headers, pieces)
        )
        self._bytes += exchange.heard.size + len(body)

    @property
    def are_many(self) -> bool:
        return len(self._waiting) >= WAITING_MAX or self._bytes >= WAITING_BYTES_MAX

    def take(self) -> list[Asked]:
        """Those that wait, for `look`; none of them waits any more."""
        taken, self._waiting, self._bytes = self._waiting, [], 0
        return taken


def look(waiting: Sequence[Asked]) -> list[tuple[int, Facts]]:
    """By the numbers of their entries. For a thread."""
    return [(asked.number, _facts(asked)) for asked in waiting]


def _facts(asked: Asked) -> Facts:
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
