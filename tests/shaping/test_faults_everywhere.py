"""Every fault on every source under every timing, on a virtual clock; and nothing is left afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock, turn
from fakeai_proxy.shaping.faults.kinds import STREAM as STREAM_ONLY
from fakeai_proxy.shaping.faults.table import FAULTS
from tests.conftest import Ended, serving
from tests.doubles.upstream import FakeUpstream, json_reply, sse_reply

CHAT = "/v1/chat/completions"
STREAM = (
    b'{"model":"gpt-4o","stream":true,"max_tokens":30,"stream_options":{"include_usage":true},'
    b'"messages":[{"role":"user","content":"Tell me"}]}'
)
WHOLE = STREAM.replace(b'"stream":true,', b"").replace(
    b'"stream_options":{"include_usage":true},', b""
)
EVENTS = [
    b'data: {"model":"m","choices":[{"delta":{"content":"piece %d"},"finish_reason":null}]}\n\n' % k
    for k in range(12)
]
EVENTS += [
    b'data: {"model":"m","choices":[{"delta":{},"finish_reason":"stop"}]}\n\n',
    b'data: {"model":"m","choices":[],"usage":{"total_tokens":15}}\n\n',
    b"data: [DONE]\n\n",
]

#: Parameters with which a fault ends by itself, and soon.
SHORT = {"hang": "hang:s=5", "stall": "stall:after=3,s=60", "bandwidth": "bandwidth:bytes_per_s=5000",
         "huge_event": "huge_event:bytes=200000", "trickle": "trickle:ms=1"}  # fmt: skip
#: And with which it would take for ever.
LONG = {"stall": "stall:after=3", "bandwidth": "bandwidth:bytes_per_s=0.1", "trickle": "trickle:ms=1e6",
        "latency": "latency:ms=1e9", "slow": "slow:factor=1e6", "slow_close": "slow_close:s=1e6"}  # fmt: skip
REQUESTED = [name for name, fault in FAULTS.items() if not fault.at_door]
#: Those that change when bytes come, not which.
OF_TIME = {"latency", "slow", "stall", "trickle", "bandwidth", "slow_close"}
OF_THE_HEAD = {"content_type", "http10", "content_length"}
#: Those that find nothing to change in these answers.
IDLE = {"broken_arguments", "invalid_output"}


@contextlib.asynccontextmanager
async def source(
    name: str, clock: VirtualClock, ended: Ended, folder: Path, **settings: object
) -> AsyncIterator[App]:
    """An app whose answers are made up, come from a cassette, or from an upstream."""
    if name == "synth":
        async with serving(clock, ended, **{"profile": "quick", **settings}) as app:
            yield app
        return
    async with FakeUpstream() as upstream:
        answer = json_reply(
            {
                "model": "gpt-4o",
                "usage": {"total_tokens": 3},
                "choices": [{"message": {"content": "whole"}, "finish_reason": "stop"}],
            }
        )
        upstream.on("POST", CHAT, sse_reply(EVENTS))
        upstream.on("POST", "/v1/whole", answer)
        if name == "live":
            async with serving(clock, ended, mode="pass", upstream=upstream.url, **settings) as app:
                yield app
            return
        cassette = (str(folder / "faults.fcz"),)
        async with serving(mode="record", cassette=cassette, upstream=upstream.url) as app:
            await ask(app, STREAM)
            await ask(app, WHOLE, path="/v1/whole")
        async with serving(clock, ended, mode="replay", cassette=cassette, **settings) as app:
            yield app


async def ask(app: App, body: bytes = STREAM, *headers: str, path: str = CHAT) -> bytes:
    """Everything that comes back, until the connection ends, reset or not; for a while of silence."""
    host, _, port = app.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = [f"POST {path} HTTP/1.1", "Host: api.test", "Connection: close", "Authorization: Bearer any",
             "Content-Type: application/json", f"Content-Length: {len(body)}", *headers, "", ""]  # fmt: skip
    writer.write("\r\n".join(lines).encode() + body)
    answer = b""
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(1 << 16):
            answer += piece
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return answer


def open_files() -> set[str]:
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.add(f"{number}:{os.readlink(f'/proc/self/fd/{number}')}")
    return found


class Holding:
    """What the process holds; `assert_freed` waits a while for what is on its way out."""

    def __init__(self) -> None:
        self._tasks, self._files = asyncio.all_tasks(), open_files()

    def _more(self) -> list[str]:
        tasks = [repr(task) for task in asyncio.all_tasks() - self._tasks if not task.done()]
        # The virtual clock's own task lasts while anybody waits for an instant.
        return [
            *(task for task in tasks if "VirtualClock" not in task),
            *open_files() - self._files,
        ]

    async def assert_freed(self, what: str) -> None:
        for _ in range(200):
            if not self._more():
                return
            await turn()
        raise AssertionError(f"{what} leaves {self._more()}")


def body_of(answer: bytes) -> bytes:
    """Without its framing."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head.lower():
        return body
    pieces = []
    while body:
        size, _, body = body.partition(b"\r\n")
        pieces.append(body[: int(size, 16)])
        body = body[int(size, 16) + 2 :]
    return b"".join(pieces)


@pytest.mark.parametrize("timing", ["recorded", "profile", "none"])
@pytest.mark.parametrize("shape", ["stream", "whole"])
@pytest.mark.parametrize("origin", ["synth", "cassette", "live"])
async def test_every_fault_goes_with_every_source_and_timing(
    origin: str, shape: str, timing: str, tmp_path: Path
) -> None:
    clock, ended = VirtualClock(), Ended()
    streams = shape == "stream"
    question = {"body": STREAM} if streams else {"body": WHOLE}
    path = CHAT if streams or origin == "synth" else "/v1/whole"
    async with source(origin, clock, ended, tmp_path, timing=timing) as app:
        plain = await ask(app, **question, path=path)
        assert plain.startswith(b"HTTP/1.1 200")
        for name in REQUESTED:
            app.faults.replace([SHORT.get(name, name)])
            holding = Holding()
            answer = await ask(app, **question, path=path)
            await holding.assert_freed(name)
            fits = streams or FAULTS[name].on != STREAM_ONLY
            applied = [fault.partition(":")[0] for fault in ended.exchanges[-1].faults]
            assert applied == ([name] if fits else [])
            same = name in OF_TIME | IDLE | OF_THE_HEAD or not fits
            if origin != "synth":  # whose answers have ids of their own
                assert (body_of(answer) == body_of(plain)) is same, name
        app.faults.replace([])
        assert (await ask(app, **question, path=path))[-20:] == plain[-20:]
    assert all(entry.step(1e12) is None for _, _, entry in app.scheduler._heap)


@pytest.mark.parametrize("origin", ["synth", "cassette", "live"])
async def test_a_client_that_leaves_amid_any_fault_frees_everything(
    origin: str, tmp_path: Path
) -> None:
    clock, ended = VirtualClock(autojump=False), Ended()
    async with source(origin, clock, ended, tmp_path) as app:
        app.faults.replace([])
        await asyncio.gather(ask(app), advancing(clock, ended, 1))
        for count, name in enumerate(REQUESTED, 2):
            app.faults.replace([LONG.get(name, name)])
            holding = Holding()
            host, _, port = app.url.removeprefix("http://").rpartition(":")
            _, writer = await asyncio.open_connection(host, int(port))
            head = f"POST {CHAT} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer any\r\n"
            writer.write(f"{head}Content-Length: {len(STREAM)}\r\n\r\n".encode() + STREAM)
            for _ in range(60):
                await turn()
                clock.advance(0.01)
            # A reset: after a mere end, a client might still be listening.
            sock = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):  # the server was first
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            await holding.assert_freed(name)
            assert len(ended.exchanges) == count
            if name in (*LONG, "hang") and name != "slow":  # nothing comes after its first byte
                assert ended.exchanges[-1].end == "client_gone", name


async def advancing(clock: VirtualClock, ended: Ended, count: int) -> None:
    """Time passes until so many exchanges have ended."""
    while len(ended.exchanges) < count:
        await turn()
        clock.advance(0.01)


async def test_what_is_recorded_is_what_came_not_what_a_fault_made_of_it(tmp_path: Path) -> None:
    cassette = (str(tmp_path / "truth.fcz"),)
    async with FakeUpstream() as upstream:
        upstream.on("POST", CHAT, sse_reply(EVENTS))
        rules = ("wrong_model,also=true", "duplicate")
        async with serving(
            mode="record", cassette=cassette, upstream=upstream.url, fault=rules
        ) as app:
            assert (await ask(app)).count(b"[DONE]") == 1
    async with serving(mode="replay", cassette=cassette) as app:
        assert b"".join(EVENTS) == b"".join(
            piece for piece in (await ask(app)).split(b"\r\n") if piece.startswith(b"data:")
        )


async def test_a_connection_is_good_for_the_next_request_after_a_fault() -> None:
    async with serving() as app:
        host, _, port = app.url.removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        for fault in ("comments", "503", "truncate", "latency:ms=1", "html", "empty", "no_usage"):
            head = f"POST {CHAT} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer any\r\nx-fakeai-fault: {fault}"
            writer.write(f"{head}\r\nContent-Length: {len(WHOLE)}\r\n\r\n".encode() + WHOLE)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = next(
                line for line in answer.lower().split(b"\r\n") if b"content-length" in line
            )
            await reader.readexactly(int(length.split()[1]))
        writer.close()
