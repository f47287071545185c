"""A front door in a thread of its own, so that tests may use blocking clients, and servers to reach
through it."""

from __future__ import annotations

import asyncio
import hashlib
import re
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import uvloop
from aiohttp import web

from fakeai_proxy.app import App
from fakeai_proxy.clock import SystemClock
from fakeai_proxy.config import Config
from fakeai_proxy.exchange import Origin
from fakeai_proxy.proxy.authority import Authority
from fakeai_proxy.proxy.certificates import Certificates
from fakeai_proxy.proxy.connection import Connection
from fakeai_proxy.proxy.front_door import FrontDoor, FrontDoorSettings
from fakeai_proxy.proxy.listening import Address
from fakeai_proxy.proxy.policy import Policy, PolicySettings

T = TypeVar("T")
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class LoopThread:
    """An event loop that runs in a thread."""

    def __init__(self, kind: str = "asyncio") -> None:
        self.loop = LOOPS[kind]()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


async def answer(request: web.BaseRequest) -> web.StreamResponse:
    """Says how the request reached us."""
    protocol = request.protocol
    assert isinstance(protocol, Connection)
    body = await request.read()
    return web.json_response(
        {
            "origin": protocol.tunnel.url if protocol.tunnel else None,
            "target": request.raw_path,
            "host": request.host,
            "sha256": hashlib.sha256(body).hexdigest(),
        }
    )


class Door:
    """`settings` are those of the policy and of the front door."""

    def __init__(
        self,
        directory: Path,
        kind: str = "asyncio",
        upstream_proxy: str | None = None,
        upstream_tls: ssl.SSLContext | None = None,
        whole_app: bool = False,
        **settings: Any,
    ) -> None:
        clock = SystemClock()
        at = {
            name: settings.pop(name) for name in FrontDoorSettings.model_fields if name in settings
        }
        self.policy = Policy(PolicySettings(**settings))
        self.authority = Authority.open(directory, self.policy.intercepted, clock.wall)
        self.ca = str(self.authority.root_path)
        self.thread = LoopThread(kind)
        self.certificates = Certificates(lambda: self.authority, self.policy.intercepts, clock.wall)
        self.app: App | None = None
        connection: Callable[[Origin | None, float, str], asyncio.Protocol]
        if whole_app:
            self.app = App(Config.load(flags={"profile": "none"}))
            self.thread.run(self.app.start())
            connection = self.app._connection
        else:

            async def make() -> web.Server:
                return web.Server(answer)

            self.server = self.thread.run(make())

            def connection(origin: Origin | None, waiting_s: float, user: str) -> asyncio.Protocol:
                return Connection(self.server, clock.now, origin, access_log=None)

        self.front = FrontDoor(
            FrontDoorSettings(**{"listen": "127.0.0.1:0", **at}),
            self.policy,
            self.certificates,
            connection,
            upstream_proxy,
            upstream_tls,
        )
        self.thread.run(self.front.open())

    @property
    def address(self) -> Address:
        return self.front.addresses[0]

    @property
    def url(self) -> str:
        return self.address.url

    def close(self) -> None:
        self.thread.run(self.front.close())
        if self.app is not None:
            self.thread.run(self.app.close())
        else:
            self.thread.run(self.server.shutdown(0.0))
        self.thread.close()

    # --- a client by hand

    def dial(self) -> socket.socket:
        sock = socket.create_connection(self.address, timeout=20)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def ask(self, head: bytes) -> tuple[socket.socket, bytes]:
        """Send a head; the connection and the head of the reply."""
        sock = self.dial()
        sock.sendall(head)
        return sock, read_head(sock)

    def tunnel(self, authority: str) -> socket.socket:
        sock, reply = self.ask(connect_head(authority))
        assert reply.startswith(b"HTTP/1.1 200 "), reply
        return sock

    def trust(self) -> ssl.SSLContext:
        """As strict as Python 3.13's default."""
        context = ssl.create_default_context(cafile=self.ca)
        context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    def tls(self, authority: str, name: str | None) -> ssl.SSLSocket:
        context = self.trust()
        if name is None:
            context.check_hostname = False
        return context.wrap_socket(self.tunnel(authority), server_hostname=name)


def connect_head(authority: str, *lines: str) -> bytes:
    return "\r\n".join((f"CONNECT {authority} HTTP/1.1", *lines, "", "")).encode()


def read_head(sock: socket.socket) -> bytes:
    """A head and the body that it gives a length for; nothing of what follows."""
    data = b""
    while not data.endswith(b"\r\n\r\n") and (byte := sock.recv(1)):
        data += byte
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", data)
    return data + (sock.recv(int(length[1]), socket.MSG_WAITALL) if length else b"")


def read_all(sock: socket.socket) -> bytes:
    data = bytearray()
    while piece := sock.recv(65536):
        data += piece
    return bytes(data)


def get(sock: socket.socket, target: str = "/", host: str = "api.openai.com") -> bytes:
    """One request over what has been opened; the reply's body."""
    sock.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    data = b""
    while not (head := re.match(rb"(?is).*content-length: *(\d+).*?\r\n\r\n", data)) or len(
        data
    ) < head.end() + int(head[1]):
        piece = sock.recv(4096)
        assert piece, data
        data += piece
    return data[head.end() :]


@contextmanager
def listening(
    serve: Callable[[socket.socket], None], context: ssl.SSLContext | None = None
) -> Iterator[int]:
    """A server that handles each connection in a thread; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def handle(sock: socket.socket) -> None:
        try:
            with context.wrap_socket(sock, server_side=True) if context else sock as accepted:
                serve(accepted)
        except OSError:
            pass  # the client has gone

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=handle, args=(sock,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


@contextmanager
def forwarding(heads: list[bytes], context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Somebody else's CONNECT proxy, which notes the heads it gets; its port."""
    thread = LoopThread()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        match = re.match(rb"CONNECT ([^:]+):(\d+) ", heads[-1])
        assert match is not None
        goal_reader, goal_writer = await asyncio.open_connection(match[1].decode(), int(match[2]))
        writer.write(b"HTTP/1.1 200 OK\r\nVia: 1.1 other\r\n\r\n")
        await asyncio.gather(copy(reader, goal_writer), copy(goal_reader, writer))

    server = thread.run(asyncio.start_server(serve, "127.0.0.1", 0, ssl=context))

    async def stop() -> None:
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        thread.run(stop())
        thread.close()
