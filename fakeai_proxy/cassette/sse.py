"""Server-sent events as bytes: where a stream ends, what its frames say, what its text is.

Text that a model writes token by token lies scattered over frames; `scattered` finds the pieces of
each text where they stand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import orjson

#: String fields; without those that every frame has, which hold names and are whole in each.
_FIELD = re.compile(
    rb'"(?!(?:id|object|model|type|role|finish_reason|service_tier|system_fingerprint|item_id)")'
    rb'(\w{1,64})"\s{0,4}:\s{0,4}"([^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*)"'
)
_INDEX = re.compile(rb'"\w{0,32}index"\s{0,4}:\s{0,4}(\d{1,9})')
_DATA = re.compile(rb"^data: ?(.*?)\r?$", re.MULTILINE)
_TELLING = (b'"usage"', b'"usageMetadata"', b'"response"', b'"stop_reason"', b'"finish_reason"')
#: How vendors end a stream; nothing but the end of the connection follows.
_LAST_FRAME = re.compile(
    rb"(?:^|\n)(?:data: ?\[DONE\]"
    rb"|event: ?(?:message_stop|response\.(?:completed|failed|incomplete))\r?\ndata: ?[^\r\n]*)"
    rb"\r?\n\r?\n$"
)
_LAST_MARKS = (b"[DONE]", b"message_stop", b"response.")
#: How much of a stream's end is looked at for its last frame: usually enough, and in any case (the
#: frame may hold a whole response).
_LAST_FRAME_BYTES = (1 << 10, 256 << 10)


def ends(tail: Callable[[int], bytes]) -> bool:
    """Whether a stream has said all it had to say; `tail` gives at least so many of its last bytes."""
    for count in _LAST_FRAME_BYTES:
        end = tail(count)
        if not end.endswith((b"\n\n", b"\r\n\r\n")):
            return False
        start = max(end.rfind(b"\n\n", 0, -4), end.rfind(b"\r\n\r\n", 0, -4))
        if start >= 0 or len(end) < count:
            if not any(end.find(mark, max(start, 0)) >= 0 for mark in _LAST_MARKS):
                return False  # as of nearly all frames
            return _LAST_FRAME.search(end, max(start, 0)) is not None
    return False


def data_frames(piece: bytes) -> int:
    """How many frames with content begin in `piece`."""
    return piece.count(b"data:") - piece.count(b"data: [DONE]")


def telling(body: bytes) -> Iterator[dict[str, Any]]:
    """The JSON objects of the first `data` line and of those in which a field of `_TELLING` has a
    value: of a stream's many frames the few that say how it went."""
    first = _DATA.search(body)
    if first is None:
        return
    places = [first.start()]
    for needle in _TELLING:
        at = body.find(needle)
        while at >= 0:
            after = body[at + len(needle) : at + len(needle) + 8].lstrip(b" :")
            if not after.startswith(b"null"):
                places.append(body.rfind(b"\n", 0, at) + 1)
            at = body.find(needle, at + 1)
    for place in sorted(set(places)):
        match = _DATA.match(body, place)
        value = _json(match[1]) if match else None
        if isinstance(value, dict):
            yield value


def _json(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def scattered(body: bytes) -> Iterator[list[tuple[int, int]]]:
    """For each string field that several lines hold (same name, same indexes): the places of its
    pieces, start and end, in order."""
    groups: dict[tuple[object, ...], list[tuple[int, int]]] = {}
    position = 0
    parts: list[bytes] = []
    usual: list[list[tuple[int, int]]] = []
    for line in body.split(b"\n"):
        spans = _between(line, parts)
        if spans:  # most lines are like the one before
            for places, (start, end) in zip(usual, spans, strict=True):
                places.append((position + start, position + end))
        elif b'":' in line and (fields := list(_FIELD.finditer(line))):
            indexes = tuple(_INDEX.findall(line))
            seen: dict[bytes, int] = {}
            parts, usual, at = [], [], 0
            for match in fields:
                nth = seen[match[1]] = seen.get(match[1], 0) + 1
                start, end = match.span(2)
                places = groups.setdefault((match[1], nth, indexes), [])
                places.append((position + start, position + end))
                parts.append(line[at:start])
                usual.append(places)
                at = end
            parts.append(line[at:])
        position += len(line) + 1
    return (places for places in groups.values() if len(places) > 1)


def _between(line: bytes, parts: list[bytes]) -> list[tuple[int, int]]:
    """Start and end of the texts of a line that otherwise consists of these parts; none where it does
    not, or where one of the texts has an escape."""
    if not parts or not line.startswith(parts[0]):
        return []
    spans, start = [], len(parts[0])
    for part in parts[1:]:
        end = line.find(b'"', start)
        if end < 0 or line.find(b"\\", start, end) >= 0 or not line.startswith(part, end):
            return []
        spans.append((start, end))
        start = end + len(part)
    return spans if start == len(line) else []
