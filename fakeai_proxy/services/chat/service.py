"""The operations of the room."""

from __future__ import annotations

from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.chat.media import is_heavy
from fakeai_proxy.services.chat.plan import plan
from fakeai_proxy.services.chat.speech import speak
from fakeai_proxy.services.chat.tokenize import (
    DetokenizeRequest,
    TokenizeRequest,
    detokenize,
    tokenize,
)
from fakeai_proxy.services.chat.wire import ChatRequest
from fakeai_proxy.services.operation import Call, Operation


def create_chat_completion(call: Call) -> Reply:
    return speak(call, call.plan)


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
    Operation("tokenize", "POST", "/tokenize", tokenize, TokenizeRequest, at_root=True),
    Operation("detokenize", "POST", "/detokenize", detokenize, DetokenizeRequest, at_root=True),
)
