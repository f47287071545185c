"""A WebSocket server that is not ours and says everything back."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

Handler = Callable[[ServerConnection], Awaitable[None]]


async def echo(socket: ServerConnection) -> None:
    async for message in socket:
        await socket.send(message)


@asynccontextmanager
async def websocket_server(
    handler: Handler = echo,
    subprotocols: list[Subprotocol] | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[str]:
    """`handler` behind an http:// or https:// URL."""
    async with serve(
        handler, "127.0.0.1", 0, max_size=None, subprotocols=subprotocols, ssl=tls
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{port}"
