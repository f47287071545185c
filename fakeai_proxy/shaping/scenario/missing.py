"""Whether a phase finds what it changes: a scenario that would change nothing is not put on."""

from __future__ import annotations

from collections.abc import Callable

from fakeai_proxy.profiles.scenario import Part, Phase, Scale, Workers
from fakeai_proxy.shaping.limits import Limiter
from fakeai_proxy.shaping.scenario.fleet import Fleet
from fakeai_proxy.shaping.scenario.plan import Plan, fits


class Present:
    """What there is. `timed`: answers take a time that can be made longer."""

    def __init__(self, limiter: Limiter, fleet: Fleet | None, timed: bool) -> None:
        self._limiter = limiter
        self._fleet = fleet
        self._timed = timed

    def check(self, plan: Plan, index: int, phase: Phase) -> set[Part]:
        """What is missing and may be. Raises ConfigError for what may not."""
        found: set[Part] = set()
        for part, key, lack in _LACKS:
            message = lack(self, phase)
            if not message:
                continue
            if part not in phase.optional:
                raise plan.wrong(index, key, f'{message} Or make it optional = ["{part}"].')
            found.add(part)
        return found

    def lacks_limits(self, phase: Phase) -> str:
        if phase.limits.scale is None or phase.limits.use or self._limiter.in_force:
            return ""
        return "there are no limits to scale: start with --limits, as openai:1."

    def lacks_fleet(self, phase: Phase) -> str:
        if not phase.fleet:
            return ""
        if self._fleet is None:
            return "there is no fleet: start with --profile and the name of one."
        pools = self._fleet.pools()
        for action in phase.fleet:
            if not fits(action.pool, list(pools)):
                return f"no pool is called '{action.pool}'; there are {', '.join(pools)}."
            if (
                isinstance(action, Workers)
                and action.worker != "*"
                and not isinstance(action, Scale)
            ):
                names = [seen.name for seen in self._fleet.workers()]
                if not fits(action.worker, names):
                    return f"no worker is called '{action.worker}'; there are {', '.join(names)}."
        return ""

    def lacks_time(self, phase: Phase) -> str:
        if phase.speed == 1.0 or self._timed:
            return ""
        return "answers come at once, and cannot be slower: start with a --profile."


_LACKS: tuple[tuple[Part, str, Callable[[Present, Phase], str]], ...] = (
    ("limits", "limits.scale", Present.lacks_limits),
    ("fleet", "fleet", Present.lacks_fleet),
    ("speed", "speed", Present.lacks_time),
)
