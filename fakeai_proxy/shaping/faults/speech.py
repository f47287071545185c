"""Where the vendors' JSON holds what a model said: texts, tool arguments, reasons to stop, usage.

One walk for OpenAI's chat, completions and Responses, for Anthropic's messages and what is made after
them, as frames of a stream and as whole bodies.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

Object = dict[str, Any]


class Slot(NamedTuple):
    """A field and the object it is in."""

    holder: Object
    key: str

    @property
    def value(self) -> Any:
        return self.holder[self.key]

    def put(self, value: object) -> None:
        self.holder[self.key] = value


def _objects(value: Any) -> Iterator[Object]:
    if isinstance(value, list):
        for item in value:
            if isinstance(item, dict):
                yield item


def _object(value: Any) -> Object:
    return value if isinstance(value, dict) else {}


def _strings(holder: Object, *keys: str) -> Iterator[Slot]:
    for key in keys:
        if isinstance(holder.get(key), str):
            yield Slot(holder, key)


def choices(said: Object) -> Iterator[tuple[Object, Object]]:
    """Each choice with its message, or the delta of one."""
    for choice in _objects(said.get("choices")):
        yield choice, _object(choice.get("delta")) or _object(choice.get("message"))


def _answer(said: Object) -> Object:
    """The whole answer: in Responses' events it is inside."""
    return _object(said.get("response")) or said


def texts(said: Object) -> Iterator[Slot]:
    for choice, message in choices(said):
        yield from _strings(message, "content")
        yield from _strings(choice, "text")
    kind = said.get("type")
    if kind == "content_block_delta":
        yield from _strings(_object(said.get("delta")), "text")
    elif kind == "response.output_text.delta":
        yield from _strings(said, "delta")
    elif kind == "response.output_text.done":
        yield from _strings(said, "text")
    for block in _objects(said.get("content")):
        yield from _strings(block, "text")
    for item in _objects(_answer(said).get("output")):
        for part in _objects(item.get("content")):
            yield from _strings(part, "text")


def arguments(said: Object) -> Iterator[Slot]:
    """Of tool calls, as JSON text; Anthropic's whole bodies have an object instead."""
    for _, message in choices(said):
        for call in _objects(message.get("tool_calls")):
            yield from _strings(_object(call.get("function")), "arguments")
        yield from _strings(_object(message.get("function_call")), "arguments")
    kind = said.get("type")
    if kind == "content_block_delta":
        yield from _strings(_object(said.get("delta")), "partial_json")
    elif kind == "response.function_call_arguments.delta":
        yield from _strings(said, "delta")
    elif kind == "response.function_call_arguments.done":
        yield from _strings(said, "arguments")
    for block in _objects(said.get("content")):
        if isinstance(block.get("input"), dict):
            yield Slot(block, "input")
    for item in _objects(_answer(said).get("output")):
        yield from _strings(item, "arguments")


#: What a reason is called by Anthropic.
_STOP_REASONS = {"length": "max_tokens", "stop": "end_turn", "tool_calls": "tool_use",
                 "content_filter": "refusal"}  # fmt: skip
#: What Responses say is lacking of an answer that stopped for such a reason.
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def finish(said: Object, reason: str) -> bool:
    """Give another reason where one is given; whether there was any."""
    changed = False
    for choice, _ in choices(said):
        if choice.get("finish_reason"):
            choice["finish_reason"], changed = reason, True
    for holder in (_object(said.get("delta")), said):
        if holder.get("stop_reason"):
            holder["stop_reason"], changed = _STOP_REASONS.get(reason, reason), True
    answer = _answer(said)
    if answer.get("object") == "response" and answer.get("status") == "completed":
        lacking = _INCOMPLETE.get(reason, reason)
        answer.update(status="incomplete", incomplete_details={"reason": lacking})
        changed = True
        if said.get("type") == "response.completed":
            said["type"] = "response.incomplete"
    return changed


def drop_usage(said: Object) -> bool:
    holders = [said, _answer(said), _object(said.get("message"))]
    dropped = [holder.pop("usage") for holder in holders if "usage" in holder]
    return bool(dropped)


def rename_model(said: Object, name: str) -> bool:
    holders = [said, _object(said.get("response")), _object(said.get("message"))]
    slots = [slot for holder in holders for slot in _strings(holder, "model")]
    for slot in slots:
        slot.put(name)
    return bool(slots)
