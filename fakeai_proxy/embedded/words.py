"""What was asked and what was answered, as text: the words in the bodies of any vendor's API.

A body is walked by the names that all of them share, so that nothing has to be known of an endpoint.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson

#: Fields of a request that hold what a model is told.
_ASKED = ("system", "instructions", "messages", "input", "prompt", "contents", "query", "text")
#: Below those: fields that lead to words, and no others (roles, types, ids, pictures).
_LEADING = (
    "content", "text", "parts", "output", "arguments", "input", "function", "tool_calls", "summary",
    "refusal", "prompt",
)  # fmt: skip
#: Fields of an answer that lead to what a model said.
_ANSWERED = (
    "choices", "message", "content", "text", "output", "candidates", "parts", "delta", "refusal",
)  # fmt: skip
_DATA = re.compile(rb"^data: ?(.*?)\r?$", re.MULTILINE)
_FORM_MODEL = re.compile(rb'name="?model"?\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]{1,200})\r\n')
#: Models that are named by the path: Google's, and Azure's deployments.
_PATH_MODEL = re.compile(r"/(?:models|deployments)/([^/:?]+)[/:]")
_DEEPEST = 32


def parsed(body: bytes) -> Any:
    """The JSON in it; None where there is none."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def model_of(path: str, body: bytes, value: Any) -> str:
    """What the request names as its model, "" for nothing."""
    if isinstance(value, Mapping) and isinstance(value.get("model"), str):
        return str(value["model"])
    in_path = _PATH_MODEL.search(path)
    if in_path is not None:
        return in_path[1]
    in_form = _FORM_MODEL.search(body) if value is None else None
    return "" if in_form is None else in_form[1].decode("utf-8", "replace")


def messages_of(value: Any) -> list[dict[str, Any]]:
    """The conversation as it was sent: `messages`, the items of `input`, or `contents`."""
    if isinstance(value, Mapping):
        for name in ("messages", "input", "contents"):
            items = value.get(name)
            if isinstance(items, list) and all(isinstance(item, dict) for item in items):
                return items
    return []


def asked(value: Any) -> str:
    """All that a model is told, a line for each piece."""
    if not isinstance(value, Mapping):
        return ""
    found = [piece for name in _ASKED for piece in _walk(value.get(name), _LEADING)]
    return "\n".join(found)


def answered(content_type: str, body: bytes) -> str:
    """What a model said; the text of a stream is put together. "" for what is no text."""
    if "event-stream" in content_type:
        return "".join(_streamed(body))
    if "json" in content_type:
        return "\n".join(_said(parsed(body)))
    return body.decode("utf-8", "replace") if content_type.startswith("text/") else ""


def _said(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name in _ANSWERED:
            yield from _walk(value.get(name), _ANSWERED)


def _streamed(body: bytes) -> Iterator[str]:
    for match in _DATA.finditer(body):
        value = parsed(match[1])
        if isinstance(value, Mapping):
            kind = value.get("type")
            yield from _EVENTS.get(kind, _nothing)(value) if isinstance(kind, str) else _said(value)


def _nothing(value: Mapping[str, Any]) -> Iterator[str]:
    return iter(())


def _delta(value: Mapping[str, Any]) -> Iterator[str]:
    return _walk(value.get("delta"), _ANSWERED)


#: Events that bring words; others repeat them as a whole, or bring arguments and thoughts.
_EVENTS: dict[str, Callable[[Mapping[str, Any]], Iterator[str]]] = {
    "response.output_text.delta": _delta,
    "response.refusal.delta": _delta,
    "content_block_delta": _delta,
    "transcript.text.delta": _delta,
}


def _walk(value: Any, leading: Sequence[str], depth: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        if value:
            yield value
    elif depth < _DEEPEST:
        if isinstance(value, Mapping):
            for name in leading:
                yield from _walk(value.get(name), leading, depth + 1)
        elif isinstance(value, list):
            for item in value:
                yield from _walk(item, leading, depth + 1)


def keywords(options: str) -> str:
    """Settings of a command line as a mark and `serve` take them: `--match agent` is `match="agent"`."""
    settings: dict[str, list[str]] = {}
    words = iter(shlex.split(options))
    for flag, value in zip(words, words, strict=True):
        settings.setdefault(flag.removeprefix("--").replace("-", "_"), []).append(value)
    lists = ("match_ignore", "match_pattern")
    return ", ".join(
        f"{name}={values!r}" if name in lists else f"{name}={values[-1]!r}"
        for name, values in settings.items()
    )
