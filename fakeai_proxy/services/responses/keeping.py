"""Responses in the store: kept when they are made, worked on in the background, told again."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.generate.tokens import Passage, Tokens
from fakeai_proxy.services.answer.task import ToolCall
from fakeai_proxy.services.items.history import Item
from fakeai_proxy.services.items.memory import ITEM_TAG, RESPONSE, add
from fakeai_proxy.services.job import Job, Work
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.responses import output
from fakeai_proxy.services.responses.before import (
    SAID,
    Said,
    is_there,
    response_key,
    weight_of,
)
from fakeai_proxy.services.responses.output import Called, Output, Thought
from fakeai_proxy.services.responses.record import Record
from fakeai_proxy.services.webhooks import EventType
from fakeai_proxy.store import Change, Conflict, Document, Insert, Key, Missing, Row

#: platform.openai.com/docs/guides/conversation-state: how long a response is kept.
KEPT_S = 30 * 86_400
#: In the background: seconds in the queue, and output tokens a second afterwards. Illustrative, of
#: the size that a hosted model of medium size has.
QUEUED_S, TOKENS_PER_S = 1, 100
UNFINISHED = ("queued", "in_progress")
_TOLD: Mapping[str, EventType] = {
    "completed": "response.completed", "incomplete": "response.incomplete",
    "failed": "response.failed", "cancelled": "response.cancelled",
}  # fmt: skip


async def keep(call: Call, made: Record, due_at: float | None = None) -> None:
    """In the store, and in the conversation that it was said in, if that is still there. One that is
    worked on has something to do at `due_at`. Raises 503."""
    plan = made.plan
    assert plan is not None, "it was planned just now"
    writes = [Insert(_row(call, made, due_at))] if plan.request.stored else []
    conversation = plan.read.before.conversation
    if conversation is not None:
        try:
            await add(call, conversation, [*made.document["input"], *made.output], writes)
        except Missing:
            conversation = None
    if conversation is None and writes:
        await call.store.commit(*writes)
    if writes:
        said = said_in(made)
        call.records.keep(SAID, response_key(call, made.id).path, said, said.weight)


def said_in(made: Record) -> Said:
    plan = made.plan
    assert plan is not None, "it was planned just now"
    items = [*made.document["input"], *made.output]
    weight = plan.read.before.weight + weight_of(items, len(plan.prompt))
    return Said(plan.read.history, made.output, weight)


def _row(call: Call, made: Record, due_at: float | None) -> Row:
    assert made.plan is not None, "it was planned just now"
    document = {**made.document, "vocabulary": made.plan.card.vocabulary}
    partials = {
        str(k): part.partial_images
        for k, part in enumerate(made.outputs)
        if isinstance(part, output.Work) and part.partial_images
    }
    if partials:
        document["partials"] = partials
    if not made.plan.ended:
        # What is cut within a word may have another encoding of its own.
        document["ids"] = [[list(one.ids) for one in _passages(part)] for part in made.outputs]
    tags = {item["id"]: ITEM_TAG for item in (*made.document["input"], *made.output)}
    return Row(
        response_key(call, made.id), document, float(call.created), tags=tags,
        expires_at=float(call.created + KEPT_S), due_at=due_at,
    )  # fmt: skip


async def find(call: Call) -> Row:
    """Raises 404."""
    name = call.params["response_id"]
    row = await call.store.get(response_key(call, name))
    if row is None or not is_there(row):
        raise errors.response_not_found(name)
    return row


async def delete(call: Call) -> Row:
    """Whoever went on from it still can. Raises 404."""

    def gone(row: Row) -> Row:
        if not is_there(row):
            raise errors.response_not_found(row.key.id)
        return replace(row.merged(deleted=True), tags={}, due_at=None, owner="")

    key = response_key(call, call.params["response_id"])
    try:
        (found,) = await call.store.commit(Change(key, gone))
    except Missing:
        raise errors.response_not_found(key.id) from None
    assert found is not None, "a change answers with its row"
    return found


async def cancel(call: Call) -> Row:
    """The row, which is not worked on any longer. Raises 404."""
    name = call.params["response_id"]
    try:
        return await _end(call, response_key(call, name), {"status": "cancelled"})
    except Conflict:
        return await find(call)  # it had ended before
    except Missing:
        raise errors.response_not_found(name) from None


async def _end(call: Call, key: Key, changed: Mapping[str, Any]) -> Row:
    """Whoever wants to know is told. Raises Conflict where it has ended already, and Missing."""

    def function(row: Row) -> Row:
        if not is_there(row):
            raise Missing(key)
        if row.document["status"] not in UNFINISHED:
            raise Conflict(key)
        return replace(row.merged(**changed), due_at=None, owner="")

    now = call.wall()
    told = call.webhooks.announce(call.dice, call.project, _TOLD[changed["status"]], key.id, now)
    found, *_ = await call.store.commit(Change(key, function), *told)
    for one in told:
        call.dispatch(one.row.key)
    assert found is not None, "a change answers with its row"
    return found


# --- in the background ----------------------------------------------------------------------------


async def begin(call: Call, made: Record) -> None:
    """Kept as queued; a job ends it, whatever becomes of the client. Raises 503."""
    made.document["status"] = "queued"
    await keep(call, made, float(call.created + QUEUED_S))
    call.dispatch(response_key(call, made.id))


async def complete(call: Call, made: Record) -> None:
    """Somebody has been told all of it. Raises 503."""
    ended = {name: made.document[name] for name in ("status", "shown")}
    # It may have been kept for long enough, or have been cancelled.
    with suppress(Missing, Conflict):
        await _end(call, response_key(call, made.id), ended)


async def _work(work: Work) -> None:
    """A status that time changes; what is answered is known from the beginning."""
    document, now = work.row.document, work.clock.wall()
    if document["status"] == "queued":
        seconds = QUEUED_S + document["shown"]["usage"]["output_tokens"] // TOKENS_PER_S
        due_at = work.row.created_at + seconds
        await work.store.commit(work.later({**document, "status": "in_progress"}, due_at))
        return
    ended = _ended(document, now)
    key = work.row.key
    told = work.webhooks.announce(work.dice, key.parent, _TOLD[ended["status"]], key.id, now)
    await work.store.commit(work.finish(ended), *told)


def _ended(document: Document, now: float) -> Document:
    whole = dict(document["shown"])
    if whole["status"] == "completed":
        whole["completed_at"] = int(now)
    return {**document, "status": whole["status"], "shown": whole}


JOBS = (Job(RESPONSE, _work, at_once=16),)


# --- told again -----------------------------------------------------------------------------------


def record_of(row: Row) -> Record:
    """With its outputs as they were said. Reads a vocabulary: in a thread."""
    document = dict(row.document)
    tokens = Tokens.load(document["vocabulary"])
    ids = document.get("ids")
    outputs: list[Output] = []
    for k, item in enumerate(document["shown"]["output"]):
        known = iter([tokens.span_of(one) for one in ids[k]] if ids else ())

        def passage(text: str, known: Any = known) -> Passage:
            span = next(known, None)
            return tokens.passage(text) if span is None else Passage.of((span,))

        partials = document.get("partials", {}).get(str(k), ())
        outputs.append(_output(item, passage, tuple(partials)))
    return Record({**document, "shown": dict(document["shown"])}, outputs)


def _output(item: Item, passage: Any, partials: tuple[str, ...]) -> Output:
    kind = item["type"]
    if kind == "reasoning":
        parts = tuple([passage(part["text"]) for part in item["summary"]])
        return Thought(0, parts, item.get("encrypted_content", ""))
    if kind == "message":
        (part,) = item["content"]
        if part["type"] == "refusal":
            return output.Said(passage(part["refusal"]), refusal=True)
        return output.Said(passage(part["text"]), part["logprobs"], tuple(part["annotations"]))
    if kind in ("function_call", "custom_tool_call"):
        custom = kind == "custom_tool_call"
        text = item["input" if custom else "arguments"]
        return Called(ToolCall(item["name"], passage(text), 0, custom))
    given = _GIVEN.get(kind)
    prefix = item["id"].partition("_")[0]
    text = "" if given is None else given(item)
    return output.Work(kind, prefix, passage(text), item, partial_images=partials)


#: What of a tool's work is told piece by piece.
_GIVEN: dict[str, Any] = {
    "code_interpreter_call": lambda item: item["code"],
    "mcp_call": lambda item: item["arguments"],
    "shell_call": lambda item: item["action"]["commands"][0],
}


def _passages(part: Output) -> tuple[Passage, ...]:
    """Of what is said in it, in the order in which it is told."""
    if isinstance(part, Thought):
        return part.summary
    if isinstance(part, Called):
        return (part.call.arguments,)
    return (part.given,) if isinstance(part, output.Work) else (part.content,)
