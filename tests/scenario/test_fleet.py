"""Scenarios on the simulated fleet, through the program: what clients see of a worker in trouble."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.profiles.scenario import scenario_names
from tests.conftest import Ended, Serve
from tests.observe.asking import ask
from tests.scenario.waiting import answered

FLEET = """
description = "Two workers without chance"
source = "A test's own invention"
[[pool]]
name = "twin"
model = "llama-3.1-8b"
gpu = "h100"
replicas = 2
cold_start_s = 20
jitter_sigma = 0.0
stall_p = 0.0
"""
HEAD = 'description = "A test\'s own"\nsource = "made up for a test"\nillustrative = true\n'
#: A step of simulated time while a client waits.
TICK_S = 1 / 256


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(autojump=False)


@pytest.fixture
def settings(clock: VirtualClock, tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "twin.toml").write_text(FLEET)
    return {"clock": clock, "profile": str(tmp_path / "twin.toml")}


def toml(folder: Path, actions: str) -> str:
    """Ten calm seconds, half a minute of trouble, and calm again."""
    text = f"""{HEAD}
[[phase]]
name = "calm"
duration = "10s"
[[phase]]
name = "trouble"
duration = "30s"
fleet = [{actions}]
[[phase]]
name = "calm again"
"""
    (folder / "own.toml").write_text(text)
    return str(folder / "own.toml")


async def lives(app: App) -> dict[str, str]:
    workers = (await ask(app, "/_fakeai/v1/fleet")).body["workers"]
    return {worker["name"]: worker["life"] for worker in workers}


async def test_a_dead_workers_requests_go_elsewhere_until_it_is_back(
    serve: Serve, clock: VirtualClock, settings: dict[str, Any], tmp_path: Path
) -> None:
    ended = Ended()
    actions = '{ do = "xid", worker = "twin-0", code = 79 }'
    app = await serve(observer=ended, scenario=toml(tmp_path, actions), **settings)

    async def workers() -> set[str]:
        for seed in range(4):
            assert (await answered(app, clock, TICK_S, seed=seed, max_tokens=5))[0] == 200
        return {exchange.admission.worker for exchange in ended.exchanges[-4:]}

    assert await lives(app) == {"twin-0": "ready", "twin-1": "ready"}
    assert await workers() == {"twin-0"}  # which has the prompt in its cache
    clock.advance(10 - clock.now())
    assert await lives(app) == {"twin-0": "dead", "twin-1": "ready"}
    assert await workers() == {"twin-1"}
    clock.advance(40 - clock.now())
    assert await lives(app) == {"twin-0": "starting", "twin-1": "ready"}
    clock.advance(20)
    assert await lives(app) == {"twin-0": "ready", "twin-1": "ready"}


async def test_an_answer_under_way_survives_its_workers_death(
    serve: Serve, clock: VirtualClock, settings: dict[str, Any], tmp_path: Path
) -> None:
    ended = Ended()
    app = await serve(
        observer=ended, scenario=toml(tmp_path, '{ do = "kill", worker = "twin-0" }'), **settings
    )
    clock.advance(9.9)
    status, body = await answered(app, clock, TICK_S, max_tokens=200)
    assert body["usage"]["completion_tokens"] > 50
    [exchange] = ended.exchanges
    assert (status, exchange.end, exchange.admission.worker) == (200, "ok", "twin-1")
    assert exchange.arrived_at < 10
    assert exchange.finished_at is not None
    assert exchange.finished_at > 10
    assert await lives(app) == {"twin-0": "dead", "twin-1": "ready"}


async def test_a_fleet_is_as_slow_as_the_phase_says(
    serve: Serve, clock: VirtualClock, settings: dict[str, Any], tmp_path: Path
) -> None:
    ended = Ended()
    app = await serve(
        observer=ended, scenario=toml(tmp_path, '{ do = "slow", factor = 8.0 }'), **settings
    )

    async def total_s() -> float:
        await answered(app, clock, TICK_S, max_tokens=50)
        exchange = ended.exchanges[-1]
        assert exchange.finished_at is not None
        return exchange.finished_at - exchange.arrived_at

    calm_s = await total_s()
    clock.advance(10 - clock.now())
    assert 6 * calm_s < await total_s() < 9 * calm_s
    clock.advance(40 - clock.now())
    assert await total_s() == pytest.approx(calm_s, abs=3 * TICK_S)


async def test_a_pool_is_scaled_for_the_phase(
    serve: Serve, clock: VirtualClock, settings: dict[str, Any], tmp_path: Path
) -> None:
    app = await serve(
        scenario=toml(tmp_path, '{ do = "scale", pool = "twin", factor = 2.0 }'), **settings
    )
    clock.advance(10)
    assert sorted((await lives(app)).values()) == ["ready", "ready", "starting", "starting"]
    clock.advance(20)
    assert set((await lives(app)).values()) == {"ready"}
    clock.advance(10)
    assert len(await lives(app)) == 2


async def test_drained_workers_serve_again(
    serve: Serve, clock: VirtualClock, settings: dict[str, Any], tmp_path: Path
) -> None:
    app = await serve(scenario=toml(tmp_path, '{ do = "drain", count = 1 }'), **settings)
    clock.advance(10)
    assert await lives(app) == {"twin-0": "draining", "twin-1": "ready"}
    clock.advance(30)
    assert await lives(app) == {"twin-0": "ready", "twin-1": "ready"}


async def test_a_cold_start_refuses_until_weights_are_loaded(
    serve: Serve, clock: VirtualClock, settings: dict[str, Any], tmp_path: Path
) -> None:
    app = await serve(scenario=toml(tmp_path, '{ do = "restart" }'), **settings)
    clock.advance(10)
    assert set((await lives(app)).values()) == {"starting"}
    assert (await answered(app, clock, TICK_S, max_tokens=5))[0] == 503
    clock.advance(30 - clock.now())
    assert (await answered(app, clock, TICK_S, max_tokens=5))[0] == 200


@pytest.mark.parametrize("name", scenario_names())
async def test_a_shipped_scenario_goes_through_all_its_phases_and_leaves_nothing(
    name: str, serve: Serve, clock: VirtualClock, settings: dict[str, Any]
) -> None:
    app = await serve(scenario=name, limits=("openai:1",), **settings)
    assert app.site is not None
    plan = app.scenario.plan
    assert plan is not None
    seen = {app.scenario.wanted.phase}
    app.scenario.began.append(lambda plan, place: seen.add(plan.phases[place.index or 0].name))
    timeline = plan.timeline(clock.wall())
    clock.advance(min(timeline.period_s, timeline.spans[-1][0]) + 1)
    clock.advance(timeline.period_s if timeline.period_s < 1e9 else 600)
    app.site.cluster.check()
    assert seen == {phase.name for phase in plan.phases}
    app.scenario.stop()
    clock.advance(600)
    assert app.faults.rules == ()
    assert (app.limiter.factor, app.limiter.exhausted) == (1.0, set())
    assert app.limiter.in_force == ["openai:1"]
    assert set((await lives(app)).values()) == {"ready"}
    assert {app.site.instruments.slowed(worker) for worker in app.site.workers} == {1.0}
