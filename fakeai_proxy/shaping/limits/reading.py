"""Reads what a request asks for, without stopping the event loop for a large body."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from urllib.parse import parse_qs

import orjson

from fakeai_proxy.body import INLINE_BYTES_MAX, JSON_BYTES_MAX, decoded
from fakeai_proxy.clock import Clock
from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import Request
from fakeai_proxy.shaping.limits.demand import (
    MODEL_CHARS_MAX,
    Demand,
    Endpoint,
    demand_of,
    form_demand,
)

#: How an exchange within a WebSocket is made.
_WITHIN = "WS"


def is_socket(request: Request) -> bool:
    """The handshake of a WebSocket, or what is asked within one."""
    return request.method == _WITHIN or request.text_header(b"upgrade").lower() == "websocket"


def demand_at_once(request: Request, endpoint: Endpoint) -> Demand | None:
    """Of a small body that is here; None where `demand_in` is needed."""
    if request.method == "GET":
        query = parse_qs(request.query)
        named = query.get("model") or query.get("deployment") or [""]
        return Demand(endpoint.operation, endpoint.model or named[0][:MODEL_CHARS_MAX])
    raw = request.body.in_memory
    if raw is None or len(raw) > INLINE_BYTES_MAX or request.header(b"content-encoding"):
        return None
    if raw[:1] != b"{" and not _is_json(request):
        return form_demand(endpoint, raw)
    if request.body.parsed is None:
        _parse(request, raw)
    return demand_of(endpoint, request.body.parsed or {})


async def demand_in(request: Request, endpoint: Endpoint, clock: Clock) -> Demand:
    """A JSON body is read to its end; of a form only what has come is looked at. Raises 413."""
    if not _is_json(request):
        return form_demand(endpoint, request.body.in_memory)
    raw = await request.body.read(JSON_BYTES_MAX)

    def read() -> Demand:
        with suppress(ApiError):  # whoever answers will say so
            _parse(request, decoded(request.text_header(b"content-encoding"), raw))
        return demand_of(endpoint, request.body.parsed or {})

    with clock.hold():
        return await asyncio.to_thread(read)


def _is_json(request: Request) -> bool:
    content_type = request.header(b"content-type")
    return content_type is None or b"json" in content_type


def _parse(request: Request, data: bytes) -> None:
    """What is wrong with it, whoever answers will say."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return
    if type(value) is dict:
        request.body.parsed = value
