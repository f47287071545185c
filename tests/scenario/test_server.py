"""Scenarios through the program: clients over real sockets, phases on a virtual clock."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.errors import ConfigError
from tests.conftest import Ended, Serve
from tests.observe.asking import ask, chat

HEAD = """
description = "A test's own"
source = "made up for a test"
illustrative = true
"""
OUTAGE = """
[[phase]]
name = "calm"
duration = "30s"
[[phase]]
name = "outage"
duration = "1m"
faults = ["503"]
[[phase]]
name = "calm again"
"""


def toml(folder: Path, text: str) -> str:
    (folder / "own.toml").write_text(HEAD + text)
    return str(folder / "own.toml")


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(autojump=False)


async def test_a_client_sees_calm_then_503s_then_calm_at_the_right_instants(
    serve: Serve, clock: VirtualClock, tmp_path: Path
) -> None:
    ended = Ended()
    app = await serve(clock=clock, observer=ended, scenario=toml(tmp_path, OUTAGE))
    seen = []
    for wait_s in (0, 29.999, 0.001, 30, 29.999, 0.001, 10_000):
        clock.advance(wait_s)
        seen.append((await chat(app)).status)
    assert seen == [200, 200, 503, 503, 503, 200, 200]
    assert [exchange.phase for exchange in ended.exchanges] == [
        *["calm"] * 2, *["outage"] * 3, *["calm again"] * 2
    ]  # fmt: skip


async def test_limits_are_scaled_within_the_phase_only(
    serve: Serve, clock: VirtualClock, tmp_path: Path
) -> None:
    text = OUTAGE.replace('faults = ["503"]', "limits = { scale = 0.1 }")
    app = await serve(clock=clock, limits=("openai:1",), scenario=toml(tmp_path, text))

    async def limit() -> str:
        return (await chat(app)).headers["x-ratelimit-limit-requests"]

    assert await limit() == "10000"
    clock.advance(30)
    assert await limit() == "1000"
    clock.advance(60)
    assert await limit() == "10000"
