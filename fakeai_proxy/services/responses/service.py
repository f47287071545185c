"""The operations of the room."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Awaitable
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.exchange import Admission, Reply, Workload
from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.services.answer.media import is_heavy
from fakeai_proxy.services.items.history import Item, text_of, user_message
from fakeai_proxy.services.items.listing import page
from fakeai_proxy.services.metering import completion
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.responses import rules, wire
from fakeai_proxy.services.responses.bill import billed
from fakeai_proxy.services.responses.dialogue import Dialogue
from fakeai_proxy.services.responses.keeping import (
    UNFINISHED,
    begin,
    cancel,
    complete,
    delete,
    find,
    record_of,
)
from fakeai_proxy.services.responses.picture import asks_for_picture
from fakeai_proxy.services.responses.plan import plan, prompt_of, read
from fakeai_proxy.services.responses.record import Record, record, shown, usage_of
from fakeai_proxy.services.responses.speech import speak, stream
from fakeai_proxy.services.wire import SSE_HEADERS, json_reply
from fakeai_proxy.store import Row

#: What a count is of where no model is named.
_COUNTED_MODEL = "gpt-4o"
#: A summary's share of what it stands for.
_COMPACTION = 16


def create_response(call: Call) -> Reply | Awaitable[Reply]:
    made = record(call, call.plan)
    return _in_background(call, made) if made.background else speak(call, made)


async def _in_background(call: Call, made: Record) -> Reply:
    await begin(call, made)
    assert made.plan is not None, "it was planned just now"
    if made.plan.request.stream:
        return speak(call, made)
    return json_reply(made.shown("queued"), usage=billed(made.plan))


def open_dialogue(call: Call) -> Reply:
    return Reply(101, (), (), dialogue=Dialogue(call))


async def get_response(call: Call) -> Reply:
    row = await find(call)
    if call.query.get("stream", "").lower() not in ("true", "1"):
        return json_reply(shown(row.document))
    after = call.query.get("starting_after", "-1")
    try:
        first = int(after) + 1
    except ValueError:
        raise errors.invalid_type("starting_after", "an integer", after) from None
    return await asyncio.to_thread(_told_again, call, row, max(first, 0))


def _told_again(call: Call, row: Row, first: int) -> Reply:
    made = record_of(row)
    unfinished = made.document["status"] in UNFINISHED
    reply = Reply(200, SSE_HEADERS, stream(call, made)[first:])

    async def kept(admission: Admission) -> None:
        made.finish(admission, call.wall())
        await complete(call, made)

    if unfinished:
        reply.keep = kept
    return reply


async def delete_response(call: Call) -> Reply:
    row = await delete(call)
    return json_reply({"id": row.key.id, "object": "response", "deleted": True})


async def cancel_response(call: Call) -> Reply:
    row = await find(call)
    if not row.document["shown"]["background"]:
        raise errors.not_cancellable()
    return json_reply(shown((await cancel(call)).document))


async def list_input_items(call: Call) -> Reply:
    row = await find(call)
    return json_reply(page(row.document["input"], call.query, call.queried("include")))


def count_input_tokens(call: Call) -> Reply:
    request: wire.CountRequest = call.body
    rules.check_shape(request, call.strict)
    card = call.catalogue.asked_for(
        call.params.get("deployment"), request.model or _COUNTED_MODEL, "chat"
    )
    rules.check_tools(request)
    history = read(call, request, card).history
    tokens = Tokens.load(card.vocabulary)
    prompt = prompt_of(tokens, request, history.turns_for(card), card)
    return json_reply({"object": "response.input_tokens", "input_tokens": len(prompt)})


def compact(call: Call) -> Reply:
    """The user's messages, and the rest sealed into one item that later requests may send."""
    request: wire.CompactRequest = call.body
    rules.check_shape(request, call.strict)
    card = call.catalogue.asked_for(call.params.get("deployment"), request.model, "chat")
    history = read(call, request, card).history
    tokens = Tokens.load(card.vocabulary)
    prompt = prompt_of(tokens, request, history.turns_for(card), card)
    kept: list[Item] = []
    for k, item in enumerate(history.items):
        if item["type"] == "message" and item["role"] == "user":
            message = user_message(text_of(item["content"]))
            kept.append({"id": _id(call, "msg", k), "status": "completed", **message})
    written = max(len(prompt) // _COMPACTION, 1)
    noise = call.dice.text_id(call.dice_key, "compaction", length=min(written * 12, 8192))
    sealed: Item = {
        "id": _id(call, "cmp"),
        "type": "compaction",
        "encrypted_content": "gAAAAAB" + b64encode(noise.encode()).decode(),
    }
    body: dict[str, Any] = {
        "id": _id(call, "resp"),
        "object": "response.compaction",
        "created_at": call.created,
        "output": [*kept, sealed],
        "usage": usage_of(len(prompt), written, 0, 0),
    }
    workload = Workload(card.id, prompt, written, lora=card.id if card.parent else "")
    usage = completion(card, len(prompt), written, amounts={})
    return json_reply(body, workload, usage=(usage,))


def _id(call: Call, prefix: str, *key: int) -> str:
    return f"{prefix}_{call.dice.text_id(call.id_key, prefix, *key, length=48)}"


def _is_heavy(body: bytes) -> bool:
    # What a conversation holds may be read for the first time.
    return asks_for_picture(body) or is_heavy(body) or b'"conversation"' in body


_ONE = "/responses/{response_id}"
OPERATIONS = (
    Operation(
        "createResponse", "POST", "/responses", create_response, wire.ResponseRequest, plan=plan,
        threaded=_is_heavy,
    ),
    Operation("responsesOverWebSocket", "GET", "/responses", open_dialogue, socket=True),
    Operation(
        "countInputTokens", "POST", "/responses/input_tokens", count_input_tokens,
        wire.CountRequest, threaded=True,
    ),
    Operation(
        "compactResponse", "POST", "/responses/compact", compact, wire.CompactRequest,
        threaded=True,
    ),
    Operation("getResponse", "GET", _ONE, get_response),
    Operation("deleteResponse", "DELETE", _ONE, delete_response),
    Operation("cancelResponse", "POST", f"{_ONE}/cancel", cancel_response),
    Operation("listInputItems", "GET", f"{_ONE}/input_items", list_input_items),
)  # fmt: skip
