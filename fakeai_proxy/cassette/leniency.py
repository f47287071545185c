"""When two requests that differ are near enough: `agent` and `loose`.

An agent's second run sends what its first one sent, but for the ids and the times in it. `agent` renames
those by the order of their first appearance rather than dropping them, so that which result belongs to
which call still counts. `loose` compares model and last words only, and is for demonstrations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fakeai_proxy.cassette.matching import (
    canonical_body,
    canonical_value,
    json_value,
    key_of,
)
from fakeai_proxy.cassette.settings import CassetteSettings, Match
from fakeai_proxy.errors import CassetteError
from fakeai_proxy.exchange import Headers

#: Ids as the vendors make them, UUIDs, and instants as text.
_ID = re.compile(
    r"\b(?:call|toolu|srvtoolu|tooluse|msg|resp|rs|fc|fco|item|ws|fs|ci|mcp|chatcmpl|cmpl|run|step|"
    r"thread|asst|req|conv|sess|event|file|vs|batch|gen|trace|span|session|task)[_-]"
    r"(?=[A-Za-z0-9_-]*[0-9])[A-Za-z0-9_-]{6,}"
    r"|\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"
)
_TIME = re.compile(
    r"\b(?:19|20)\d\d-[01]\d-[0-3]\d(?:[T ][0-2]\d:[0-5]\d(?::[0-6]\d(?:[.,]\d{1,9})?)?"
    r"(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?)?\b"
)
#: Instants as numbers, where the name of a field says so: seconds, milli-, micro-, nanoseconds.
_EPOCH = re.compile(r"1[5-9]\d{8}(?:\.\d+)?|1[5-9]\d{11}|1[5-9]\d{14}|1[5-9]\d{17}")
_TIMELY = re.compile(r"(?i)time|date|stamp|created|updated|_at$|^at$|^ts$|now|epoch")
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class Leniency:
    """`ignore` are JSONPaths of what does not count, `patterns` regular expressions of texts that
    stand for any that they match."""

    match: Match = "exact"
    ignore: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: CassetteSettings) -> Leniency:
        """Raises CassetteError for a path or an expression that is none."""
        made = cls(settings.match, settings.match_ignore, settings.match_pattern)
        _ = made._paths, made._patterns
        return made

    @property
    def is_exact(self) -> bool:
        return self.match == "exact" and not self.ignore and not self.patterns

    def key(self, method: str, target: str, headers: Headers, body: bytes) -> bytes:
        """Of what counts."""
        return key_of(method, target, headers, self._canonical(headers, body))

    def _canonical(self, headers: Headers, body: bytes) -> bytes:
        value = json_value(headers, body)
        if value is None:
            return b"exact\n" + canonical_body(headers, body)
        return self.meaning(value)

    def meaning(self, value: Any, gist: Callable[[Any], str] | None = None) -> bytes:
        """Of JSON as `parse_json` gives it, which is changed; `gist` is what counts in `loose`."""
        for path in self._paths:
            path(value)
        if self.match == "loose":
            return b"loose\n" + (gist or _gist)(value).encode("utf-8", "surrogatepass")
        names = _Names(self.match == "agent", self._patterns)
        return b"agent\n" + canonical_value(names.renamed("", value)).encode(
            "utf-8", "surrogatepass"
        )

    @cached_property
    def _paths(self) -> Sequence[Callable[[Any], object]]:
        return [_forget(path) for path in self.ignore]

    @cached_property
    def _patterns(self) -> Sequence[re.Pattern[str]]:
        try:
            return [re.compile(pattern) for pattern in self.patterns]
        except re.error as error:
            raise CassetteError(f"match_pattern: {error.pattern!r}: {error}") from None


def _forget(path: str) -> Callable[[Any], object]:
    """Deletes what lies there. Raises CassetteError for what is no JSONPath."""
    from jsonpath_ng.exceptions import JSONPathError
    from jsonpath_ng.parser import parse

    try:
        found = parse(path if path.startswith("$") else f"$.{path}")
    except (JSONPathError, AttributeError, TypeError, ValueError) as error:
        raise CassetteError(f"match_ignore: {path!r} is no JSONPath ({error})") from None
    return lambda value: found.filter(lambda _: True, value)


class _Names:
    """Ids and instants by the order in which they first appear."""

    def __init__(self, agent: bool, patterns: Sequence[re.Pattern[str]]) -> None:
        self._agent = agent
        self._patterns = patterns
        self._named: dict[str, str] = {}

    def renamed(self, field: str, value: Any) -> Any:
        """The same value with other names; the fields in sorted order, lists in theirs."""
        if isinstance(value, dict):
            return {self._text(name): self.renamed(name, value[name]) for name in sorted(value)}
        if isinstance(value, list) and all(isinstance(child, tuple) for child in value) and value:
            return value  # an object with a field twice: nothing that an agent sends
        if isinstance(value, list):
            return [self.renamed(field, child) for child in value]
        if isinstance(value, str):
            is_number = type(value) is not str
            if not is_number:
                return self._text(value)
            if self._agent and _TIMELY.search(field) and _EPOCH.fullmatch(value):
                return self._name("time", value)
        return value

    def _text(self, text: str) -> str:
        for number, pattern in enumerate(self._patterns):
            text = pattern.sub(f"\u27e8pattern {number}\u27e9", text)
        if self._agent:
            text = _ID.sub(lambda match: self._name("id", match[0]), text)
            text = _TIME.sub(lambda match: self._name("time", match[0]), text)
        return text

    def _name(self, kind: str, text: str) -> str:
        return self._named.setdefault(text, f"\u27e8{kind} {len(self._named)}\u27e9")


def _gist(value: Any) -> str:
    """The model, the last thing a user said, and whether a stream was asked for: who did not cannot
    read one."""
    if not isinstance(value, dict):
        return canonical_value(value)
    said = value.get("messages", value.get("input", value.get("prompt", value.get("contents"))))
    text = _SPACE.sub(" ", _last_words(said)).strip().lower()
    return f"{value.get('model')}\n{bool(value.get('stream'))}\n{text}"


def gist_of_event(value: Any) -> str:
    """Of what a client says on a WebSocket: what kind of event it is, and the words in it."""
    if not isinstance(value, dict):
        return canonical_value(value)
    item = value.get("item")
    words = _last_words([item]) if isinstance(item, dict) else ""
    return f"{value.get('type')}\n{_SPACE.sub(' ', words).strip().lower()}"


def _last_words(said: Any) -> str:
    if isinstance(said, str):
        return said
    if not isinstance(said, list) or not said:
        return "" if said is None else canonical_value(said)
    if all(isinstance(one, str) for one in said):
        return "\n".join(said)
    turns = [one for one in said if isinstance(one, Mapping)]
    users = [one for one in turns if one.get("role") == "user"]
    last = (users or turns or [{}])[-1]
    content = last.get("content", last.get("parts", ""))
    if isinstance(content, str):
        return content
    return "\n".join(
        str(part["text"]) for part in content
        if isinstance(part, Mapping) and isinstance(part.get("text"), str)
    )  # fmt: skip
