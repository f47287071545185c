"""A client in the server's own event loop, so that simulated time moves only while it waits in vain."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock, turn
from tests.observe.asking import CHAT

#: Turns of the event loop in which whatever can happen without time has happened.
TURNS = 40


async def answered(
    app: App, clock: VirtualClock, tick_s: float, **changes: object
) -> tuple[int, Any]:
    """Status and JSON of a chat, for which the clock goes on in ticks."""
    asked = asyncio.ensure_future(_chat(app, json.dumps({**CHAT, **changes}).encode()))
    while True:
        for _ in range(TURNS):
            await turn()
        if asked.done():
            return await asked
        clock.advance(tick_s)


async def _chat(app: App, body: bytes) -> tuple[int, Any]:
    host, _, port = app.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        "Authorization: Bearer any\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    answer = await reader.read()
    writer.close()
    start, _, content = answer.partition(b"\r\n\r\n")
    return int(start.split()[1]), json.loads(content)
