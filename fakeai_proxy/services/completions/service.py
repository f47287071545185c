"""The operations of the room."""

from __future__ import annotations

from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.completions.plan import plan
from fakeai_proxy.services.completions.speech import speak
from fakeai_proxy.services.completions.wire import CompletionRequest
from fakeai_proxy.services.operation import Call, Operation

#: What may make an answer long to compute: several of them, or a look at every token. Found in a
#: prompt they do no harm: a thread for nothing costs some microseconds.
_HEAVY = (b'"n"', b'"best_of"', b"logprobs", b'"prompt":[', b'"prompt": [')


def create_completion(call: Call) -> Reply:
    return speak(call, call.plan)


def _is_heavy(body: bytes) -> bool:
    return any(mark in body for mark in _HEAVY)


OPERATIONS = (
    Operation(
        "createCompletion",
        "POST",
        "/completions",
        create_completion,
        CompletionRequest,
        threaded=_is_heavy,
        plan=plan,
    ),
)
