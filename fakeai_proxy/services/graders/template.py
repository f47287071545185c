"""Templates: `{{item.question}}` and `{{sample.output_text}}` in the texts of graders and prompts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

_PLACE = re.compile(r"\{\{\s*([A-Za-z_][\w.\[\]-]*)\s*\}\}")
_STEP = re.compile(r"[^.\[\]]+")
#: Characters of a filled text.
_TEXT_CHARS_MAX = 1 << 20


class NoSuchNameError(Exception):
    """The template names what is not there."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def names_in(text: str) -> set[str]:
    return set(_PLACE.findall(text))


def value_of(name: str, values: Mapping[str, Any]) -> Any:
    """What stands at a path. Raises NoSuchNameError."""
    found: Any = values
    for step in _STEP.findall(name):
        if isinstance(found, Mapping) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        else:
            raise NoSuchNameError(name)
    return found


def filled(text: str, values: Mapping[str, Any]) -> str:
    """Raises NoSuchNameError."""
    return _PLACE.sub(lambda match: as_text(value_of(match[1], values)), text)[:_TEXT_CHARS_MAX]


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def texts_in(content: Any) -> Iterator[str]:
    """The texts of a message's content: a text, a part, or several of these."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, Mapping):
        text = content.get("text")
        if isinstance(text, str):
            yield text
    elif isinstance(content, Iterable):
        for part in content:
            yield from texts_in(part)
