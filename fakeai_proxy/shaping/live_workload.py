"""What a request that goes to an upstream would cost a back end of ours: read from its body."""

from __future__ import annotations

import re
from array import array

import orjson

from fakeai_proxy.exchange import Reply, Request, Workload

#: Bodies above this are not looked into.
_BODY_BYTES_MAX = 4 << 20
#: A prompt's bytes per token, where nobody has counted them.
_BYTES_PER_TOKEN = 4
#: Where the request sets no limit. It ends with the stream, so this is an upper bound.
_OUTPUT_TOKENS_MAX = 4096
_LIMITS = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_GENERATES = re.compile(
    r"/(?:chat/completions|completions|responses|messages|embeddings)$|:(?:stream)?generateContent$",
    re.I,
)
_EMBEDS = re.compile(r"/embeddings$")


def live_workload(request: Request, reply: Reply) -> Workload | None:
    """None where no model works. The prompt's token ids are the body's bytes by fours, so that equal
    beginnings stay equal; how long the answer will be nobody knows, so `output_tokens` is what it
    may be at most."""
    body = request.body.in_memory
    path = request.path.rstrip("/")
    if reply.status != 200 or not body or len(body) > _BODY_BYTES_MAX:
        return None
    if not _GENERATES.search(path):
        return None
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    model = asked.get("model", "") if isinstance(asked, dict) else None
    if not isinstance(model, str):
        return None
    prompt = array("I", body[: len(body) // _BYTES_PER_TOKEN * _BYTES_PER_TOKEN])
    if _EMBEDS.search(path):
        return Workload(model, prompt, 0)
    limits = [asked[name] for name in _LIMITS if type(asked.get(name)) is int]
    return Workload(model, prompt, max(1, min([_OUTPUT_TOKENS_MAX, *limits])))
