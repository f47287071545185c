"""Which of the offered tools are called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from fakeai_proxy.generate.plausible import Hints
from fakeai_proxy.generate.wanted_tools import CALLS_MAX, Offer, best, wanted
from fakeai_proxy.services.messages import wire

_VIEW = {
    "type": "object", "required": ["command", "path"], "additionalProperties": False,
    "properties": {"command": {"enum": ["view"]}, "path": {"type": "string"}},
}  # fmt: skip
#: What the vendor's tools that run at the client take: (words that speak of them, the input's schema).
_VENDORS: dict[str, tuple[str, dict[str, Any]]] = {
    "bash": ("shell command terminal script file directory list", {
        "type": "object", "required": ["command"], "additionalProperties": False,
        "properties": {"command": {"enum": ["ls -la", "pwd", "git status"]}}}),
    "text_editor": ("editor edit view file files", _VIEW),
    "memory": ("memory remember memories", _VIEW),
    "computer": ("computer screen screenshot click", {
        "type": "object", "required": ["action"], "additionalProperties": False,
        "properties": {"action": {"enum": ["screenshot"]}}}),
}  # fmt: skip


class Called(NamedTuple):
    """Names, schemas and whether they are strict, in order; `forced` by the client."""

    tools: Sequence[tuple[str, dict[str, Any], bool]] = ()
    forced: bool = False


NONE = Called()


def called(request: wire.Asking, hints: Hints) -> Called:
    choice = request.tool_choice or wire.AutoChoice(type="auto")
    offered = [tool for tool in map(_callable, request.tools or ()) if tool is not None]
    if not offered or isinstance(choice, wire.NoChoice):
        return NONE
    if isinstance(choice, wire.ToolChoice):
        return Called([taken for offer, taken in offered if offer.name == choice.name], forced=True)
    offers = [offer for offer, _ in offered]
    places = wanted(offers, hints, 1 if choice.disable_parallel_tool_use else CALLS_MAX)
    if isinstance(choice, wire.AnyChoice):
        return Called([offered[place][1] for place in places or [best(offers, hints)]], forced=True)
    if _answered(request.messages):
        return NONE
    return Called([offered[place][1] for place in places])


def _callable(tool: wire.Tool) -> tuple[Offer, tuple[str, dict[str, Any], bool]] | None:
    """None for tools that the vendor itself would run."""
    if isinstance(tool, wire.CustomTool):
        schema = tool.input_schema.model_dump(exclude_unset=True)
        return Offer(tool.name, tool.description or ""), (tool.name, schema, bool(tool.strict))
    kind = tool.type.rstrip("0123456789_")
    if kind not in _VENDORS or not tool.name:
        return None
    words, schema = _VENDORS[kind]
    return Offer(tool.name, words), (tool.name, schema, True)


def _answered(messages: Sequence[wire.Message]) -> bool:
    """Whether a tool has answered since the user last spoke: then it is the model's turn to speak."""
    for message in reversed(messages):
        if message.role == "user":
            return any(isinstance(block, wire.ToolResultBlock) for block in message.blocks)
    return False
