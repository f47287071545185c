"""Which tools an answer uses: the vendor's own, whose work is part of it, and the client's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fakeai_proxy.generate.plausible import Hints
from fakeai_proxy.generate.wanted_tools import CALLS_MAX
from fakeai_proxy.services.answer.tool import NO_PARAMETERS, Tool, wanted
from fakeai_proxy.services.responses import rules, tools, wire
from fakeai_proxy.services.responses.conversation import Item, answered

#: Words of a prompt that suggest a tool of the vendor's.
_SUGGESTED = {
    "web_search": "web internet online news latest today weather",
    "file_search": "files documents document knowledge manual pdf report",
    "code_interpreter": "python calculate compute plot chart csv sum average statistics",
    "image_generation": "image picture draw drawing paint illustration photo sketch",
}


@dataclass(frozen=True, slots=True)
class Uses:
    """`forced` calls are made whatever the tools have already answered."""

    works: Sequence[tools.Tool] = ()
    calls: Sequence[Tool] = ()


def choose(request: wire.ResponseRequest, items: Sequence[Item], hints: Hints) -> Uses:
    """The uses that `request` asks for or suggests."""
    offered = request.tools or []
    choice = request.tool_choice or "auto"
    if isinstance(choice, tools.AllowedTools):
        allowed = choice.tools
        offered = [tool for tool in offered if any(tools.is_named(tool, one) for one in allowed)]
        choice = choice.mode
    required = choice == "required"
    if isinstance(choice, tools.NamedTool):
        named = choice
        offered = [tool for tool in offered if tools.is_named(tool, named)][:1]
        required = True
    candidates = [
        (tool, _candidate(tool)) for tool in offered if not isinstance(tool, tools.Elsewhere)
    ]
    if not candidates or choice == "none" or (not required and answered(items)):
        return Uses()
    found = wanted([candidate for _, candidate in candidates], hints, required=required)
    return _sorted(request, [_origin(candidates, one) for one in found])


def _origin(candidates: Sequence[tuple[tools.Tool, Tool]], found: Tool) -> tuple[tools.Tool, Tool]:
    return next(pair for pair in candidates if pair[1] is found)


def _sorted(request: wire.ResponseRequest, found: Sequence[tuple[tools.Tool, Tool]]) -> Uses:
    most = 1 if request.parallel_tool_calls is False else CALLS_MAX
    works: list[tools.Tool] = []
    calls: list[Tool] = []
    for tool, candidate in found:
        if isinstance(tool, tools.FunctionTool | tools.CustomTool):
            calls.append(candidate)
        else:
            works.append(tool)
    works_max = CALLS_MAX if request.max_tool_calls is None else request.max_tool_calls
    return Uses(works[:works_max], calls[:most])


def _candidate(tool: tools.Tool) -> Tool:
    if isinstance(tool, tools.FunctionTool):
        return Tool(
            tool.name,
            tool.description or "",
            tool.parameters or NO_PARAMETERS,
            rules.is_strict(tool),
        )
    if isinstance(tool, tools.CustomTool):
        form = tool.format
        grammar = form.definition if isinstance(form, tools.GrammarFormat) else ""
        return Tool(tool.name, tool.description or "", custom=True, grammar=grammar)
    if isinstance(tool, tools.Mcp):
        names = " ".join([tool.server_label, *mcp_tools(tool)])
        return Tool(names, tool.server_description or "")
    kind = "web_search" if isinstance(tool, tools.WebSearch) else tool.type
    return Tool(_SUGGESTED.get(kind, kind))


def mcp_tools(tool: tools.Mcp) -> list[str]:
    """The names of a server's tools: those that are allowed, else those that servers of documents
    have."""
    allowed = tool.allowed_tools
    if isinstance(allowed, dict):
        allowed = allowed.get("tool_names")
    names = [name for name in allowed or () if isinstance(name, str)]
    return names or ["search", "fetch"]


def needs_approval(tool: tools.Mcp, name: str) -> bool:
    policy = tool.require_approval
    if isinstance(policy, dict):
        never = policy.get("never")
        return not (isinstance(never, dict) and name in (never.get("tool_names") or ()))
    return bool(policy != "never")
