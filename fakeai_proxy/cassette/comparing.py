"""What differs between two recordings of the same traffic: requests, answers' shape, text, and timing, each
told apart. Text that differs is what models do; a shape that differs is a provider's change.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any, Literal

from fakeai_proxy.cassette.differences import Side
from fakeai_proxy.cassette.format import Interaction, RecordedResponse
from fakeai_proxy.cassette.messages import Message, texts
from fakeai_proxy.cassette.messages import Side as Sender
from fakeai_proxy.cassette.view import plain_body
from fakeai_proxy.exchange import is_event_stream

Kind = Literal["removed", "added", "request", "status", "shape", "text"]
#: Ends of the types of events whose deltas are words (others are sound, as base64).
_WORDY = ("text.delta", "transcript.delta", "arguments.delta", "refusal.delta")
KINDS: tuple[Kind, ...] = ("removed", "added", "request", "status", "shape", "text")

_WORDS_MAX = 4000
_AROUND_WORDS = 6
#: Headers that differ with every answer.
_IDLE_HEADERS = frozenset((b"content-length", b"date", b"transfer-encoding", b"x-fakeai-cassette"))
#: Fields that hold what a model said.
_SPOKEN = frozenset(
    ("content", "text", "arguments", "refusal", "thinking", "partial_json", "delta", "output_text")
)


@dataclass(frozen=True, slots=True)
class Change:
    """`before` and `after` are ids, "" where there is none."""

    kind: Kind
    request: str
    before: str
    after: str
    details: tuple[str, ...] = ()


def _route(record: Interaction) -> tuple[str, str]:
    return record.request.method, record.request.target.partition("?")[0]


def named(record: Interaction) -> str:
    model = record.view.get("model")
    method, path = _route(record)
    return f"{method} {path}, {model}" if isinstance(model, str) else f"{method} {path}"


def side_of(record: Interaction) -> Side:
    request = record.request
    authority = record.upstream.partition("://")[2].lower()
    return Side(request.method, authority, request.target, request.headers, request.body)


# --- answers ---------------------------------------------------------------------------------------


def answer_of(reply: RecordedResponse | None) -> object:
    """All that is compared of it: equal ones do not differ."""
    if reply is None:
        return None
    return reply.status, _asked(reply), sorted(_shape(reply)), said(reply)


def answers(one: Interaction, other: Interaction) -> Iterator[Change]:
    """What differs between the replies."""
    name, first, second = named(other), one.response, other.response
    statuses = [reply.status if reply else "none" for reply in (first, second)]
    if statuses[0] != statuses[1]:
        yield Change("status", name, one.id, other.id, (f"{statuses[0]} became {statuses[1]}",))
        return
    if first is None or second is None:
        return
    asked = _asked(first), _asked(second)
    if asked[0] != asked[1]:
        told = tuple(f"the client said {', '.join(kinds) or 'nothing'}" for kinds in asked)
        yield Change("request", name, one.id, other.id, told)
    shapes = _shape(first), _shape(second)
    gone, come = sorted(shapes[0] - shapes[1]), sorted(shapes[1] - shapes[0])
    if gone or come:
        details = (*(f"no longer: {path}" for path in gone), *(f"new: {path}" for path in come))
        yield Change("shape", name, one.id, other.id, details)
    spoken = said(first), said(second)
    if spoken[0] != spoken[1]:
        yield Change("text", name, one.id, other.id, (_words(*spoken),))


def _asked(reply: RecordedResponse) -> list[str]:
    """What the client said on a WebSocket, by the types of its events."""
    return [kind for kind, _ in _events(reply.messages, "client")]


def _shape(reply: RecordedResponse) -> set[str]:
    """Fields and their types, events and headers; what a list holds counts once."""
    found = {f"header {header.lower().decode('latin-1')}" for header, _ in reply.headers
             if header.lower() not in _IDLE_HEADERS}  # fmt: skip
    for event, value in _values(reply):
        if event:
            found.add(f"event {event}")
        _fields(event or "body", value, found)
    return found


def _fields(path: str, value: Any, found: set[str]) -> None:
    if isinstance(value, dict):
        for name, child in value.items():
            _fields(f"{path}.{name}", child, found)
    elif isinstance(value, list):
        for child in value:
            _fields(f"{path}[]", child, found)
    else:
        kinds = {str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}
        found.add(f"{path}: {kinds[type(value)]}")


def _values(reply: RecordedResponse) -> Iterator[tuple[str, Any]]:
    """The JSON of the reply: of each event with its name, or of the whole."""
    if reply.is_socket:
        yield from _events(reply.messages, "server")
        return
    body = plain_body(reply)
    if not is_event_stream(reply.headers):
        yield "", _json(body)
        return
    name = ""
    for line in body.decode("utf-8", "replace").splitlines():
        if line.startswith("event:"):
            name = line[6:].strip()
        elif line.startswith("data:"):
            value = _json(line[5:].encode())
            if value is not None:
                yield name or "event", value
            name = ""


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _events(messages: Iterable[Message], sender: Sender) -> Iterator[tuple[str, Any]]:
    """What one side of a WebSocket said, by the type of each event."""
    for text in texts(messages, sender):
        value = _json(text)
        if isinstance(value, dict):
            yield str(value.get("type", "event")), value


def said(reply: RecordedResponse) -> str:
    """What the model said, put together of all events."""
    if reply.is_socket:
        return said_in(reply.messages)
    pieces: list[str] = []
    for _, value in _values(reply):
        _gather("", value, pieces)
    return "".join(pieces)


def said_in(messages: Iterable[Message]) -> str:
    """The same of messages of a WebSocket: the words of its deltas, which are told again whole."""
    return "".join(
        [
            value["delta"]
            for kind, value in _events(messages, "server")
            if kind.endswith(_WORDY) and isinstance(value.get("delta"), str)
        ]
    )


def _gather(name: str, value: Any, pieces: list[str]) -> None:
    if isinstance(value, dict):
        for inner, child in value.items():
            _gather(inner, child, pieces)
    elif isinstance(value, list):
        for child in value:
            _gather(name, child, pieces)
    elif isinstance(value, str) and name in _SPOKEN:
        pieces.append(value)


def _words(before: str, after: str) -> str:
    """How alike the texts are, and where they first differ."""
    one, other = before.split()[:_WORDS_MAX], after.split()[:_WORDS_MAX]
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    share = (
        matcher.ratio() if max(len(one), len(other)) <= _WORDS_MAX // 4 else matcher.quick_ratio()
    )
    place = next((k for k, (a, b) in enumerate(zip_longest(one, other)) if a != b), 0)
    start = max(place - 2, 0)
    was = " ".join(one[start : place + _AROUND_WORDS]) or "(nothing)"
    became = " ".join(other[start : place + _AROUND_WORDS]) or "(nothing)"
    return f"{share:.0%} of the words are the same; at word {place + 1}: {was!r} became {became!r}"
