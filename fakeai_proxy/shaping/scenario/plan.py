"""A scenario that can be put on: all that its phases name has been looked up. Tells what is wanted at
an instant, and makes no change itself.
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.profiles.limits import LimitsProfile, load_limits
from fakeai_proxy.profiles.scenario import (
    Action,
    Part,
    Phase,
    Restart,
    Scenario,
    Slow,
    load_scenario,
)
from fakeai_proxy.shaping.scenario.timeline import Place, Timeline

#: In how many steps a ramp goes.
RAMP_STEPS = 10
LimitsOf = Callable[[str], tuple[LimitsProfile, str]]


@dataclass(frozen=True)
class Wanted:
    """Everything that is in force at an instant. What is not named is as without a scenario."""

    #: Number of the phase and lap: another one begins afresh.
    visit: tuple[int | None, int] = (None, 0)
    phase: str = ""
    faults: tuple[object, ...] = ()
    #: How far a ramp is, and the faults whose probabilities it comes from; 1 where there is none.
    ramp: float = 1.0
    faults_before: tuple[object, ...] = ()
    #: The number of the phase whose limits are used instead of those in force.
    limits_of: int | None = None
    scale: float = 1.0
    exhaust: frozenset[str] = frozenset()
    speed: float = 1.0
    #: What is so as long as it is wanted.
    fleet: tuple[Action, ...] = ()
    #: What is done once, when the visit begins.
    events: tuple[Action, ...] = ()


class Plan:
    #: What several processes that put it on call this start of it; "" where one is alone.
    mark = ""

    def __init__(self, scenario: Scenario, limits_of: LimitsOf = load_limits) -> None:
        """Raises ConfigError."""
        self.scenario = scenario
        self.phases = scenario.phase
        #: By the number of the phase.
        self.limits = {
            index: self._limits(index, phase, limits_of)
            for index, phase in enumerate(self.phases)
            if phase.limits.use
        }
        for index, phase in enumerate(self.phases):
            self._check_faults(index, phase)
        self.timeline(0.0)

    @classmethod
    def load(cls, name: str) -> Plan:
        """Of a shipped scenario, or a file. Raises ConfigError."""
        return cls(load_scenario(name))

    def timeline(self, wall_s: float) -> Timeline:
        return Timeline(self.scenario, wall_s)

    def without(self, missing: Callable[[int, Phase], set[Part]]) -> Plan:
        """The same, less what is missing where that is optional."""
        phases = []
        for index, phase in enumerate(self.phases):
            dropped: dict[str, object] = {part: _NOTHING[part] for part in missing(index, phase)}
            phases.append(phase.model_copy(update=dropped) if dropped else phase)
        if all(one is other for one, other in zip(phases, self.phases, strict=True)):
            return self
        left = Plan.__new__(Plan)
        left.scenario = self.scenario.model_copy(update={"phase": tuple(phases)})
        left.phases = left.scenario.phase
        left.limits = {k: v for k, v in self.limits.items() if phases[k].limits.use}
        return left

    def wanted(self, place: Place, elapsed_s: float) -> Wanted:
        if place.index is None:
            return Wanted((None, place.lap))
        phase = self.phases[place.index]
        share, _ = self._ramped(phase, elapsed_s - place.began_s)
        before = self._before(place)
        return Wanted(
            visit=(place.index, place.lap),
            phase=phase.name,
            faults=phase.faults,
            ramp=share,
            faults_before=before.faults if before and phase.ramp else (),
            limits_of=place.index if phase.limits.use else None,
            scale=_between(_scale(before), _scale(phase), share),
            exhaust=frozenset(phase.limits.exhaust),
            speed=_between(before.speed if before else 1.0, phase.speed, share),
            fleet=tuple(
                [_at(action, before, share) for action in phase.fleet if not _once(action)]
            ),
            events=tuple([action for action in phase.fleet if _once(action)]),
        )

    def changes_at(self, place: Place, elapsed_s: float) -> float:
        """When something else is wanted, infinite for never."""
        if place.index is None:
            return place.ends_s
        phase = self.phases[place.index]
        _, step_ends_s = self._ramped(phase, elapsed_s - place.began_s)
        return min(place.ends_s, place.began_s + step_ends_s)

    def _before(self, place: Place) -> Phase | None:
        """The phase before, none at the very beginning."""
        assert place.index is not None
        index = place.index or len(self.phases)
        return self.phases[index - 1] if place.index or place.lap else None

    def _ramped(self, phase: Phase, within_s: float) -> tuple[float, float]:
        """The share of the way from the phase before, and until when it is that."""
        if phase.ramp is None or within_s >= phase.ramp:
            return 1.0, math.inf
        step_s = phase.ramp / RAMP_STEPS
        step = min(int(within_s / step_s), RAMP_STEPS - 1)
        if within_s >= (step + 1) * step_s:
            step += 1
        if step >= RAMP_STEPS:
            return 1.0, math.inf
        return (step + 0.5) / RAMP_STEPS, (step + 1) * step_s

    def _limits(
        self, index: int, phase: Phase, limits_of: LimitsOf
    ) -> list[tuple[LimitsProfile, str]]:
        found = []
        for spec in phase.limits.use:
            try:
                profile, tier = limits_of(spec)
                profile.rows(tier)
            except ConfigError as error:
                raise self.wrong(index, "limits.use", str(error)) from None
            found.append((profile, tier))
        return found

    def _check_faults(self, index: int, phase: Phase) -> None:
        if not phase.faults:
            return
        from fakeai_proxy.shaping.faults.parsing import rules_of

        for number, fault in enumerate(phase.faults):
            try:
                rules_of((fault,))
            except ConfigError as error:
                raise self.wrong(index, f"faults.{number}", str(error)) from None

    def wrong(self, index: int, key: str, message: str) -> ConfigError:
        name = self.phases[index].name
        return ConfigError(
            f"scenario {self.scenario.name}: phase.{index}.{key} (of {name}): {message}"
        )


_NOTHING: dict[Part, object] = {
    "limits": Phase(name="none").limits,
    "fleet": (),
    "speed": 1.0,
}


def fits(pattern: str, names: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for name in names)


def _once(action: Action) -> bool:
    return isinstance(action, Restart)


def _scale(phase: Phase | None) -> float:
    return 1.0 if phase is None or phase.limits.scale is None else phase.limits.scale


def _between(before: float, after: float, share: float) -> float:
    return after if share == 1 else before + (after - before) * share


def _at(action: Action, before: Phase | None, share: float) -> Action:
    """A factor on its way from the one that the same workers had before."""
    if share == 1 or not isinstance(action, Slow):
        return action
    same = action.model_dump(exclude={"factor"})
    earlier = [
        other.factor
        for other in (before.fleet if before else ())
        if isinstance(other, Slow) and other.model_dump(exclude={"factor"}) == same
    ]
    factor = _between(earlier[-1] if earlier else 1.0, action.factor, share)
    return action.model_copy(update={"factor": factor})
