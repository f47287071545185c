"""A tool that is offered to a model, and which of several it would call."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fakeai_proxy.generate import wanted_tools
from fakeai_proxy.generate.plausible import Hints
from fakeai_proxy.generate.wanted_tools import CALLS_MAX, Offer

#: A function that declares no parameters takes none.
NO_PARAMETERS: Mapping[str, Any] = {
    "type": "object", "properties": {}, "required": [], "additionalProperties": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tool:
    """`parameters` is a JSON Schema; a `custom` tool is given text instead, by its `grammar` if it has
    one: a regular expression, or one in Lark's form where its `syntax` is that. `namespace` is the group
    that it belongs to, if any."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=lambda: NO_PARAMETERS)
    strict: bool = False
    custom: bool = False
    grammar: str = ""
    syntax: str = "regex"
    namespace: str = ""


def wanted(
    offered: Sequence[Tool],
    hints: Hints,
    most: int = CALLS_MAX,
    *,
    required: bool = False,
    called: Collection[str] = (),
) -> list[Tool]:
    """Those that the prompt speaks of, best first; the best of all where one is `required`. What was
    `called` is not called again, unless one is required and there is no other."""
    left = [tool for tool in offered if tool.name not in called]
    offered = left if left or not required else offered
    offers = [Offer(tool.name, tool.description) for tool in offered]
    places = wanted_tools.wanted(offers, hints, most)
    if required and not places:
        places = [wanted_tools.best(offers, hints)]
    return [offered[place] for place in places]
