"""Which option would have made a recording the answer to a request: tried out, not guessed.

Nothing is advised that gives up what was asked: other models, other conversations, other words.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from fakeai_proxy.cassette.leniency import Leniency
from fakeai_proxy.cassette.matching import json_value, key_of
from fakeai_proxy.exchange import Headers

#: Fields that differ, at most, for all of them to be ignored.
_PATHS_MAX = 5
#: What of the words of a text has to be the same for the text not to count.
_LIKE = 0.5
_FEW_WORDS = 4
#: Without these a request is another request.
_ESSENTIAL = frozenset(
    (
        "model",
        "messages",
        "input",
        "prompt",
        "contents",
        "stream",
        "system",
        "tools",
        "instructions",
    )
)
#: What changes from run to run, the most particular first. No commas: they part options.
_PATTERNS = (
    r"[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}",
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?)?",
    r"(?:(?:Mon|Tues?|Wednes|Thurs?|Fri|Satur|Sun)(?:day)?\W+)?"
    r"(?:\d\d? )?(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.?(?: \d\d?)?\W+\d{4}",
    r"\d\d?/\d\d?/\d{4}",
    r"\b\d\d?:\d\d(?::\d\d)?(?:\.\d+)?(?: ?[AaPp][Mm])?",
    r"/(?:tmp|var/folders)/[\w./-]+",
    r"\b[0-9a-f]{8}[0-9a-f]*\b",
    r"\d+(?:\.\d+)?",
)
#: The language of paths has words of its own.
_PLAIN_NAME = re.compile(r"(?!(?:parent|where|wherenot)$)[A-Za-z_][A-Za-z0-9_]*")
#: What can stand between quotes in a path, whatever shell and settings it goes through.
_QUOTED_NAME = re.compile(r"[A-Za-z0-9_.:@/-]+")


class Asked(NamedTuple):
    """A request, as keys are made of it."""

    method: str
    target: str
    headers: Headers
    body: bytes


class _Leaf(NamedTuple):
    path: tuple[str | int, ...]
    given: Any
    recorded: Any

    @property
    def jsonpath(self) -> str:
        parts = [
            f"[{part}]" if isinstance(part, int)
            else f".{part}" if _PLAIN_NAME.fullmatch(part) else f"['{part}']"
            for part in self.path
        ]  # fmt: skip
        return "$" + "".join(parts)

    @property
    def may_be_ignored(self) -> bool:
        if not self.path or (len(self.path) == 1 and self.path[0] in _ESSENTIAL):
            return False
        if not all(isinstance(part, int) or _QUOTED_NAME.fullmatch(part) for part in self.path):
            return False
        if isinstance(self.given, (dict, list)) or isinstance(self.recorded, (dict, list)):
            return self.path[0] not in _ESSENTIAL
        words = [set(str(value).split()) for value in (self.given, self.recorded)]
        if max(map(len, words)) < _FEW_WORDS:
            return self.path[-1] not in ("content", "text", "role")
        return len(words[0] & words[1]) >= _LIKE * max(map(len, words))


def advice(current: Leniency, asked: Asked, recorded: Asked) -> str:
    """Options that, besides the `current` ones, make the two one request; "" where none do."""
    if _frame(asked) != _frame(recorded) or current.match == "loose":
        return ""
    given, before = (json_value(one.headers, one.body) for one in (asked, recorded))
    if given is None or before is None:
        return ""
    for leniency in _candidates(current, list(_leaves((), given, before))):
        if leniency.key(*asked) == leniency.key(*recorded):
            return _options(current, _least(current, leniency, asked, recorded))
    return ""


def _frame(one: Asked) -> bytes:
    """What no option touches."""
    return key_of(one.method, one.target, one.headers, b"")


def _candidates(current: Leniency, leaves: list[_Leaf]) -> Iterator[Leniency]:
    """The most particular first."""
    agent = replace(current, match="agent")
    texts = [
        f"{leaf.given}\n{leaf.recorded}"
        for leaf in leaves
        if isinstance(leaf.given, str) and isinstance(leaf.recorded, str)
    ]
    patterns = [one for one in _PATTERNS if any(re.search(one, text) for text in texts)]
    yield agent
    for pattern in patterns:
        for base in (current, agent):
            yield replace(base, patterns=(*base.patterns, pattern))
    if patterns:
        yield replace(agent, patterns=(*agent.patterns, *patterns))
    paths = [leaf.jsonpath for leaf in leaves if leaf.may_be_ignored]
    paths = [path for path in paths if path not in current.ignore]
    if paths and len(paths) <= _PATHS_MAX:
        for base in (agent, replace(agent, patterns=(*agent.patterns, *patterns))):
            yield replace(base, ignore=(*base.ignore, *paths))


def _least(current: Leniency, found: Leniency, asked: Asked, recorded: Asked) -> Leniency:
    """Without what is not needed."""
    smaller = [
        replace(found, patterns=tuple(one for one in found.patterns if one != pattern))
        for pattern in found.patterns[len(current.patterns) :]
    ]
    smaller += [
        replace(found, ignore=tuple(one for one in found.ignore if one != path))
        for path in found.ignore[len(current.ignore) :]
    ]
    smaller.append(replace(found, match=current.match))
    for leniency in smaller:
        if leniency != found and leniency.key(*asked) == leniency.key(*recorded):
            return _least(current, leniency, asked, recorded)
    return found


def _options(current: Leniency, found: Leniency) -> str:
    options = [f"--match {found.match}"] if found.match != current.match else []
    options += [
        f"--match-pattern {shlex.quote(pattern)}"
        for pattern in found.patterns[len(current.patterns) :]
    ]
    options += [
        f"--match-ignore {shlex.quote(path)}" for path in found.ignore[len(current.ignore) :]
    ]
    return " ".join(options)


def _leaves(path: tuple[str | int, ...], given: Any, recorded: Any) -> Iterator[_Leaf]:
    """What differs; one that is not there is None."""
    if isinstance(given, dict) and isinstance(recorded, dict):
        for name in (*recorded, *(name for name in given if name not in recorded)):
            yield from _leaves((*path, name), given.get(name), recorded.get(name))
    elif isinstance(given, list) and isinstance(recorded, list) and len(given) == len(recorded):
        for place, pair in enumerate(zip(given, recorded, strict=True)):
            yield from _leaves((*path, place), *pair)
    elif given != recorded:
        yield _Leaf(path, given, recorded)
