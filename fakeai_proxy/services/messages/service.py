"""The operations of the room."""

from __future__ import annotations

from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.messages import batches, rules
from fakeai_proxy.services.messages.batches import CreateBatch
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


_BATCHES = "/messages/batches"
_ONE = f"{_BATCHES}/{{batch_id}}"
OPERATIONS = (
    Operation("createMessage", "POST", "/messages", create_message, MessagesRequest, plan=plan,
              enter=enter, complain=complain),
    Operation("countMessageTokens", "POST", "/messages/count_tokens", count_tokens, Asking,
              enter=enter, complain=complain),
    Operation("createMessageBatch", "POST", _BATCHES, batches.create_batch, CreateBatch,
              threaded=True, enter=enter, complain=complain),
    Operation("listMessageBatches", "GET", _BATCHES, batches.list_batches, enter=enter),
    Operation("retrieveMessageBatch", "GET", _ONE, batches.get_batch, enter=enter),
    Operation("deleteMessageBatch", "DELETE", _ONE, batches.delete_batch, enter=enter),
    Operation("cancelMessageBatch", "POST", f"{_ONE}/cancel", batches.cancel_batch, enter=enter),
    Operation("messageBatchResults", "GET", f"{_ONE}/results", batches.batch_results, enter=enter),
)  # fmt: skip
