"""At any time exactly what the phase wants is in force."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakeai_proxy.errors import ConfigError
from tests.scenario.stages import PaperFleet, Stage

#: As given, and as rules tell it.
FAULTS = {"503": "status:code=503", "cut:p=0.5,after=3": "cut:after=3,p=0.5", "hang_up": "hang_up"}
OWN = "latency:ms=5,also=true"
#: On workers apart, so that the order of what is done makes no difference.
ACTIONS: list[dict[str, Any]] = [
    {"do": "kill", "worker": "a-0"},
    {"do": "drain", "worker": "a-1"},
    {"do": "xid", "worker": "a-2", "code": 79, "gpu": 3},
    {"do": "slow", "pool": "b", "count": 1, "factor": 3.0},
    {"do": "slow", "pool": "b", "factor": 2.0},
    {"do": "scale", "pool": "c", "factor": 2.0},
]

PHASES = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["calm", "storm", "ebb"]),
            "duration": st.integers(1, 20).map(float),
            "faults": st.lists(st.sampled_from(sorted(FAULTS)), unique=True),
            "limits": st.fixed_dictionaries(
                {
                    "use": st.sampled_from([[], ["openai:free"], ["azure:S0"]]),
                    "scale": st.sampled_from([None, 0.25, 0.5]),
                    "exhaust": st.sampled_from([[], ["*"], ["sk-a"]]),
                }
            ),
            "speed": st.sampled_from([1.0, 0.5]),
            "fleet": st.lists(st.sampled_from(ACTIONS), unique_by=repr),
        }
    ),
    min_size=1,
    max_size=5,
)


def check(stage: Stage, phase: dict[str, Any] | None) -> None:
    """Everything is as it was before, but for the phase's changes."""
    phase = phase or {"name": "", "faults": [], "limits": {}, "speed": 1.0, "fleet": []}
    limits, limiter, fleet = phase["limits"], stage.limiter, stage.fleet
    assert stage.faults.phase == phase["name"]
    assert stage.rules == [OWN, *(FAULTS[fault] for fault in phase["faults"])]
    assert limiter.factor == (limits.get("scale") or 1.0)
    rules = limiter.rules_for("")
    assert rules is not None
    assert [f"{rules.profile.name}:{rules.tier}"] == (limits.get("use") or ["openai:1"])
    assert len(limiter.exhausted) == len(limits.get("exhaust", ()))
    assert stage.pacer.speed == phase["speed"]
    assert fleet is not None
    does = {
        (action["do"], action.get("worker") or action.get("count")) for action in phase["fleet"]
    }
    assert fleet.life["a-0"] == ("dead" if ("kill", "a-0") in does else "ready")
    assert fleet.life["a-1"] == ("draining" if ("drain", "a-1") in does else "ready")
    assert fleet.life["a-2"] == ("dead" if ("xid", "a-2") in does else "ready")
    assert fleet.errors == ({("a-2", 79, 3)} if ("xid", "a-2") in does else set())
    assert fleet.replicas["c"] == (4 if ("scale", None) in does else 2)
    both = (2.0 if ("slow", None) in does else 1.0) / phase["speed"]
    assert fleet.factor["b-0"] == both * (3.0 if ("slow", 1) in does else 1.0)
    assert fleet.factor["b-1"] == both


@settings(deadline=None)
@given(PHASES, st.booleans(), st.lists(st.floats(0, 30), max_size=8), st.data())
def test_at_any_time_exactly_the_phases_changes_are_in_force(
    phases: list[dict[str, Any]], repeat: bool, waits_s: list[float], data: st.DataObject
) -> None:
    fleet = PaperFleet(a=3, b=2, c=2)
    stage = Stage(fault=(OWN,), fleet=fleet)
    check(stage, None)
    begun_s = data.draw(st.floats(0, 100))
    stage.clock.advance(begun_s)
    stage.start(*phases, repeat=repeat)
    whole_s = sum(phase["duration"] for phase in phases)
    for wait_s in (0.0, *waits_s):
        stage.clock.advance(wait_s)
        elapsed_s = stage.clock.now() - begun_s
        within_s = elapsed_s % whole_s if repeat else elapsed_s
        ends_s, active = 0.0, None
        for phase in phases:
            ends_s += phase["duration"]
            if within_s < ends_s:
                active = phase
                break
        check(stage, active)
    stage.runner.stop()
    check(stage, None)
    stage.clock.advance(100)
    check(stage, None)


def test_another_scenario_takes_the_place_of_the_one_that_is_on() -> None:
    stage = Stage()
    stage.start({"name": "a", "faults": ["503"], "limits": {"scale": 0.5}})
    stage.start({"name": "b", "faults": ["hang_up"]})
    assert stage.rules == ["hang_up"]
    assert stage.limiter.factor == 1.0
    assert stage.faults.phase == "b"


def test_what_others_change_meanwhile_stays() -> None:
    stage = Stage()
    stage.limiter.scale(0.8)
    stage.limiter.exhaust("sk-gone")
    stage.start(
        {"name": "a", "duration": 10, "faults": ["503"],
         "limits": {"scale": 0.5, "exhaust": ["sk-gone", "sk-b"]}},
    )  # fmt: skip
    assert stage.limiter.factor == pytest.approx(0.4)
    stage.faults.add("hang_up")
    stage.clock.advance(10)
    assert stage.rules == ["hang_up"]
    assert stage.limiter.factor == 0.8
    assert len(stage.limiter.exhausted) == 1


def test_a_key_stands_after_a_phase_with_other_limits_as_it_stood_before() -> None:
    stage = Stage()
    before = stage.limiter.rules_for("openai")
    stage.start({"name": "a", "duration": 10, "limits": {"use": ["openai:free"]}}, {"name": "b"})
    assert stage.limiter.rules_for("openai") is not before
    stage.clock.advance(10)
    assert stage.limiter.rules_for("openai") is before


def test_numbers_ramp_from_the_phase_before_to_the_phases_own() -> None:
    stage = Stage(fleet=PaperFleet(a=1))
    stage.start(
        {"name": "a", "duration": 10, "faults": ["503:p=0.8"], "limits": {"scale": 0.5}},
        {"name": "b", "ramp": 10, "duration": 20, "faults": ["503:p=0", "hang_up:p=0.4"],
         "fleet": [{"do": "slow", "factor": 3.0}]},
        {"name": "c", "ramp": 10, "fleet": [{"do": "slow", "factor": 2.0}]},
    )  # fmt: skip
    seen = []
    for _ in range(4):
        chances = [round(rule.p, 3) for rule in stage.faults.rules]
        assert stage.fleet is not None
        factor = round(stage.fleet.factor["a-0"], 3)
        seen.append((chances, round(stage.limiter.factor, 3), factor))
        stage.clock.advance(10 if not stage.clock.now() else 5)
    assert seen == [
        ([0.8], 0.5, 1.0),
        ([0.76, 0.02], 0.525, 1.1),
        ([0.36, 0.22], 0.775, 2.1),
        ([0.0, 0.4], 1.0, 3.0),
    ]
    stage.clock.advance(10)  # to the middle of the last ramp
    assert stage.fleet is not None
    assert stage.fleet.factor["a-0"] == pytest.approx(2.45)


def test_a_trouble_that_two_phases_share_is_not_interrupted_between_them() -> None:
    fleet = PaperFleet(a=2)
    stage = Stage(fleet=fleet)
    xid = {"do": "xid", "count": 1, "code": 79}
    stage.start(
        {"name": "xid", "duration": 10, "fleet": [xid]},
        {"name": "failover", "duration": 10, "fleet": [xid]},
        {"name": "reset"},
    )
    stage.clock.advance(15)
    assert (fleet.life["a-0"], fleet.starts["a-0"]) == ("dead", 0)
    stage.clock.advance(5)
    assert (fleet.life["a-0"], fleet.starts["a-0"]) == ("ready", 1)


def test_a_cold_start_happens_once_in_each_visit() -> None:
    fleet = PaperFleet(a=2)
    stage = Stage(fleet=fleet)
    stage.start(
        {"name": "cold", "duration": 10, "ramp": 5, "fleet": [{"do": "restart", "share": 0.5}]},
        repeat=True,
    )
    assert fleet.starts == {"a-0": 1, "a-1": 0}
    stage.clock.advance(9)
    assert fleet.starts == {"a-0": 1, "a-1": 0}
    stage.clock.advance(1)
    assert fleet.starts == {"a-0": 2, "a-1": 0}


def test_listeners_hear_of_each_phase_once() -> None:
    stage = Stage()
    heard: list[tuple[float, int | None]] = []
    stage.runner.began.append(lambda plan, place: heard.append((stage.clock.now(), place.index)))
    stage.start(
        {"name": "a", "duration": 10, "ramp": 10, "faults": ["503"]},
        {"name": "b", "at": 15, "duration": 5},
    )
    stage.clock.advance(100)
    assert heard == [(0, 0), (10, None), (15, 1), (20, None)]


@pytest.mark.parametrize(
    ("phase", "said"),
    [
        ({"limits": {"scale": 0.5}}, r"limits\.scale.*--limits"),
        ({"speed": 0.5}, r"speed.*--profile"),
        ({"fleet": [{"do": "kill"}]}, r"fleet.*--profile"),
    ],
)
def test_what_is_missing_is_refused_at_the_start_unless_it_is_optional(
    phase: dict[str, Any], said: str
) -> None:
    stage = Stage(limits=(), timed=False)
    with pytest.raises(ConfigError, match=rf"scenario test: phase\.1\.{said}"):
        stage.start({"name": "calm", "duration": 10}, {"name": "storm", **phase})
    assert stage.runner.plan is None
    part = next(iter(phase))
    stage.start({"name": "calm", "duration": 10}, {"name": "storm", **phase, "optional": [part]})
    stage.clock.advance(10)
    assert stage.faults.phase == "storm"
    assert (stage.limiter.factor, stage.pacer.speed) == (1.0, 1.0)


def test_pools_and_workers_that_there_are_not_are_refused_at_the_start() -> None:
    stage = Stage(fleet=PaperFleet(a=2))
    with pytest.raises(ConfigError, match="no pool is called 'b'; there are a"):
        stage.start({"name": "x", "fleet": [{"do": "kill", "pool": "b"}]})
    with pytest.raises(ConfigError, match="no worker is called 'a-7'; there are a-0, a-1"):
        stage.start({"name": "x", "fleet": [{"do": "drain", "worker": "a-7"}]})
