"""Which of its tools a run uses: the vendor's own, whose work it does itself, and the client's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fakeai_proxy.generate.plausible import Hints
from fakeai_proxy.generate.wanted_tools import CALLS_MAX
from fakeai_proxy.services.answer.tool import NO_PARAMETERS, Tool, wanted

#: Words of a prompt that suggest a tool of the vendor's.
_SUGGESTED = {
    "file_search": "files documents document knowledge manual pdf report",
    "code_interpreter": "python calculate compute plot chart csv sum average statistics",
}


@dataclass(frozen=True, slots=True)
class Uses:
    """`works` are kinds of the vendor's own tools, `calls` functions of the client's."""

    works: Sequence[str] = ()
    calls: Sequence[Tool] = ()


def choose(run: Mapping[str, Any], called: Sequence[Mapping[str, Any]], hints: Hints) -> Uses:
    """What `run` asks for or suggests. `called` has been called before: nothing is called twice, so
    that loops end, and nothing is forced twice."""
    choice = run["tool_choice"]
    done = {_name(call) for call in called}
    offered = [(tool["type"], _offered(tool)) for tool in run["tools"]]
    forced = not called and choice == "required"
    if isinstance(choice, dict) and not called:
        name = choice["function"]["name"] if choice["type"] == "function" else choice["type"]
        offered = [pair for pair in offered if _chosen(pair, name)][:1]
        forced = True
    if choice == "none" or not offered:
        return Uses()
    tools = [tool for _, tool in offered]
    found = wanted(tools, hints, required=forced, called={_alias(name) for name in done})
    kinds = [next(kind for kind, tool in offered if tool is one) for one in found]
    works = [kind for kind in kinds if kind != "function"]
    if "file_search" not in done | {*works} and _has_something_to_search(run, offered):
        works.append("file_search")
    calls = [tool for tool, kind in zip(found, kinds, strict=True) if kind == "function"]
    return Uses(works, calls[: CALLS_MAX if run["parallel_tool_calls"] else 1])


def _has_something_to_search(run: Mapping[str, Any], offered: Sequence[tuple[str, Tool]]) -> bool:
    """Whoever gives a run documents wants it to look into them."""
    return bool(run["_vector_store_ids"]) and any(kind == "file_search" for kind, _ in offered)


def _name(call: Mapping[str, Any]) -> str:
    return str(call["function"]["name"] if call["type"] == "function" else call["type"])


def _alias(name: str) -> str:
    """The name by which a tool is wanted."""
    return _SUGGESTED.get(name, name)


def _chosen(pair: tuple[str, Tool], name: str) -> bool:
    kind, tool = pair
    return tool.name == name if kind == "function" else kind == name


def _offered(tool: Mapping[str, Any]) -> Tool:
    if tool["type"] != "function":
        return Tool(_SUGGESTED[tool["type"]])
    function = tool["function"]
    return Tool(
        function["name"], function.get("description") or "",
        function.get("parameters") or NO_PARAMETERS, bool(function.get("strict")),
    )  # fmt: skip
