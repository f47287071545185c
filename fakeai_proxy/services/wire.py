"""Shapes and frames that several rooms share."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from pydantic import BaseModel, ConfigDict

from fakeai_proxy.exchange import Chunk, Reply, Workload

JSON_HEADERS = ((b"content-type", b"application/json"),)
SSE_HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
)
DONE = b"data: [DONE]\n\n"


class Shape(BaseModel):
    """A request body: strict types as JSON has them, immutable. Unknown fields are kept in
    `model_extra`, so that a room can refuse or accept them."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow", protected_namespaces=())


def json_reply(body: object, workload: Workload | None = None, status: int = 200) -> Reply:
    """A whole JSON answer: one chunk worth all of the workload's output tokens."""
    data = orjson.dumps(body)
    headers = (*JSON_HEADERS, (b"content-length", b"%d" % len(data)))
    tokens = workload.output_tokens if workload else 0
    return Reply(status, headers, [Chunk(data, tokens)], workload=workload)


def sse_reply(chunks: Sequence[Chunk], workload: Workload) -> Reply:
    return Reply(200, SSE_HEADERS, chunks, workload=workload)
