"""What an interaction was about, computed from its bytes: for lists and for pacing, never for replay."""

from __future__ import annotations

from typing import Any

import orjson

from fakeai_proxy.cassette import sse
from fakeai_proxy.cassette.codings import Undecodable, codings, decoded_whole
from fakeai_proxy.cassette.format import RecordedRequest, RecordedResponse, is_sse

_BYTES_MAX = 64 << 20
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
    if response.gaps_us:
        view["ttft_ms"] = response.gaps_us[0] / 1000
    for told in told_by(response):
        _look(told, view)
    return view


def told_by(response: RecordedResponse) -> list[dict[str, Any]]:
    """What the answer says in JSON: its body, or those frames of a stream that tell how it went."""
    body = plain_body(response)
    if is_sse(response.headers):
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
