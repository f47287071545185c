"""Which tools an answer uses: the vendor's own, whose work is part of it, and the client's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from fakeai_proxy.generate.plausible import Hints
from fakeai_proxy.generate.wanted_tools import CALLS_MAX
from fakeai_proxy.services.answer.tool import NO_PARAMETERS, Tool, wanted
from fakeai_proxy.services.items.history import Item, answers, called_in
from fakeai_proxy.services.responses import rules, tools, wire

#: Words of a prompt that suggest a tool of the vendor's.
_SUGGESTED = {
    "web_search": "web internet online news latest today weather",
    "file_search": "files documents document knowledge manual pdf report",
    "code_interpreter": "python calculate compute plot chart csv sum average statistics",
    "image_generation": "image picture draw drawing paint illustration photo sketch",
    "computer": "computer browser screen screenshot click website",
    "computer_use_preview": "computer browser screen screenshot click website",
    "local_shell": "shell command terminal bash script directory",
    "shell": "shell command terminal bash script directory",
    "apply_patch": "patch file files edit refactor code",
}


@dataclass(frozen=True, slots=True)
class Uses:
    """`works` are items of the answer that are done or asked for, `calls` those of functions."""

    works: Sequence[tools.Tool] = ()
    calls: Sequence[Tool] = ()


#: What a tool of the vendor's and a client's own are both wanted as.
Candidate = tuple[tools.Tool, Tool]
#: Screens are looked at before they are touched, and that is enough.
_COMPUTER_STEPS = 2


def choose(request: wire.ResponseRequest, items: Sequence[Item], hints: Hints) -> Uses:
    """The uses that `request` asks for or suggests."""
    offered = _offered(request.tools or ())
    choice = request.tool_choice or "auto"
    if isinstance(choice, tools.AllowedTools):
        allowed = choice.tools
        offered = [pair for pair in offered if any(tools.is_named(pair[0], one) for one in allowed)]
        choice = choice.mode
    required = choice == "required"
    if isinstance(choice, tools.NamedTool):
        named = choice
        offered = [pair for pair in offered if tools.is_named(pair[0], named)][:1]
        required = True
    if not offered or choice == "none":
        return Uses()
    answered = answers(items)
    called = called_in(items)
    if answered and not required and not _is_handed_on(offered, called, answered):
        offered = [pair for pair in offered if _goes_on(pair[0], answered)]
        return _sorted(request, offered[:1])
    found = wanted([candidate for _, candidate in offered], hints, required=required, called=called)
    if not found:  # whoever brings files along asks about them
        return _sorted(request, [pair for pair in offered if isinstance(pair[0], tools.FileSearch)])
    return _sorted(request, [_origin(offered, one) for one in found])


def _offered(offered: Sequence[tools.Tool]) -> list[Candidate]:
    pairs: list[Candidate] = []
    for tool in offered:
        if isinstance(tool, tools.Namespace):
            pairs += [
                (inner, replace(_candidate(inner), namespace=tool.name)) for inner in tool.tools
            ]
        elif not isinstance(tool, tools.Elsewhere):
            pairs.append((tool, _candidate(tool)))
    return pairs


def _goes_on(tool: tools.Tool, answered: Sequence[str]) -> bool:
    """Whether the work that was begun with it is not done by what it has answered so far."""
    if not isinstance(tool, tools.Computer | tools.ComputerPreview):
        return False
    return answered[0] == "computer_call_output" and len(answered) < _COMPUTER_STEPS


def _is_handed_on(
    offered: Sequence[Candidate], called: Collection[str], answered: Sequence[str]
) -> bool:
    """Whether who is asked now has other functions than those that have answered: another agent, which
    has done nothing yet."""
    functions = {own.name for tool, own in offered if isinstance(tool, tools.FunctionTool)}
    return (
        bool(functions)
        and functions.isdisjoint(called)
        and set(answered) == {"function_call_output"}
    )


def _origin(candidates: Sequence[Candidate], found: Tool) -> Candidate:
    return next(pair for pair in candidates if pair[1] is found)


def _sorted(request: wire.ResponseRequest, found: Sequence[Candidate]) -> Uses:
    """The vendor's work is bounded by what the client allows; calls that the client answers are only
    one at a time where it wants them so."""
    works: list[tools.Tool] = []
    errands: list[tools.Tool] = []
    calls: list[Tool] = []
    for tool, candidate in found:
        if isinstance(tool, tools.FunctionTool | tools.CustomTool):
            calls.append(candidate)
        elif isinstance(tool, tools.OnClient) or (
            isinstance(tool, tools.Shell) and not tool.is_hosted
        ):
            errands.append(tool)
        else:
            works.append(tool)
    works_max = CALLS_MAX if request.max_tool_calls is None else request.max_tool_calls
    most = 1 if request.parallel_tool_calls is False else CALLS_MAX
    errands = errands[:most]
    return Uses([*works[:works_max], *errands], calls[: most - len(errands)])


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
        offered = Tool(tool.name, tool.description or "", custom=True)
        if isinstance(form, tools.GrammarFormat):
            return replace(offered, grammar=form.definition, syntax=form.syntax)
        return offered
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
