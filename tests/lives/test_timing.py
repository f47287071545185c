"""A recording's rhythm, on a virtual clock: nothing here takes the time that it talks about."""

from __future__ import annotations

import asyncio
from itertools import accumulate
from pathlib import Path

import httpx
import pytest

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock
from tests.conftest import Serve, serving
from tests.doubles.upstream import FakeUpstream, Step, sse_reply

CHAT = "/v1/chat/completions"
#: Seconds that the upstream lets pass before each piece of its answer; an hour among them.
GAPS_S = (2.0, 0.25, 0.25, 3600.0, 0.05, 7.5)
DUE_S = tuple(accumulate(GAPS_S))
PIECES = [f"data: piece {number}\n\n".encode() for number in range(len(GAPS_S))]


async def listen(app: App, clock: VirtualClock) -> list[tuple[bytes, float]]:
    """What comes, and when, since the question."""
    asked_at = clock.now()
    async with (
        httpx.AsyncClient(timeout=None) as client,
        client.stream(
            "POST", f"{app.url}{CHAT}", json={"model": "gpt-4o", "stream": True}
        ) as reply,
    ):
        return [(piece, clock.now() - asked_at) async for piece in reply.aiter_raw()]


@pytest.fixture
async def cassette(tmp_path: Path) -> str:
    """A recording of `PIECES`, one each gap."""
    clock = VirtualClock()
    place = str(tmp_path / "rhythm.fcz")
    ticks = [asyncio.Event() for _ in GAPS_S]
    steps: list[Step] = [step for pair in zip(ticks, PIECES, strict=True) for step in pair]
    async with FakeUpstream() as upstream:
        upstream.on("POST", CHAT, sse_reply(steps))

        async def tick() -> None:
            await (await upstream.request()).answering.wait()
            started_at = clock.now()
            for event, due_s in zip(ticks, DUE_S, strict=True):
                await clock.sleep_until(started_at + due_s)
                event.set()

        async with serving(clock, mode="record", cassette=(place,), upstream=upstream.url) as app:
            ticking = asyncio.create_task(tick())
            heard = await listen(app, clock)
            await ticking
        assert [piece for piece, _ in heard] == PIECES
        assert [at for _, at in heard] == pytest.approx(DUE_S, abs=0.001)
    return place


@pytest.mark.parametrize("speed", [1.0, 0.5, 100.0])
async def test_pieces_come_when_they_came(serve: Serve, cassette: str, speed: float) -> None:
    clock = VirtualClock()
    app = await serve(clock=clock, mode="replay", cassette=(cassette,), speed=speed)
    heard = await listen(app, clock)
    assert [piece for piece, _ in heard] == PIECES
    assert [at for _, at in heard] == pytest.approx([due / speed for due in DUE_S], abs=0.001)


async def test_without_timing_they_come_at_once(serve: Serve, cassette: str) -> None:
    clock = VirtualClock()
    app = await serve(clock=clock, mode="replay", cassette=(cassette,), timing="none")
    heard = await listen(app, clock)
    assert b"".join(piece for piece, _ in heard) == b"".join(PIECES)
    assert clock.now() == 0
