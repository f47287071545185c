"""Which of the offered tools a chat request has called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fakeai_proxy.generate.plausible import Hints
from fakeai_proxy.generate.wanted_tools import CALLS_MAX
from fakeai_proxy.services.answer.tool import NO_PARAMETERS, Tool, wanted
from fakeai_proxy.services.chat import rules, wire


@dataclass(frozen=True, slots=True)
class Calls:
    """The tools to call, in order, and how the answer then ends."""

    tools: Sequence[Tool] = ()
    finish_reason: str = "tool_calls"


NONE = Calls()


def choose(request: wire.ChatRequest, hints: Hints) -> Calls:
    """The calls that `request` asks for or suggests."""
    if request.functions and not request.tools:
        return _functions(request, hints)
    if not request.tools:
        return NONE
    choice = request.tool_choice or "auto"
    offered = [tool_of(tool) for tool in request.tools]
    if isinstance(choice, wire.NamedFunction | wire.NamedCustom):
        # Where the caller forces one function, the answer ends as text does.
        name = rules.named_by(choice)
        return Calls([tool for tool in offered if tool.name == name][:1], "stop")
    if isinstance(choice, wire.AllowedChoice):
        allowed = {rules.named_by(tool) for tool in choice.allowed_tools.tools}
        offered = [tool for tool in offered if tool.name in allowed]
        choice = choice.allowed_tools.mode
    most = 1 if request.parallel_tool_calls is False else CALLS_MAX
    if choice == "none":
        return NONE
    required, called = choice == "required", _called(request.messages)
    return Calls(wanted(offered, hints, most, required=required, called=called))


def _functions(request: wire.ChatRequest, hints: Hints) -> Calls:
    """The deprecated form: one function at most."""
    offered = [_function(function) for function in request.functions or ()]
    choice = request.function_call or "auto"
    if isinstance(choice, wire.Named):
        return Calls([tool for tool in offered if tool.name == choice.name][:1], "stop")
    if choice == "none":
        return NONE
    called = _called(request.messages)
    return Calls(wanted(offered, hints, 1, called=called), "function_call")


def tool_of(tool: wire.Tool) -> Tool:
    if isinstance(tool, wire.FunctionTool):
        return _function(tool.function)
    form = tool.custom.format
    name, description = tool.custom.name, tool.custom.description or ""
    if not isinstance(form, wire.GrammarFormat):
        return Tool(name, description, custom=True)
    grammar = form.grammar
    return Tool(name, description, custom=True, grammar=grammar.definition, syntax=grammar.syntax)


def _function(function: wire.Function) -> Tool:
    return Tool(
        function.name,
        function.description or "",
        function.parameters or NO_PARAMETERS,
        bool(function.strict),
    )


def _called(messages: Sequence[wire.Message]) -> set[str]:
    """What was called since the user last spoke: nothing is called twice, so that loops end."""
    names: set[str] = set()
    for message in reversed(messages):
        if message.role == "user":
            break
        if isinstance(message, wire.AssistantMessage):
            names |= {
                call.function.name if isinstance(call, wire.FunctionCall) else call.custom.name
                for call in message.tool_calls or ()
            }
            if message.function_call is not None:
                names.add(message.function_call.name)
        elif isinstance(message, wire.FunctionMessage):
            names.add(message.name)
    return names
