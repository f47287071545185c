"""What differs between two recordings of the same traffic: requests, answers' shape, text, and timing, each
told apart. Text that differs is what models do; a shape that differs is a provider's change.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any, Literal

from fakeai_proxy.cassette.differences import Side, explain, likeness, shingles
from fakeai_proxy.cassette.format import Interaction, RecordedResponse, is_sse
from fakeai_proxy.cassette.messages import Message, texts
from fakeai_proxy.cassette.messages import Side as Sender
from fakeai_proxy.cassette.stats import QUANTILES, quantile
from fakeai_proxy.cassette.view import plain_body

Kind = Literal["removed", "added", "request", "status", "shape", "text"]
#: Ends of the types of events whose deltas are words (others are sound, as base64).
_WORDY = ("text.delta", "transcript.delta", "arguments.delta", "refusal.delta")
KINDS: tuple[Kind, ...] = ("removed", "added", "request", "status", "shape", "text")

#: Requests of one route that are held against each other when no key is equal.
_PAIRED_MAX = 200
#: Less alike are two requests, not one that changed.
_LIKE = 0.35
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


@dataclass(slots=True)
class Comparison:
    same: int = 0
    changes: list[Change] = field(default_factory=list)
    #: Seconds of TTFT and of gaps between reads, of each side.
    ttft_s: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))
    gaps_s: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))

    def counts(self) -> dict[str, int]:
        return {
            "same": self.same,
            **{kind: sum(one.kind == kind for one in self.changes) for kind in KINDS},
        }

    def timing(self) -> dict[str, dict[str, list[float | None]]]:
        """p50 and p95 in milliseconds, before and after."""
        return {
            name: {named: [_ms(values, q) for values in both] for named, q in QUANTILES}
            for name, both in (("ttft_ms", self.ttft_s), ("gap_ms", self.gaps_s))
        }


def _ms(values: list[float], q: float) -> float | None:
    found = quantile(values, q)
    return None if found is None else round(found * 1000, 1)


def compare(before: Sequence[Interaction], after: Sequence[Interaction]) -> Comparison:
    """Equal requests are held against each other in recorded order, like ones by their likeness."""
    found = Comparison()
    for side, records in enumerate((before, after)):
        for record in records:
            gaps = record.response.gaps_us if record.response else ()
            found.ttft_s[side].extend(gap / 1e6 for gap in gaps[:1])
            found.gaps_s[side].extend(gap / 1e6 for gap in gaps[1:])
    pairs, left, right = _by_key(before, after)
    for one, other in pairs:
        changes = list(answers(one, other))
        found.changes += changes
        found.same += not changes
    near, left, right = _by_likeness(left, right)
    for one, other in near:
        details = tuple(str(difference) for difference in explain(_side(other), _side(one)))
        found.changes.append(Change("request", _named(other), one.id, other.id, details))
        found.changes += answers(one, other)
    found.changes += [Change("removed", _named(one), one.id, "") for one in left]
    found.changes += [Change("added", _named(one), "", one.id) for one in right]
    return found


_Pairs = list[tuple[Interaction, Interaction]]


def _by_key(
    before: Sequence[Interaction], after: Sequence[Interaction]
) -> tuple[_Pairs, list[Interaction], list[Interaction]]:
    """The pairs, and who has none on either side."""
    keyed: dict[tuple[str, bytes], tuple[list[Interaction], list[Interaction]]] = {}
    for side, records in enumerate((before, after)):
        for record in records:
            keyed.setdefault((record.session, record.key), ([], []))[side].append(record)
    pairs: _Pairs = []
    left, right = [], []
    for ones, others in keyed.values():
        for one, other in zip_longest(ones, others):
            if one is None:
                right.append(other)
            elif other is None:
                left.append(one)
            else:
                pairs.append((one, other))
    return pairs, left, right


def _by_likeness(
    left: list[Interaction], right: list[Interaction]
) -> tuple[_Pairs, list[Interaction], list[Interaction]]:
    pairs: _Pairs = []
    rest = list(left)
    alone = []
    for other in right:
        words = shingles(other.request.body)
        candidates = [one for one in rest if _route(one) == _route(other)][:_PAIRED_MAX]
        best = max(
            candidates,
            key=lambda one: likeness(words, shingles(one.request.body)),
            default=None,
        )
        if best is None or likeness(words, shingles(best.request.body)) < _LIKE:
            alone.append(other)
            continue
        rest.remove(best)
        pairs.append((best, other))
    return pairs, rest, alone


def _route(record: Interaction) -> tuple[str, str]:
    return record.request.method, record.request.target.partition("?")[0]


def _named(record: Interaction) -> str:
    model = record.view.get("model")
    method, path = _route(record)
    return f"{method} {path}, {model}" if isinstance(model, str) else f"{method} {path}"


def _side(record: Interaction) -> Side:
    request = record.request
    authority = record.upstream.partition("://")[2].lower()
    return Side(request.method, authority, request.target, request.headers, request.body)


# --- answers ---------------------------------------------------------------------------------------


def answers(one: Interaction, other: Interaction) -> Iterator[Change]:
    name, first, second = _named(other), one.response, other.response
    statuses = [reply.status if reply else "none" for reply in (first, second)]
    if statuses[0] != statuses[1]:
        yield Change("status", name, one.id, other.id, (f"{statuses[0]} became {statuses[1]}",))
        return
    if first is None or second is None:
        return
    asked = [[kind for kind, _ in _events(reply.messages, "client")] for reply in (first, second)]
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
    if not is_sse(reply.headers):
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
