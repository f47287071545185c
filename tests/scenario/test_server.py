"""Scenarios through the program: clients over real sockets, phases on a virtual clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.profiles.scenario import scenario_names
from tests.conftest import Ended, Serve
from tests.observe.asking import ask, chat
from tests.scenario.waiting import answered

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


def steady(folder: Path) -> str:
    """A latency profile: the first token after a second, and all others with it."""
    row = "ttft_p50_ms = 1000\nttft_sigma = 0\nitl_p50_ms = 0\n"
    (folder / "steady.toml").write_text(f"{HEAD}[[latency]]\n{row}")
    return str(folder / "steady.toml")


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


async def test_the_same_requests_fail_in_the_same_phase_in_every_run(
    serve: Serve, tmp_path: Path
) -> None:
    phases = OUTAGE.replace('["503"]', '["503:p=0.4", "502:p=0.4"]')

    async def run(before: int) -> list[int]:
        """Which of twenty requests fail in the outage, after some that were asked in vain."""
        clock = VirtualClock(autojump=False)
        app = await serve(clock=clock, scenario=toml(tmp_path, phases), fault=("500:p=0.5",))
        for seed in range(before):
            await chat(app, seed=seed)
        clock.advance(30)
        return [(await chat(app, seed=seed)).status for seed in range(20)]

    first = await run(before=0)
    assert set(first) == {200, 500, 502, 503}
    assert await run(before=12) == first


async def test_the_control_api_shows_starts_and_stops(serve: Serve, clock: VirtualClock) -> None:
    app = await serve(clock=clock)
    path = "/_fakeai/v1/scenario"
    assert (await ask(app, path)).body == {"scenario": None, "phase": None}

    started = await ask(app, path, "PUT", {"scenario": "thundering-herd"})
    assert (started.status, started.body["phase"]) == (200, "calm")
    clock.advance(25)
    shown = (await ask(app, path)).body
    assert shown["scenario"] == "thundering-herd"
    assert (shown["phase"], shown["number"], shown["phases"]) == ("outage", 2, 5)
    assert (shown["elapsed_s"], shown["phase_elapsed_s"], shown["left_s"]) == (25, 5, 35)
    assert shown["next"] == {"phase": "herd", "in_s": 35}
    assert shown["changes"]["faults"] == ["503:retry_after_s=5"]
    answer = await chat(app)
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")

    own = {"name": "mine", "description": "x", "source": "made up here", "illustrative": True,
           "phase": [{"name": "teapots", "faults": ["418"]}]}  # fmt: skip
    assert (await ask(app, path, "PUT", {"own": own})).body["scenario"] == "mine"
    assert (await chat(app)).status == 418

    stopped = await ask(app, path, "DELETE")
    assert (stopped.status, stopped.body["scenario"]) == (200, None)
    assert (await chat(app)).status == 200
    assert (await ask(app, "/_fakeai/v1/faults")).body["data"] == []


async def test_the_control_api_lists_what_is_shipped(serve: Serve) -> None:
    app = await serve()
    rows = (await ask(app, "/_fakeai/v1/scenarios")).body["data"]
    assert [row["name"] for row in rows] == scenario_names()
    assert all(row["source"] and row["phases"] for row in rows)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"scenario": "brwn-out"}, "brown-out"),
        ({"scenario": "/etc/passwd"}, "brown-out"),
        ({}, "give scenario"),
        ({"own": {"phase": []}}, "own"),
        ({"scenario": "slow-gpu"}, "there is no fleet"),
    ],
)
async def test_the_control_api_refuses_what_cannot_be_put_on(
    body: dict[str, object], said: str, serve: Serve
) -> None:
    app = await serve()
    got = await ask(app, "/_fakeai/v1/scenario", "PUT", body)
    assert got.status == 400
    assert said in got.data.decode()
    assert (await ask(app, "/_fakeai/v1/scenario")).body["scenario"] is None


async def test_the_control_api_reads_no_files(serve: Serve, tmp_path: Path) -> None:
    app = await serve()
    own = {"name": "mine", "description": "x", "source": "made up here", "illustrative": True,
           "phase": [{"name": "a", "limits": {"use": [toml(tmp_path, "")]}}]}  # fmt: skip
    got = await ask(app, "/_fakeai/v1/scenario", "PUT", {"own": own})
    assert (got.status, "no shipped limits" in got.message) == (400, True)


async def test_the_journal_names_the_phase(
    serve: Serve, clock: VirtualClock, tmp_path: Path
) -> None:
    app = await serve(clock=clock, scenario=toml(tmp_path, OUTAGE))
    await chat(app)
    clock.advance(30)
    await chat(app)
    page = (await ask(app, "/_fakeai/v1/journal?phase=outage")).body
    assert [(row["phase"], row["status"]) for row in page["data"]] == [("outage", 503)]


async def test_the_timing_is_as_slow_as_the_phase_says(
    serve: Serve, clock: VirtualClock, tmp_path: Path
) -> None:
    ended = Ended()
    text = OUTAGE.replace('faults = ["503"]', "speed = 0.25")
    app = await serve(
        clock=clock, observer=ended, profile=steady(tmp_path), scenario=toml(tmp_path, text)
    )

    async def ttft_s() -> float:
        await answered(app, clock, tick_s=1 / 16)
        exchange = ended.exchanges[-1]
        assert exchange.first_byte_at is not None
        return exchange.first_byte_at - exchange.arrived_at

    calm_s = await ttft_s()
    clock.advance(30 - clock.now())
    assert await ttft_s() == 4 * calm_s
    clock.advance(90 - clock.now())
    assert await ttft_s() == calm_s == 1.0


async def test_what_is_missing_stops_the_server_from_starting(serve: Serve, tmp_path: Path) -> None:
    text = OUTAGE.replace('faults = ["503"]', "limits = { scale = 0.5 }")
    with pytest.raises(ConfigError, match=r"phase\.1\.limits\.scale \(of outage\).*--limits"):
        await serve(scenario=toml(tmp_path, text))
