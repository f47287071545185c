"""Somebody who is told by webhooks, on a port of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiohttp import web


class Receiver:
    """Keeps what it is sent, with its headers. The next answers have the statuses in `refusals`."""

    def __init__(self) -> None:
        self.heard: list[tuple[Mapping[str, str], str]] = []
        self.refusals: list[int] = []
        self.url = ""

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        text = await request.text()
        if self.refusals:
            return web.Response(status=self.refusals.pop(0))
        self.heard.append((dict(request.headers), text))
        return web.Response(status=204)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    runner = web.ServerRunner(web.Server(receiver.answer))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hooks"
    try:
        yield receiver
    finally:
        await runner.cleanup()
