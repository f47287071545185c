"""The end of a server: requests under way are finished, idle connections closed, the rest cut.

aiohttp's own shutdown drops the bytes of a body that is still arriving and waits twice as long as it
was told, so we wait for the answers ourselves and leave it the cutting.
"""

from __future__ import annotations

import asyncio

from fakeai_proxy.proxy import web
from fakeai_proxy.proxy.connection import Connection

#: What a handler gets for its clean-up once it is cut. (aiohttp takes 0 for "as long as it likes".)
CUT_REAL_S = 0.1


async def drain(server: web.Server, timeout_s: float) -> None:
    """Wait for what is under way, at most `timeout_s` of real time; then cut. Nothing may be accepted
    any more."""
    ending = [
        task
        for connection in server.connections
        if isinstance(connection, Connection) and (task := connection.end()) is not None
    ]
    if ending and timeout_s > 0:
        await asyncio.wait(ending, timeout=timeout_s)
    await server.shutdown(CUT_REAL_S)
