"""Which of the offered tools are used: the client's, and those that the vendor runs itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fakeai_proxy.generate.plausible import Hints
from fakeai_proxy.generate.wanted_tools import CALLS_MAX
from fakeai_proxy.services.answer.tool import Tool, wanted
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
#: The tools that the vendor runs, and words that speak of them.
_RUN_BY_VENDOR = {
    "web_search": "web internet search online news latest today weather",
    "web_fetch": "page url http https website link www com org net html",
    "code_execution": "python calculate compute run code plot chart csv sum average statistics",
}


@dataclass(frozen=True, slots=True)
class Uses:
    """`runs` is what the vendor does within the answer, `calls` what the client has to answer;
    `forced` by the client."""

    calls: Sequence[Tool] = ()
    runs: Sequence[wire.VendorTool] = ()
    forced: bool = False


def uses(request: wire.Asking, hints: Hints) -> Uses:
    choice = request.tool_choice or wire.AutoChoice(type="auto")
    offered = [
        (tool, candidate) for tool in request.tools or ()
        if (candidate := _candidate(tool)) is not None
    ]  # fmt: skip
    if not offered or isinstance(choice, wire.NoChoice):
        return Uses()
    forced = isinstance(choice, wire.ToolChoice | wire.AnyChoice)
    if isinstance(choice, wire.ToolChoice):
        found = [candidate for _, candidate in offered if candidate.name == choice.name]
    elif not forced and _answered(request.messages):
        return Uses()
    else:
        most = 1 if choice.disable_parallel_tool_use else CALLS_MAX
        candidates = [candidate for _, candidate in offered]
        called = _called(request.messages)
        found = wanted(candidates, hints, most, required=forced, called=called)
    calls = []
    runs = []
    for tool, candidate in offered:
        if any(candidate is one for one in found):
            if isinstance(tool, wire.VendorTool) and tool.kind in _RUN_BY_VENDOR:
                runs.append(tool)
            else:
                calls.append(candidate)
    order = {id(candidate): place for place, candidate in enumerate(found)}
    return Uses(sorted(calls, key=lambda call: order[id(call)]), runs, forced)


def _candidate(tool: wire.Tool) -> Tool | None:
    """None for tools that work without being called."""
    if isinstance(tool, wire.CustomTool):
        schema = tool.input_schema.model_dump(exclude_unset=True)
        return Tool(tool.name, tool.description or "", schema, bool(tool.strict))
    if tool.kind in _RUN_BY_VENDOR:
        return Tool(tool.name or tool.kind, _RUN_BY_VENDOR[tool.kind])
    if tool.kind not in _VENDORS or not tool.name:
        return None
    words, schema = _VENDORS[tool.kind]
    return Tool(tool.name, words, schema, strict=True)


def _answered(messages: Sequence[wire.Message]) -> bool:
    """Whether a tool has answered since the user last spoke: then it is the model's turn to speak."""
    for message in reversed(messages):
        if message.role == "user":
            return any(isinstance(block, wire.ToolResultBlock) for block in message.blocks)
    return False


def _called(messages: Sequence[wire.Message]) -> set[str]:
    """What the client's tools were called since the user last spoke."""
    names: set[str] = set()
    for message in reversed(messages):
        blocks = message.blocks
        if message.role == "user" and not any(isinstance(b, wire.ToolResultBlock) for b in blocks):
            break
        names |= {block.name for block in blocks if isinstance(block, wire.ToolUseBlock)}
    return names
