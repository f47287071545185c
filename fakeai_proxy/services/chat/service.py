"""The operations of the room."""

from __future__ import annotations

from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.chat import stored
from fakeai_proxy.services.chat.media import is_heavy
from fakeai_proxy.services.chat.plan import Plan, plan
from fakeai_proxy.services.chat.speech import speak
from fakeai_proxy.services.chat.tokenize import (
    DetokenizeRequest,
    TokenizeRequest,
    detokenize,
    tokenize,
)
from fakeai_proxy.services.chat.wire import ChatRequest, MetadataRequest
from fakeai_proxy.services.operation import Call, Operation


def create_chat_completion(call: Call) -> Reply:
    plan: Plan = call.plan
    return stored.keep(call, plan, speak(call, plan))


_ONE = "/chat/completions/{completion_id}"
OPERATIONS = (
    Operation(
        "createChatCompletion",
        "POST",
        "/chat/completions",
        create_chat_completion,
        ChatRequest,
        plan=plan,
        threaded=is_heavy,
    ),
    Operation("listChatCompletions", "GET", "/chat/completions", stored.list_stored),
    Operation("updateChatCompletion", "POST", _ONE, stored.update_stored, MetadataRequest),
    *stored.COMPLETIONS.operations(retrieve="getChatCompletion", delete="deleteChatCompletion"),
    Operation("getChatCompletionMessages", "GET", f"{_ONE}/messages", stored.list_messages),
    Operation("tokenize", "POST", "/tokenize", tokenize, TokenizeRequest, at_root=True),
    Operation("detokenize", "POST", "/detokenize", detokenize, DetokenizeRequest, at_root=True),
)
