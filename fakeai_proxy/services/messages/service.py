"""The operations of the room."""

from __future__ import annotations

import orjson

from fakeai_proxy import errors
from fakeai_proxy.exchange import Chunk, Reply
from fakeai_proxy.services.claude import page
from fakeai_proxy.services.messages import batches, rules
from fakeai_proxy.services.messages.batches import Batch, CreateBatch, Shelf
from fakeai_proxy.services.messages.plan import plan, read
from fakeai_proxy.services.messages.speech import speak
from fakeai_proxy.services.messages.wire import Asking, MessagesRequest
from fakeai_proxy.services.messages.words import complain
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.wire import json_reply


def enter(call: Call) -> None:
    rules.check_version(call.header(b"anthropic-version"))


def create_message(call: Call) -> Reply:
    rules.check_for_version(call.plan.request, call.header(b"anthropic-version"))
    return speak(call, call.plan)


def count_tokens(call: Call) -> Reply:
    request: Asking = call.body
    rules.check_for_version(request, call.header(b"anthropic-version"))
    _, prompt = read(call, request)
    return json_reply({"input_tokens": len(prompt.ids)})


# --- batches --------------------------------------------------------------------------------------


def _batch(call: Call) -> Batch:
    return Shelf(call.records).find(call.params["batch_id"])


def create_batch(call: Call) -> Reply:
    request: CreateBatch = call.body
    batches.check(request)
    name = call.dice.text_id(call.id_key, "msgbatch", length=22)
    version = call.header(b"anthropic-version")
    made = Batch(f"msgbatch_01{name}", call.created, version, request.requests)
    Shelf(call.records).add(made, len(orjson.dumps([line.params for line in request.requests])))
    return json_reply(batches.shown(call, made))


def get_batch(call: Call) -> Reply:
    return json_reply(batches.shown(call, _batch(call)))


def list_batches(call: Call) -> Reply:
    cut = page(call.query, [batch.id for batch in Shelf(call.records).all()], "a batch")
    found = [Shelf(call.records).find(name) for name in cut.ids]
    return json_reply(cut.of([batches.shown(call, batch) for batch in found]))


def cancel_batch(call: Call) -> Reply:
    found = _batch(call)
    if found.status_at(call.wall()) == "ended":
        raise errors.message_batch_has_ended(found.id)
    if found.cancelled_at is None:
        found.cancelled_at = call.created
    return json_reply(batches.shown(call, found))


def delete_batch(call: Call) -> Reply:
    found = _batch(call)
    if found.status_at(call.wall()) != "ended":
        raise errors.message_batch_has_not_ended(found.id)
    Shelf(call.records).forget(found)
    return json_reply({"id": found.id, "type": "message_batch_deleted"})


def batch_results(call: Call) -> Reply:
    found = _batch(call)
    if found.status_at(call.wall()) != "ended":
        raise errors.message_batch_has_no_results(found.id)
    chunks = [Chunk(line) for line in batches.results(call, found)]
    return Reply(200, _LINES_HEADERS, chunks)


_LINES_HEADERS = ((b"content-type", b"application/x-jsonl"),)
_BATCHES = "/messages/batches"
_ONE = f"{_BATCHES}/{{batch_id}}"
OPERATIONS = (
    Operation("createMessage", "POST", "/messages", create_message, MessagesRequest, plan=plan,
              enter=enter, complain=complain),
    Operation("countMessageTokens", "POST", "/messages/count_tokens", count_tokens, Asking,
              enter=enter, complain=complain),
    Operation("createMessageBatch", "POST", _BATCHES, create_batch, CreateBatch, threaded=True,
              enter=enter, complain=complain),
    Operation("listMessageBatches", "GET", _BATCHES, list_batches, threaded=True, enter=enter),
    Operation("retrieveMessageBatch", "GET", _ONE, get_batch, threaded=True, enter=enter),
    Operation("deleteMessageBatch", "DELETE", _ONE, delete_batch, enter=enter),
    Operation("cancelMessageBatch", "POST", f"{_ONE}/cancel", cancel_batch, threaded=True,
              enter=enter),
    Operation("messageBatchResults", "GET", f"{_ONE}/results", batch_results, threaded=True,
              enter=enter),
)  # fmt: skip
