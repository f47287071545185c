"""An internet on the loopback: the way out that `--upstream-proxy` names in the tests.

It is a CONNECT proxy that leads a host name to a server of ours, behind TLS with a certificate for
that very name, so real programs can talk to real host names and nothing leaves the machine.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from tests.doubles.authority import Authority

Result = TypeVar("Result")
_PIECE_BYTES = 1 << 16


class LoopThread:
    """An event loop beside the test, for servers that blocking clients talk to."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def close(self) -> None:
        async def cancel() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self.run(cancel())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(30)
        self.loop.close()


class Internet:
    """`route` says where a host lives: (address, port) of a plain-text server."""

    def __init__(self, thread: LoopThread, folder: Path, hosts: Sequence[str]) -> None:
        self._thread = thread
        self._routes: dict[str, tuple[str, int]] = {}
        authority = Authority(folder, "An internet")
        self.ca = authority.pem
        self._tls = authority.server(*hosts)
        #: Hosts in the order in which they were asked for.
        self.visits: list[str] = []
        self._server = thread.run(asyncio.start_server(self._serve, "127.0.0.1", 0))
        port = self._server.sockets[0].getsockname()[1]
        self.proxy_url = f"http://127.0.0.1:{port}"

    def route(self, host: str, url: str) -> Self:
        address, _, port = url.removeprefix("http://").rpartition(":")
        self._routes[host] = (address, int(port))
        return self

    @property
    def flags(self) -> tuple[str, ...]:
        """What sends a program here."""
        return ("--upstream-proxy", self.proxy_url, "--upstream-ca", str(self.ca))

    def close(self) -> None:
        self._thread.loop.call_soon_threadsafe(self._server.close)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            host = head.split(b" ")[1].decode().rpartition(":")[0]
            self.visits.append(host)
            if host not in self._routes:
                writer.write(b"HTTP/1.1 502 no such host\r\n\r\n")
                return
            inner_reader, inner_writer = await asyncio.open_connection(*self._routes[host])
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await writer.drain()
            await writer.start_tls(self._tls)
            await _join((reader, inner_writer), (inner_reader, writer))
        except (OSError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()


async def _join(*ways: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
    """Carry bytes each way until either side ends; then both do."""
    tasks = [asyncio.ensure_future(_carry(*way)) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _, writer in ways:
            writer.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_PIECE_BYTES):
        writer.write(data)
        await writer.drain()
