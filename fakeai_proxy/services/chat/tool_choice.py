"""Which of the offered tools a model would call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fakeai_proxy.generate.plausible import Hints
from fakeai_proxy.generate.wanted_tools import CALLS_MAX, Offer, best, wanted
from fakeai_proxy.services.chat import rules, wire


@dataclass(frozen=True, slots=True)
class Calls:
    """The tools to call, in order, and how the answer then ends."""

    tools: Sequence[wire.Tool] = ()
    finish_reason: str = "tool_calls"


NONE = Calls()


def choose(request: wire.ChatRequest, hints: Hints) -> Calls:
    """The calls that `request` asks for or suggests."""
    if request.functions and not request.tools:
        return _functions(request, hints)
    if not request.tools:
        return NONE
    choice = request.tool_choice or "auto"
    offered: Sequence[wire.Tool] = request.tools
    if isinstance(choice, wire.NamedFunction | wire.NamedCustom):
        # Where the caller forces one function, the answer ends as text does.
        return Calls(
            [tool for tool in offered if rules.name_of(tool) == rules.named_by(choice)][:1], "stop"
        )
    if isinstance(choice, wire.AllowedChoice):
        allowed = {rules.named_by(tool) for tool in choice.allowed_tools.tools}
        offered = [tool for tool in offered if rules.name_of(tool) in allowed]
        choice = choice.allowed_tools.mode
    if choice == "none":
        return NONE
    most = 1 if request.parallel_tool_calls is False else CALLS_MAX
    offers = _offers(offered)
    places = wanted(offers, hints, most)
    if choice == "required":
        return Calls([offered[place] for place in places or [best(offers, hints)]])
    return NONE if _answered(request.messages) else Calls([offered[place] for place in places])


def _functions(request: wire.ChatRequest, hints: Hints) -> Calls:
    """The deprecated form: one function at most."""
    offered = [
        wire.FunctionTool(type="function", function=function)
        for function in request.functions or ()
    ]
    choice = request.function_call or "auto"
    if isinstance(choice, wire.Named):
        return Calls([tool for tool in offered if tool.function.name == choice.name][:1], "stop")
    if choice == "none" or _answered(request.messages):
        return NONE
    places = wanted(_offers(offered), hints, 1)
    return Calls([offered[place] for place in places], "function_call")


def _answered(messages: Sequence[wire.Message]) -> bool:
    """Whether a tool has answered since the user last spoke: then it is the model's turn to speak."""
    for message in reversed(messages):
        if message.role == "user":
            return False
        if message.role in ("tool", "function"):
            return True
    return False


def _offers(offered: Sequence[wire.Tool]) -> list[Offer]:
    told = [
        tool.function if isinstance(tool, wire.FunctionTool) else tool.custom for tool in offered
    ]
    return [Offer(about.name, about.description or "") for about in told]
