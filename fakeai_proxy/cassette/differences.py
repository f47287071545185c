"""What differs between a request and a recording, in words: for the message of a miss.

Both sides are given scrubbed. The work is bounded: so many differences, so much text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

from fakeai_proxy.cassette.bodies import Content, size_of
from fakeai_proxy.cassette.matching import (
    meaningful,
    multipart,
    parse_json,
    sorted_query,
)
from fakeai_proxy.exchange import Headers

DIFFERENCES_MAX = 20
#: Bodies above this are only said to differ.
COMPARED_BYTES_MAX = 4 << 20
_SHOWN_CHARACTERS = 60
_TEXT_WORDS = 4
_SHINGLED_BYTES = 64 << 10
_WORD = re.compile(rb"\w+")
_ABSENT = "(absent)"


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two requests. `authority` is "" where any will do."""

    method: str
    authority: str
    target: str
    headers: Headers
    body: Content


@dataclass(frozen=True, slots=True)
class Difference:
    """`path` as in `body.messages[2].content`; values shortened."""

    path: str
    recorded: str
    given: str
    note: str = ""

    def __str__(self) -> str:
        if self.note:
            return f"{self.note}: recorded {self.recorded}, given {self.given}"
        return f"{self.path}: recorded {self.recorded}, given {self.given}"


def explain(request: Side, recorded: Side) -> list[Difference]:
    """At most 20 differences, the most telling first."""
    return list(islice(_differences(request, recorded), DIFFERENCES_MAX))


def _differences(request: Side, recorded: Side) -> Iterator[Difference]:
    if request.method.upper() != recorded.method.upper():
        yield _plain("method", recorded.method, request.method)
    if request.authority and recorded.authority and request.authority != recorded.authority:
        yield _plain("host", recorded.authority, request.authority)
    path, _, query = request.target.partition("?")
    recorded_path, _, recorded_query = recorded.target.partition("?")
    if path != recorded_path:
        yield _plain("path", recorded_path, path)
    yield from _pairs("query", sorted_query(query), sorted_query(recorded_query))
    yield from _pairs("header", meaningful(request.headers), meaningful(recorded.headers))
    yield from _bodies(request, recorded)


def _pairs(
    where: str, given: list[tuple[str, str]], recorded: list[tuple[str, str]]
) -> Iterator[Difference]:
    for name in dict.fromkeys(name for name, _ in (*recorded, *given)):
        before = [value for key, value in recorded if key == name]
        after = [value for key, value in given if key == name]
        if before != after:
            yield _plain(
                f"{where} {name}",
                ", ".join(before) if before else _MISSING,
                ", ".join(after) if after else _MISSING,
            )


def _bodies(request: Side, recorded: Side) -> Iterator[Difference]:
    given, before = request.body, recorded.body
    if given == before:
        return
    if not isinstance(given, bytes) or not isinstance(before, bytes):
        yield Difference("body", _size(before), _size(given), "the bodies differ")
        return
    if max(len(given), len(before)) <= COMPARED_BYTES_MAX:
        try:
            yield from _values("body", parse_json(given), parse_json(before), 0)
            return
        except ValueError:
            pass
        parts, parts_before = multipart(request.headers, given), multipart(recorded.headers, before)
        if parts is not None and parts_before is not None:
            yield from _values("parts", [list(part) for part in parts],
                               [list(part) for part in parts_before], 0)  # fmt: skip
            return
    yield Difference("body", _size(before), _size(given), "the bodies differ")


def _size(body: Content) -> str:
    return f"{size_of(body)} bytes"


def _values(path: str, given: Any, recorded: Any, depth: int) -> Iterator[Difference]:
    if type(given) is not type(recorded) or depth > 100:
        if given != recorded or type(given) is not type(recorded):
            yield _plain(path, recorded, given)
    elif isinstance(given, dict):
        for name in (*recorded, *(name for name in given if name not in recorded)):
            yield from _values(f"{path}.{name}", given.get(name, _MISSING),
                               recorded.get(name, _MISSING), depth + 1)  # fmt: skip
    elif isinstance(given, list):
        for place in range(max(len(given), len(recorded))):
            yield from _values(
                f"{path}[{place}]",
                given[place] if place < len(given) else _MISSING,
                recorded[place] if place < len(recorded) else _MISSING,
                depth + 1,
            )
    elif given != recorded:
        if isinstance(given, str) and min(len(given.split()), len(recorded.split())) >= _TEXT_WORDS:
            yield _texts(path, given, recorded)
        else:
            yield _plain(path, recorded, given)


def shingles(body: Content) -> set[bytes]:
    """Pairs of words, of the first 64 kB."""
    words = _WORD.findall(body[:_SHINGLED_BYTES]) if isinstance(body, bytes) else []
    return {first + b" " + second for first, second in pairwise(words)}


def likeness(one: set[bytes], other: set[bytes]) -> float:
    """The share of shingles that both have, 0 to 1."""
    return len(one & other) / (len(one | other) or 1)


class _Missing:
    pass


_MISSING = _Missing()


def _texts(path: str, given: str, recorded: str) -> Difference:
    after, before = given.split(), recorded.split()
    place = next(
        (k for k, (one, other) in enumerate(zip(after, before, strict=False)) if one != other),
        min(len(after), len(before)),
    )
    first = max(place - 2, 0)
    return Difference(
        path,
        _shown(" ".join(before[first : place + 6]) if place < len(before) else _END),
        _shown(" ".join(after[first : place + 6]) if place < len(after) else _END),
        f"{_spoken(path)} differs at word {place + 1}",
    )


_END = "(the text ends)"


def _spoken(path: str) -> str:
    """`message 2` for `body.messages[2].content`."""
    rest = path.removeprefix("body.messages[")
    number, bracket, field = rest.partition("]")
    if rest != path and bracket and field.startswith(".content"):
        return f"message {number}"
    return path


def _plain(path: str, recorded: Any, given: Any) -> Difference:
    return Difference(path, _value(recorded), _value(given))


def _value(value: Any) -> str:
    if value is _MISSING:
        return _ABSENT
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        return f"an object with {', '.join(list(value)[:6]) or 'no keys'}"[:_SHOWN_CHARACTERS]
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if type(value) is str:
        return _shown(value)
    return str(value)


def _shown(text: str) -> str:
    short = text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."
    return repr(short)
