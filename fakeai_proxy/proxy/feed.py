"""Puts something that tells by itself (`Feed`) on a WebSocket and on the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import Protocol

from aiohttp import WSCloseCode, WSMsgType

from fakeai_proxy.clock import Clock
from fakeai_proxy.errors import bad_request
from fakeai_proxy.proxy import web
from fakeai_proxy.proxy.socket import CLOSE_REAL_S, HEARTBEAT_REAL_S


class Feed(Protocol):
    """What one client hears; texts are UTF-8."""

    @property
    def message_bytes_max(self) -> int: ...

    async def open(self, now: float) -> Sequence[bytes]: ...

    def receive(self, message: str | bytes, now: float) -> Sequence[bytes]: ...

    @property
    def due_at(self) -> float:
        """When to ask for an `update`."""

    async def update(self, now: float) -> Sequence[bytes]: ...


async def feed(
    raw: web.BaseRequest,
    what: Feed,
    clock: Clock,
    serving: Callable[[], AbstractAsyncContextManager[None]],
) -> None:
    """Until a side leaves, or `serving` raises TimeoutError. Raises ApiError where the handshake is
    none."""
    socket = web.WebSocketResponse(
        max_msg_size=what.message_bytes_max,
        heartbeat=HEARTBEAT_REAL_S,
        timeout=CLOSE_REAL_S,
        compress=False,
    )
    try:
        await socket.prepare(raw)
    except web.HTTPException as refused:
        raise bad_request(f"Bad request: {refused.text}.") from None
    try:
        with suppress(ConnectionError):
            async with serving():
                await _carry(socket, what, clock)
    except TimeoutError:
        await socket.close(code=WSCloseCode.GOING_AWAY)
    await socket.close()


async def _carry(socket: web.WebSocketResponse, what: Feed, clock: Clock) -> None:
    await _say(socket, await what.open(clock.now()))
    reading = asyncio.ensure_future(socket.receive())
    waiting: asyncio.Future[None] | None = None
    try:
        while True:
            waiting = asyncio.ensure_future(clock.sleep_until(what.due_at))
            await asyncio.wait((reading, waiting), return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                message = reading.result()
                if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                    return
                await _say(socket, what.receive(message.data, clock.now()))
                reading = asyncio.ensure_future(socket.receive())
            if waiting.done():
                await _say(socket, await what.update(clock.now()))
            waiting.cancel()
    finally:
        reading.cancel()
        if waiting is not None:
            waiting.cancel()


async def _say(socket: web.WebSocketResponse, messages: Sequence[bytes]) -> None:
    for message in messages:
        await socket.send_str(message.decode())
