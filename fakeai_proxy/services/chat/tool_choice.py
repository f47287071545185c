"""Which of the offered tools a model would call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fakeai_proxy.generate.plausible import Hints, words_of
from fakeai_proxy.services.chat import rules, wire

_CALLS_MAX = 4
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
    most = 1 if request.parallel_tool_calls is False else _CALLS_MAX
    ranked = _ranked(offered, hints)
    wanted = [tool for points, tool in ranked if points >= _POINTS_MIN][:most]
    if choice == "required":
        return Calls(wanted or [ranked[0][1]])
    return NONE if _answered(request.messages) else Calls(wanted)


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
    ranked = _ranked(offered, hints)
    return Calls([tool for points, tool in ranked if points >= _POINTS_MIN][:1], "function_call")


def _answered(messages: Sequence[wire.Message]) -> bool:
    """Whether a tool has answered since the user last spoke: then it is the model's turn to speak."""
    for message in reversed(messages):
        if message.role == "user":
            return False
        if message.role in ("tool", "function"):
            return True
    return False


def _ranked(offered: Sequence[wire.Tool], hints: Hints) -> list[tuple[int, wire.Tool]]:
    """The tools with their points, best first; equals in the order in which they are offered."""
    said = {_stem(word) for word in words_of(hints.prompt[-4000:])} - _EMPTY_WORDS
    scored = [(_points(tool, said), tool) for tool in offered]
    return sorted(scored, key=lambda entry: -entry[0])


def _points(tool: wire.Tool, said: set[str]) -> int:
    about = tool.function if isinstance(tool, wire.FunctionTool) else tool.custom
    name = {_stem(word) for word in words_of(about.name)} - _EMPTY_WORDS
    description = {_stem(word) for word in words_of(about.description or "")} - _EMPTY_WORDS - name
    return _NAME_POINTS * len(name & said) + _DESCRIPTION_POINTS * len(description & said)


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") else word
