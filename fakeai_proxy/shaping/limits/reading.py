"""Reads what a request asks for, without stopping the event loop for a large body."""

from __future__ import annotations

import asyncio

import orjson

from fakeai_proxy.body import INLINE_BYTES_MAX, JSON_BYTES_MAX, decoded
from fakeai_proxy.clock import Clock
from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import Request
from fakeai_proxy.shaping.limits.demand import Demand, Endpoint, demand_of, form_demand


async def demand_in(request: Request, endpoint: Endpoint, clock: Clock) -> Demand:
    """A JSON body is read to its end; of a form only what has come is looked at. Raises 413."""
    content_type = request.header(b"content-type")
    if content_type is not None and b"json" not in content_type:
        return form_demand(endpoint, request.body.in_memory)
    body = request.body
    raw = body.in_memory
    if raw is None:
        raw = await body.read(JSON_BYTES_MAX)
    coding = request.header(b"content-encoding")
    if coding is None and len(raw) <= INLINE_BYTES_MAX:
        return _demand(request, endpoint, raw)
    with clock.hold():
        return await asyncio.to_thread(_demand, request, endpoint, raw)


def _demand(request: Request, endpoint: Endpoint, raw: bytes) -> Demand:
    body = request.body
    if body.parsed is None:
        try:
            value = orjson.loads(decoded(request.text_header(b"content-encoding"), raw))
        except (orjson.JSONDecodeError, ApiError):
            value = None  # whoever answers will say so
        if isinstance(value, dict):
            body.parsed = value
    return demand_of(endpoint, body.parsed or {})
