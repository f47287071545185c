"""What an interaction was about, computed from its bytes: for lists and for pacing, never for replay."""

from __future__ import annotations

from collections import Counter
from typing import Any
from urllib.parse import parse_qs

import orjson

from fakeai_proxy.cassette import sse
from fakeai_proxy.cassette.codings import Undecodable, codings, decoded_whole
from fakeai_proxy.cassette.format import RecordedRequest, RecordedResponse
from fakeai_proxy.cassette.messages import texts
from fakeai_proxy.exchange import is_event_stream

_BYTES_MAX = 64 << 20
#: What an event on a WebSocket has that tells something.
_TELLING = (b'"usage"', b'"session"')
#: The vendors' names of the same counts.
_USAGE = (
    ("prompt_tokens", "prompt_tokens"), ("completion_tokens", "completion_tokens"),
    ("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens"),
    ("promptTokenCount", "prompt_tokens"), ("candidatesTokenCount", "completion_tokens"),
    ("total_tokens", "total_tokens"),
)  # fmt: skip


def view_of(
    request: RecordedRequest, response: RecordedResponse | None, provider: str
) -> dict[str, Any]:
    """provider, model, usage, finish_reason and ttft_ms, as far as there are any."""
    view: dict[str, Any] = {"provider": provider}
    asked = _object(request.body if isinstance(request.body, bytes) else b"")
    if isinstance(asked.get("model"), str):
        view["model"] = asked["model"]
    if response is None:
        return view
    if response.is_socket:
        return _of_socket(request, response, view)
    if response.gaps_us:
        view["ttft_ms"] = response.gaps_us[0] / 1000
    for told in told_by(response):
        _look(told, view)
    return view


def _of_socket(
    request: RecordedRequest, response: RecordedResponse, view: dict[str, Any]
) -> dict[str, Any]:
    """The model that the target names or the session has, and the sum of what all answers used."""
    named = parse_qs(request.target.partition("?")[2]).get("model", [])
    if named:
        view["model"] = named[0]
    total: Counter[str] = Counter()
    for text in texts(response.messages, "server"):
        if not any(name in text for name in _TELLING):
            continue
        told: dict[str, Any] = {}
        value = _object(text)
        _look(value, told)
        session = value.get("session")
        if isinstance(session, dict):
            _look(session, told)
        view.setdefault("model", told.get("model", ""))
        total.update(told.get("usage", {}))
    if total:
        view["usage"] = dict(total)
    return {name: fact for name, fact in view.items() if fact or name == "provider"}


def told_by(response: RecordedResponse) -> list[dict[str, Any]]:
    """What the answer says in JSON: its body, or those frames of a stream that tell how it went."""
    body = plain_body(response)
    if is_event_stream(response.headers):
        return list(sse.telling(body))
    value = _object(body)
    return [value] if value else []


def plain_body(response: RecordedResponse) -> bytes:
    """The decoded body; empty where it lies in a file of its own or cannot be decoded."""
    body = response.body
    if not isinstance(body, bytes):
        return b""
    applied = codings(response.headers)
    if not applied:
        return body
    try:
        return decoded_whole(body, applied, _BYTES_MAX)
    except Undecodable:
        return b""


def _look(told: dict[str, Any], view: dict[str, Any]) -> None:
    for inner in (told, told.get("message"), told.get("response"), told.get("delta")):
        if not isinstance(inner, dict):
            continue
        if isinstance(inner.get("model"), str):
            view.setdefault("model", inner["model"])
        for usage in (inner.get("usage"), inner.get("usageMetadata")):
            if isinstance(usage, dict):
                counts = view.setdefault("usage", {})
                counts.update(
                    (ours, usage[theirs])
                    for theirs, ours in _USAGE
                    if isinstance(usage.get(theirs), int)
                )
        choices = inner.get("choices")
        reasons = [_finish(choice) for choice in choices] if isinstance(choices, list) else []
        for reason in (*reasons, inner.get("stop_reason")):
            if isinstance(reason, str):
                view["finish_reason"] = reason


def _finish(choice: Any) -> Any:
    return choice.get("finish_reason") if isinstance(choice, dict) else None


def _object(body: bytes) -> dict[str, Any]:
    if body[:1] not in (b"{", b"\n", b" "):
        return {}
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
