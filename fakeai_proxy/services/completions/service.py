"""The operations of the room."""

from __future__ import annotations

import re

from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.completions.plan import plan
from fakeai_proxy.services.completions.speech import speak
from fakeai_proxy.services.completions.wire import CompletionRequest
from fakeai_proxy.services.operation import Call, Operation

#: What may make an answer long to compute: several of them, or a look at every token. Found in a
#: prompt they do no harm: a thread for nothing costs some microseconds.
_HEAVY = re.compile(rb'"n"|"best_of"|logprobs|"prompt"\s*:\s*\[')
#: Larger bodies are not looked through.
_LIGHT_BYTES_MAX = 16_384


def create_completion(call: Call) -> Reply:
    return speak(call, call.plan)


def _is_heavy(body: bytes) -> bool:
    return len(body) > _LIGHT_BYTES_MAX or _HEAVY.search(body) is not None


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
