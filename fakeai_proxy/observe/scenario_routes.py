"""The control API's rows of scenarios: what there are, which is on and where it is, another, none."""

from __future__ import annotations

import asyncio
import math

from pydantic import BaseModel, ConfigDict, Field

from fakeai_proxy import errors
from fakeai_proxy.clock import Clock
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.observe.pages import CONTROL, Answer, Call, Route
from fakeai_proxy.profiles.limits import LimitsProfile, limits_names, load_limits
from fakeai_proxy.profiles.scenario import Scenario, load_scenario, scenario_names
from fakeai_proxy.profiles.spans import TimeOfDay
from fakeai_proxy.shaping.scenario.plan import Plan
from fakeai_proxy.shaping.scenario.runner import Runner


class ScenarioChoice(BaseModel):
    """One of the two."""

    model_config = ConfigDict(extra="forbid")

    scenario: str | None = Field(None, description="The name of a shipped scenario.")
    own: Scenario | None = Field(None, description="One of your own, as in a TOML file.")


def scenario_routes(runner: Runner, clock: Clock) -> tuple[Route, ...]:
    def overview(call: Call) -> Answer:
        return Answer(status(runner))

    async def start(call: Call) -> Answer:
        wanted: ScenarioChoice = call.body
        try:
            with clock.hold():
                plan = await asyncio.to_thread(_plan, wanted)
            runner.start(plan, call.at, call.mark)
        except ConfigError as error:
            raise errors.bad_parameter("scenario", "invalid_value", str(error)) from None
        return Answer(status(runner))

    def stop(call: Call) -> Answer:
        runner.stop()
        return Answer(status(runner))

    def known(call: Call) -> Answer:
        return Answer(lambda: {"object": "list", "data": [_row(name) for name in scenario_names()]})

    path = f"{CONTROL}scenario"
    return (
        Route("GET", path, overview, "The scenario that is on, its phase and what that changes."),
        Route("PUT", path, start, "Start a scenario, instead of the one that is on.",
              body=ScenarioChoice),
        Route("DELETE", path, stop, "Stop the scenario and take back what it has changed."),
        Route("GET", f"{CONTROL}scenarios", known, "The scenarios that are shipped."),
    )  # fmt: skip


def _plan(wanted: ScenarioChoice) -> Plan:
    """Files are for those who start the program. Raises 400 and ConfigError."""
    if (wanted.scenario is None) is (wanted.own is None):
        raise ConfigError("give scenario, a shipped one's name, or own.")
    if wanted.own is not None:
        return Plan(wanted.own, _shipped_limits)
    assert wanted.scenario is not None
    if wanted.scenario not in scenario_names():
        raise errors.invalid_value("scenario", wanted.scenario, tuple(scenario_names()))
    return Plan(load_scenario(wanted.scenario), _shipped_limits)


def _shipped_limits(spec: str) -> tuple[LimitsProfile, str]:
    if spec.partition(":")[0] not in limits_names():
        raise ConfigError(f"there are no shipped limits '{spec}'.")
    return load_limits(spec)


def status(runner: Runner) -> dict[str, object]:
    plan, place, wanted = runner.plan, runner.place, runner.wanted
    if plan is None or place is None:
        return {"scenario": None, "phase": None}
    elapsed_s = runner.elapsed_s
    phases = plan.phases
    following = None
    if place.next_index is not None:
        following = {"phase": phases[place.next_index].name, "in_s": _s(place.next_s - elapsed_s)}
    return {
        "scenario": plan.scenario.name,
        "description": plan.scenario.description,
        "phase": wanted.phase or None,
        "number": None if place.index is None else place.index + 1,
        "phases": len(phases),
        "lap": place.lap + 1,
        "over": place.index is None and place.next_index is None,
        "elapsed_s": _s(elapsed_s),
        "phase_elapsed_s": _s(elapsed_s - place.began_s),
        "left_s": _s(place.ends_s - elapsed_s),
        "next": following,
        "changes": {
            "faults": wanted.faults,
            "ramp": round(wanted.ramp, 3),
            "limits": {
                "use": () if wanted.limits_of is None else phases[wanted.limits_of].limits.use,
                "scale": round(wanted.scale, 3),
                "exhaust": len(wanted.exhaust),
            },
            "speed": round(wanted.speed, 3),
            "fleet": [
                action.model_dump(mode="json", exclude_defaults=True)
                for action in (*wanted.fleet, *wanted.events)
            ],
        },
    }


def _row(name: str) -> dict[str, object]:
    scenario = load_scenario(name)
    return {
        "name": name,
        "description": scenario.description,
        "illustrative": scenario.illustrative,
        "source": scenario.source,
        "repeat": scenario.repeat,
        "suggested": scenario.suggested.model_dump(mode="json", exclude_defaults=True),
        "phases": [
            {
                "name": phase.name,
                "at": phase.at.seconds if isinstance(phase.at, TimeOfDay) else phase.at,
                "duration_s": phase.duration,
            }
            for phase in scenario.phase
        ],
    }


def _s(seconds: float) -> float | None:
    return round(max(0.0, seconds), 3) if math.isfinite(seconds) else None
