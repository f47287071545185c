"""The operations of the room."""

from __future__ import annotations

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.chat.plan import plan
from fakeai_proxy.services.chat.speech import speak
from fakeai_proxy.services.chat.wire import ChatRequest
from fakeai_proxy.services.operation import Call, Operation


def create_chat_completion(call: Call) -> Reply:
    request: ChatRequest = call.body
    name = request.model or call.params.get("deployment")
    if not name:
        raise errors.missing_model()
    return speak(call, plan(call, call.catalogue.require(name, "chat")))


OPERATIONS = (
    Operation(
        "createChatCompletion", "POST", "/chat/completions", create_chat_completion, ChatRequest
    ),
)
