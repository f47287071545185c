"""Items as they are listed: with ids, without what has to be asked for, in pages."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.services.items.history import Item
from fakeai_proxy.services.paging import cut, envelope

#: How the ids of items begin that a client sends without one.
_PREFIXES = {
    "message": "msg", "function_call": "fc", "function_call_output": "fco", "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco", "reasoning": "rs", "compaction": "cmp",
    "mcp_approval_response": "mcpa", "computer_call": "cu", "computer_call_output": "cuo",
    "local_shell_call": "lsh", "local_shell_call_output": "lsho", "shell_call": "sh",
    "shell_call_output": "sho", "apply_patch_call": "apc", "apply_patch_call_output": "apco",
    "web_search_call": "ws", "file_search_call": "fs", "code_interpreter_call": "ci",
    "image_generation_call": "ig", "mcp_call": "mcp", "mcp_list_tools": "mcpl",
    "additional_tools": "at",
}  # fmt: skip
#: Kinds that have no status.
_WITHOUT_STATUS = frozenset(
    ("reasoning", "compaction", "mcp_approval_request", "mcp_approval_response", "mcp_list_tools",
     "additional_tools", "configuration_update", "program")
)  # fmt: skip
#: What the kinds of a client's own making lack in comparison with the vendor's.
_LACKING: Mapping[str, Mapping[str, Any]] = {
    "computer_call": {"pending_safety_checks": []},
    "tool_search_call": {"execution": "server"},
    "tool_search_output": {"execution": "server", "call_id": None},
}


def with_ids(items: Sequence[Item], named: Callable[[int, str], str]) -> list[Item]:
    """`named` makes an id of the item's place and a prefix, for items without one."""
    return [_listed(item, k, named) for k, item in enumerate(items)]


def _listed(item: Item, k: int, named: Callable[[int, str], str]) -> Item:
    kind = item["type"]
    name = item.get("id") or named(k, _PREFIXES.get(kind, "item"))
    shown = {**_LACKING.get(kind, {}), **item, "id": name}
    if kind == "message":
        return {**shown, "status": "completed", "content": _parts(item)}
    if kind not in _WITHOUT_STATUS:
        shown["status"] = item.get("status") or "completed"
    return shown


def _parts(item: Item) -> Sequence[Item]:
    spoken = item["role"] == "assistant"
    content = item["content"]
    if isinstance(content, str):
        content = [{"type": "output_text" if spoken else "input_text", "text": content}]
    return [
        {"annotations": [], "logprobs": [], **part} if part["type"] == "output_text"
        else {"detail": "auto", **part} if part["type"] == "input_image" else part
        for part in content
    ]  # fmt: skip


# --- what has to be asked for ---------------------------------------------------------------------


def included(item: Item, include: Collection[str]) -> Item:
    """Pictures are given back only where `include` names them."""
    kind = item["type"]
    if kind == "message" and "message.input_image.image_url" not in include:
        if any(part["type"] == "input_image" for part in item["content"]):
            return {**item, "content": [_without_picture(part) for part in item["content"]]}
    elif kind == "computer_call_output" and "computer_call_output.output.image_url" not in include:
        return {**item, "output": _without_picture(item["output"])}
    return item


def _without_picture(part: Item) -> Item:
    if part["type"] not in ("input_image", "computer_screenshot"):
        return part
    return {**part, "image_url": None}


# --- pages ------------------------------------------------------------------------------------------


def page(items: Sequence[Item], query: Mapping[str, str], include: Collection[str]) -> Item:
    """One page by `limit`, `order` and `after`. Raises 400 and 404."""
    found = cut(items, query, errors.item_not_found)
    return listed(found.items, include, more=found.has_more)


def listed(items: Sequence[Item], include: Collection[str], *, more: bool = False) -> Item:
    return envelope([included(item, include) for item in items], has_more=more)
