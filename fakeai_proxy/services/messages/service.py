"""The operations of the room."""

from __future__ import annotations

from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.messages import rules
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


OPERATIONS = (
    Operation("createMessage", "POST", "/messages", create_message, MessagesRequest, plan=plan,
              enter=enter, complain=complain),
    Operation("countMessageTokens", "POST", "/messages/count_tokens", count_tokens, Asking,
              enter=enter, complain=complain),
)  # fmt: skip
