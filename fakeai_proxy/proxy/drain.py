"""The end of a server: requests under way are finished, idle connections closed, the rest cut.

aiohttp's own shutdown drops the bytes of a body that is still arriving and waits twice as long as it
was told, so we wait for the handlers ourselves and leave it the cutting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from fakeai_proxy.proxy import web

#: What a handler gets for its clean-up once it is cut. (aiohttp takes 0 for "as long as it likes".)
CUT_REAL_S = 0.1

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Drain:
    """Wraps the handler of a `web.Server`."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._busy: set[object] = set()
        self._over = asyncio.Event()
        self._draining = False

    async def handle(self, raw: web.BaseRequest) -> web.StreamResponse:
        connection = raw.protocol
        self._busy.add(connection)
        try:
            return await self._handler(raw)
        finally:
            self._busy.discard(connection)
            if self._draining:
                connection.close()  # after this reply
                if not self._busy:
                    self._over.set()

    async def finish(self, server: web.Server, timeout_s: float) -> None:
        """Wait for what is under way, at most `timeout_s` of real time; then cut. Nothing may be
        accepted any more."""
        self._draining = True
        for connection in server.connections:
            if connection not in self._busy:
                connection.close()
        if self._busy:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._over.wait()
            except TimeoutError:
                pass
        await server.shutdown(CUT_REAL_S)
