"""A parent proxy: CONNECT tunnels and absolute-form requests, with optional credentials and TLS."""

from __future__ import annotations

import asyncio
import base64
import ssl
from contextlib import suppress

from tests.doubles.stream_server import StreamServer


class ConnectProxy(StreamServer):
    """`async with ConnectProxy(credentials="user:pass") as proxy`; `proxy.heads` is what was asked."""

    def __init__(self, credentials: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self._expected = (
            b"Basic " + base64.b64encode(credentials.encode()) if credentials is not None else None
        )
        self.heads: list[bytes] = []

    def url(self, credentials: str = "") -> str:
        userinfo = f"{credentials}@" if credentials else ""
        return f"{'http' if self._tls is None else 'https'}://{userinfo}127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        method, target, _ = head.split(b"\r\n", 1)[0].split(b" ")
        lines = head.split(b"\r\n")[1:-2]
        given = {
            name.lower(): value for name, _, value in (line.partition(b": ") for line in lines)
        }
        if self._expected is not None and given.get(b"proxy-authorization") != self._expected:
            writer.write(
                b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                b'Proxy-Authenticate: Basic realm="test"\r\nContent-Length: 0\r\n\r\n'
            )
            await writer.drain()
            return
        if method == b"CONNECT":
            host, _, port = target.decode().rpartition(":")
            there = await asyncio.open_connection(host.strip("[]"), int(port))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            authority, _, path = target.removeprefix(b"http://").partition(b"/")
            host, _, port = authority.decode().rpartition(":")
            there = await asyncio.open_connection(host, int(port))
            kept = [line for line in lines if not line.lower().startswith(b"proxy-")]
            request_line = method + b" /" + path + b" HTTP/1.1"
            there[1].write(b"\r\n".join([request_line, *kept, b"", b""]))
        await _both_ways((reader, writer), there)


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _both_ways(here: Stream, there: Stream) -> None:
    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, ssl.SSLError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    await asyncio.gather(pour(here[0], there[1]), pour(there[0], here[1]))
