"""A tool that is offered to a model, and which of several it would call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fakeai_proxy.generate.plausible import Hints, words_of

#: Calls in one answer.
CALLS_MAX = 4
#: A word of the name that the prompt uses, and one of the description.
_NAME_POINTS, _DESCRIPTION_POINTS = 3, 1
#: From here on a tool is called.
_POINTS_MIN = 2
#: Words that many names and descriptions have and that say nothing.
_EMPTY_WORDS = frozenset(
    """a about all an and any are as at be by call can check create current do find fetch for from
    function get given has have how i if in into is it its look make me my new of on or our perform
    please return returns run set should show some tell tool that the their them this to update use
    used user uses using want what when where which will with you your""".split()  # noqa: SIM905 - a wall of quotation marks otherwise
)
#: A function that declares no parameters takes none.
NO_PARAMETERS: Mapping[str, Any] = {
    "type": "object", "properties": {}, "required": [], "additionalProperties": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tool:
    """`parameters` is a JSON Schema; a `custom` tool is given text instead, by the regular
    expression `grammar` if it has one."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=lambda: NO_PARAMETERS)
    strict: bool = False
    custom: bool = False
    grammar: str = ""


def wanted(offered: Sequence[Tool], hints: Hints, *, required: bool = False) -> list[Tool]:
    """Those that the prompt speaks of, best first; the best of all where one is `required`."""
    ranked = _ranked(offered, hints)
    found = [tool for points, tool in ranked if points >= _POINTS_MIN]
    return found or [ranked[0][1]] if required else found


def _ranked(offered: Sequence[Tool], hints: Hints) -> list[tuple[int, Tool]]:
    """The tools with their points, best first; equals in the order in which they are offered."""
    said = {_stem(word) for word in words_of(hints.prompt[-4000:])} - _EMPTY_WORDS
    scored = [(_points(tool, said), tool) for tool in offered]
    return sorted(scored, key=lambda entry: -entry[0])


def _points(tool: Tool, said: set[str]) -> int:
    name = {_stem(word) for word in words_of(tool.name)} - _EMPTY_WORDS
    description = {_stem(word) for word in words_of(tool.description)} - _EMPTY_WORDS - name
    return _NAME_POINTS * len(name & said) + _DESCRIPTION_POINTS * len(description & said)


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") else word
