"""Clients that speak nothing but HTTP/2: tunnelled where that is allowed, refused in HTTP/2 elsewhere."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
from pathlib import Path

import pytest

from fakeai_proxy.proxy import http2
from tests.conftest import serving
from tests.doubles.authority import Authority
from tests.doubles.stream_server import StreamServer

SETTINGS = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
ASKED = http2.PREFACE + SETTINGS


def hello(*protocols: str) -> bytes:
    """What a TLS client begins with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="api.openai.com").do_handshake()
    return outgoing.read()


@pytest.mark.parametrize(
    ("protocols", "insists"),
    [((), False), (("h2",), True), (("grpc-exp", "h2"), True), (("h2", "http/1.1"), False),
     (("http/1.1",), False)],
)  # fmt: skip
def test_what_a_hello_offers_is_read(protocols: tuple[str, ...], insists: bool) -> None:
    record = hello(*protocols)
    assert http2.hello_bytes(record) == len(record)
    assert http2.offered_by(record) == [protocol.encode() for protocol in protocols]
    assert http2.insists(record) is insists
    for end in range(len(record)):
        http2.offered_by(record[:end])  # is nothing, and no failure


def farewell(answer: bytes) -> str:
    """The reason in a GOAWAY that comes after settings."""
    assert answer[: len(SETTINGS)] == SETTINGS
    frame = answer[len(SETTINGS) :]
    size, kind = int.from_bytes(frame[:3], "big"), frame[3]
    assert (kind, size) == (7, len(frame) - 9)
    assert int.from_bytes(frame[13:17], "big") == 0xD
    return frame[17:].decode()


async def through(
    url: str, host: str, trust: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    if trust is not None:
        await writer.start_tls(trust, server_hostname=host.partition(":")[0])
    return reader, writer


def trusting(ca: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    context.set_alpn_protocols(["h2"])
    return context


@pytest.mark.parametrize("secure", [True, False])
async def test_in_an_intercepted_tunnel_it_is_told_what_to_do(
    tmp_path: Path, secure: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(mode="synth", data=tmp_path) as app:
        trust = trusting(tmp_path / "ca" / "root.pem") if secure else None
        reader, writer = await through(app.url, "api.openai.com:443", trust)
        if secure:
            assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        writer.write(ASKED)
        await writer.drain()
        answer = await reader.readexactly(len(SETTINGS) + 9)
        answer += await reader.readexactly(int.from_bytes(answer[9:12], "big"))
        told = farewell(answer)
        writer.close()
    assert "let the client speak HTTP/1.1" in told
    assert "--allow-host api.openai.com:443" in told
    assert told in caplog.text


class Speaking(StreamServer):
    """Says what was agreed on, and what came, back."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        agreed = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        writer.write(f"{agreed}:".encode() + await reader.readexactly(len(ASKED)))
        await writer.drain()


async def test_to_an_allowed_host_it_is_tunnelled_untouched_and_said_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority(tmp_path)
    tls = authority.server("localhost")
    tls.set_alpn_protocols(["h2"])
    async with Speaking(tls) as far:
        host = f"localhost:{far.port}"
        async with serving(
            mode="replay", cassette=(_empty(tmp_path),), intercept=("localhost",), allow_host=(host,),
            data=tmp_path / "data",
        ) as app:  # fmt: skip
            reader, writer = await through(app.url, host, trusting(authority.pem))
            writer.write(ASKED)
            assert await reader.read() == b"h2:" + ASKED
            writer.close()
    assert f"HTTP/2 (gRPC?) with {host} is tunnelled, not recorded" in caplog.text


def _empty(folder: Path) -> Path:
    path = folder / "c.jsonl"
    path.write_text(
        '{"kind":"head","version":1,"tool":"t","created_at":0,"salt":"00","key_profile":"exact-1"}\n'
    )
    return path


async def test_a_client_that_can_do_both_is_served_as_ever(tmp_path: Path) -> None:
    async with serving(mode="synth", data=tmp_path) as app:
        trust = ssl.create_default_context(cafile=tmp_path / "ca" / "root.pem")
        trust.set_alpn_protocols(["h2", "http/1.1"])
        reader, writer = await through(app.url, "api.openai.com:443", trust)
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        writer.write(b"GET /v1/models HTTP/1.1\r\nHost: api.openai.com\r\nAuthorization: Bearer sk-x\r\n"
                     b"Connection: close\r\n\r\n")  # fmt: skip
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
        writer.close()


@pytest.mark.parametrize("cuts", [(), (1,), (3,), (8,), (20,)])
async def test_at_the_port_itself_it_is_told_so(cuts: tuple[int, ...]) -> None:
    async with serving(mode="synth") as app:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(app.url.rpartition(":")[2]))
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        start = 0
        for end in (*cuts, len(ASKED)):
            writer.write(ASKED[start:end])
            await writer.drain()
            start = end
        answer = await reader.read()
        # What comes in tiny pieces is answered by the parser of HTTP/1.1.
        assert b"let the client speak HTTP/1.1" in answer or b"this is HTTP/2" in answer
        writer.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
async def test_curl_ends_at_once() -> None:
    async with serving(mode="synth") as app:
        curl = await asyncio.create_subprocess_exec(
            "curl", "-sv", "--max-time", "10", "--http2-prior-knowledge", f"{app.url}/v1/models",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await curl.communicate()
        assert curl.returncode not in (0, 28), said
