"""A response as bytes: one JSON body, or the events of a stream with one token each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from fakeai_proxy.exchange import Admission, Chunk, Reply, Workload
from fakeai_proxy.services.items.history import Item
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.responses.bill import billed
from fakeai_proxy.services.responses.events import Events
from fakeai_proxy.services.responses.keeping import complete, keep
from fakeai_proxy.services.responses.output import Called, Output, Said, Thought, Work
from fakeai_proxy.services.responses.plan import Plan
from fakeai_proxy.services.responses.record import Record
from fakeai_proxy.services.wire import JSON_HEADERS, sse_reply

_NOISE_CHARS = 256


def speak(call: Call, made: Record) -> Reply:
    """It is kept before the client is told the end of it."""
    plan = made.plan
    assert plan is not None, "it was planned just now"
    workload = workload_of(plan)
    if plan.request.stream:
        reply = sse_reply(stream(call, made), workload, billed(plan))
    else:

        def body(admission: Admission) -> bytes:
            made.finish(admission, call.wall())
            return orjson.dumps(made.shown(made.document["status"]))

        chunk = Chunk(body, workload.output_tokens)
        reply = Reply(200, JSON_HEADERS, [chunk], workload=workload, usage=billed(plan))

    async def kept(admission: Admission) -> None:
        made.finish(admission, call.wall())
        await (complete(call, made) if made.background else keep(call, made))

    if plan.request.stored or plan.read.before.conversation is not None:
        reply.keep = kept
    return reply


def workload_of(plan: Plan) -> Workload:
    request, card = plan.request, plan.card
    return Workload(
        card.id,
        plan.prompt,
        plan.output_tokens,
        priority=request.priority or 0,
        output=plan.said,
        lora=card.id if card.parent else "",
        cache_salt=request.cache_salt or "",
        # A pool that stands in for another model has another context: limits are the model's own.
        output_limit=(request.max_output_tokens or 0) if card.max_model_len else 0,
        session=request.prompt_cache_key or "",
        finishes=["stop" if plan.ended else "length"],
    )


def stream(call: Call, made: Record) -> list[Chunk]:
    """All events of the response; one chunk each."""
    hidden = made.document["hidden"]
    noise = call.dice.text_id(made.id, "obfuscation", length=_NOISE_CHARS) if hidden else ""
    events = Events(noise)
    begun = made.shown("in_progress")
    if made.background:
        queued = made.shown("queued")
        events.add("response.created", response=queued)
        events.add("response.queued", response=queued)
    else:
        events.add("response.created", response=begun)
    events.add("response.in_progress", response=begun)
    if made.document["status"] == "cancelled":
        events.add("response.incomplete", response=made.shown("cancelled"))
        return events.chunks
    for k, part in enumerate(made.outputs):
        item = made.output[k]
        _item(events, k, part, item, _opening(item) or made.document["openings"][str(k)])
    status = made.document["shown"]["status"]

    def ending(admission: Admission) -> dict[str, Any]:
        made.finish(admission, call.wall())
        return {"response": made.shown(status)}

    events.add_late(f"response.{status}", ending)
    return events.chunks


def _opening(item: Item) -> Item | None:
    """The item before there is anything of it; None for the work of a tool, which begins in its own
    way."""
    empty = _EMPTY.get(item["type"])
    if empty is None:
        return None
    status = {"status": "in_progress"} if "status" in item else {}
    return {**item, **status, **empty}


_EMPTY: dict[str, dict[str, Any]] = {
    "reasoning": {"summary": []},
    "message": {"content": []},
    "function_call": {"arguments": ""},
    "custom_tool_call": {"input": ""},
}


def _item(events: Events, index: int, part: Output, item: Item, opening: Item) -> None:
    place = {"item_id": item["id"], "output_index": index}
    head = part.call.head_tokens if isinstance(part, Called) else 0
    events.add("response.output_item.added", head, output_index=index, item=opening)
    left = 0
    if isinstance(part, Thought):
        left = _thought(events, place, part)
    elif isinstance(part, Said):
        _said(events, place, part)
    elif isinstance(part, Called):
        _called(events, place, part)
    elif part.kind in _WORK:
        _WORK[part.kind](events, place, part)
    else:
        left = part.tokens
    events.add("response.output_item.done", left, output_index=index, item=item)


def _thought(events: Events, place: dict[str, Any], part: Thought) -> int:
    """The hidden tokens pass while the summary is told; returns those that are left."""
    shown = sum([passage.tokens for passage in part.summary])
    share = part.tokens // shown if shown else 0
    for k, passage in enumerate(part.summary):
        where = {**place, "summary_index": k}
        name, empty = "response.reasoning_summary", {"type": "summary_text", "text": ""}
        events.add(f"{name}_part.added", **where, part=empty)
        events.deltas(f"{name}_text.delta", passage, [share] * passage.tokens, **where)
        events.add(f"{name}_text.done", **where, text=passage.text)
        events.add(f"{name}_part.done", **where, part={**empty, "text": passage.text})
    return part.tokens - share * shown


def _said(events: Events, place: dict[str, Any], part: Said) -> None:
    where = {**place, "content_index": 0}
    whole = part.part()
    if part.refusal:
        events.add("response.content_part.added", **where, part={**whole, "refusal": ""})
        events.deltas("response.refusal.delta", part.content, **where)
        events.add("response.refusal.done", **where, refusal=whole["refusal"])
        events.add("response.content_part.done", **where, part=whole)
        return
    empty = {**whole, "annotations": [], "logprobs": [], "text": ""}
    events.add("response.content_part.added", **where, part=empty)
    events.deltas("response.output_text.delta", part.content, logprobs=part.logprobs or (), **where)
    for k, annotation in enumerate(part.annotations):
        events.add(
            "response.output_text.annotation.added", **where, annotation_index=k,
            annotation=annotation,
        )  # fmt: skip
    events.add("response.output_text.done", **where, text=whole["text"], logprobs=whole["logprobs"])
    events.add("response.content_part.done", **where, part=whole)


def _called(events: Events, place: dict[str, Any], part: Called) -> None:
    text = part.call.arguments.text
    if part.call.custom:
        events.deltas("response.custom_tool_call_input.delta", part.call.arguments, **place)
        events.add("response.custom_tool_call_input.done", **place, input=text)
        return
    name = "response.function_call_arguments"
    events.deltas(f"{name}.delta", part.call.arguments, **place)
    events.add(f"{name}.done", **place, name=part.call.name, arguments=text)


# --- the vendor's own tools ---------------------------------------------------------------------


def _searched(events: Events, place: dict[str, Any], part: Work) -> None:
    name = f"response.{part.kind}"
    events.add(f"{name}.in_progress", part.tokens, **place)
    events.add(f"{name}.searching", **place)
    events.add(f"{name}.completed", **place)


def _listed(events: Events, place: dict[str, Any], part: Work) -> None:
    events.add("response.mcp_list_tools.in_progress", **place)
    events.add("response.mcp_list_tools.completed", **place)


def _interpreted(events: Events, place: dict[str, Any], part: Work) -> None:
    name = "response.code_interpreter_call"
    events.add(f"{name}.in_progress", **place)
    events.deltas(f"{name}_code.delta", part.given, **place)
    events.add(f"{name}_code.done", **place, code=part.given.text)
    events.add(f"{name}.interpreting", **place)
    events.add(f"{name}.completed", **place)


def _drawn(events: Events, place: dict[str, Any], part: Work) -> None:
    name = "response.image_generation_call"
    events.add(f"{name}.in_progress", part.tokens, **place)
    events.add(f"{name}.generating", **place)
    for k, picture in enumerate(part.partial_images):
        events.add(
            f"{name}.partial_image", **place, partial_image_index=k, partial_image_b64=picture
        )
    events.add(f"{name}.completed", **place)


def _mcp_called(events: Events, place: dict[str, Any], part: Work) -> None:
    name = "response.mcp_call"
    events.add(f"{name}.in_progress", **place)
    events.deltas(f"{name}_arguments.delta", part.given, **place)
    events.add(f"{name}_arguments.done", **place, arguments=part.given.text)
    events.add(f"{name}.completed", **place)


def _shell_called(events: Events, place: dict[str, Any], part: Work) -> None:
    name = "response.shell_call_command"
    where = {"output_index": place["output_index"], "command_index": 0}
    events.add(f"{name}.added", **where, command="")
    events.deltas(f"{name}.delta", part.given, **where)
    events.add(f"{name}.done", **where, command=part.given.text)


def _shell_answered(events: Events, place: dict[str, Any], part: Work) -> None:
    name = "response.shell_call_output_content"
    where = {**place, "command_index": 0}
    for output in part.fields["output"]:
        events.add(f"{name}.delta", **where, delta={"stdout": output["stdout"]})
    events.add(f"{name}.done", **where, output=part.fields["output"])


_WORK: dict[str, Callable[[Events, dict[str, Any], Work], None]] = {
    "web_search_call": _searched,
    "file_search_call": _searched,
    "code_interpreter_call": _interpreted,
    "image_generation_call": _drawn,
    "mcp_list_tools": _listed,
    "mcp_call": _mcp_called,
    "shell_call": _shell_called,
    "shell_call_output": _shell_answered,
}
