"""Every fault on every source under every timing, on a virtual clock; and nothing is left afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock, turn
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
    b'data: {"choices":[{"delta":{"content":"piece %d"},"finish_reason":null}]}\n\n' % k
    for k in range(12)
]
EVENTS += [b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n', b"data: [DONE]\n\n"]

#: Parameters with which each fault ends by itself.
SHORT = {"hang": "hang:s=5", "stall": "stall:after=3,s=60", "bandwidth": "bandwidth:bytes_per_s=5000",
         "huge_event": "huge_event:bytes=200000", "trickle": "trickle:ms=1",
         "tls_failure": "tls_failure:how=alert", "connect_hang": "connect_hang:s=1"}  # fmt: skip
REQUESTED = [name for name, fault in FAULTS.items() if not fault.at_door]


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
            {"model": "gpt-4o", "choices": [{"message": {"content": "whole"}}], "usage": {}}
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
    return {
        f"{number}:{os.readlink(f'/proc/self/fd/{number}')}"
        for number in os.listdir("/proc/self/fd")
        if os.path.exists(f"/proc/self/fd/{number}")
    }


@pytest.mark.parametrize("timing", ["recorded", "profile", "none"])
@pytest.mark.parametrize("origin", ["synth", "cassette", "live"])
async def test_every_fault_goes_with_every_source_and_timing(
    origin: str, timing: str, tmp_path: Path
) -> None:
    clock, ended = VirtualClock(), Ended()
    async with source(origin, clock, ended, tmp_path, timing=timing) as app:
        plain = await ask(app)
        assert b"[DONE]" in plain
        for name in REQUESTED:
            app.faults.replace([SHORT.get(name, name)])
            tasks, files = asyncio.all_tasks(), open_files()
            answer = await ask(app)
            one = ended.exchanges[-1]
            expected = one.faults
            assert [fault.partition(":")[0] for fault in expected] == [name], (
                origin,
                timing,
                answer[-300:],
            )
            assert answer != plain or name in (
                "latency",
                "slow",
                "stall",
                "trickle",
                "bandwidth",
                "slow_close",
            )
            for _ in range(20):
                await turn()
            left = {task for task in asyncio.all_tasks() - tasks if not task.done()}
            left = {task for task in left if "_jump" not in repr(task)}
            assert not left, (name, left)
            assert open_files() - files <= set(), name
            assert clock.now() < 1e6
        app.faults.replace([])
        assert (await ask(app))[-20:] == plain[-20:]
    assert app.scheduler._heap == [] or all(
        entry[2].step(1e9) is None for entry in app.scheduler._heap
    )
