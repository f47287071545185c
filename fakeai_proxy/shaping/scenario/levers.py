"""What a scenario pulls: each lever makes one thing as it is wanted, whatever it was, and knows what it
has changed so that it can take that back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from fakeai_proxy.shaping.faults.faults import Faults
from fakeai_proxy.shaping.limits import Limiter
from fakeai_proxy.shaping.pacing import Pacer
from fakeai_proxy.shaping.scenario.plan import Plan, Wanted

if TYPE_CHECKING:
    from fakeai_proxy.shaping.faults.rule import Conditions, Rule


class Lever(Protocol):
    def set(self, plan: Plan, wanted: Wanted) -> None:
        """Nothing where all is as wanted already."""


class FaultLever:
    """The phase's rules come after those that were there."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._visit = Wanted().visit
        #: The phase's rules, each with the probability that its ramp begins with.
        self._rules: list[tuple[Rule, float]] = []

    def set(self, plan: Plan, wanted: Wanted) -> None:
        if wanted.visit != self._visit:
            self._visit = wanted.visit
            for rule, _ in self._rules:
                self._faults.remove(rule.id)
            self._rules = []
            self._faults.begin(wanted.phase, _visit(plan, wanted))
            if wanted.faults:
                self._add(plan, wanted)
        for rule, before in self._rules:
            p = rule.conditions.p
            rule.p = p if wanted.ramp == 1 else before + (p - before) * wanted.ramp

    def _add(self, plan: Plan, wanted: Wanted) -> None:
        from fakeai_proxy.shaping.faults.parsing import rules_of

        before = {_but_chance(rule): rule.conditions.p for rule in rules_of(wanted.faults_before)}
        for number, rule in enumerate(rules_of(wanted.faults)):
            rule.ramped = wanted.ramp < 1
            # Other processes have theirs under the same name, whatever else was added meanwhile.
            name = f"phase-{_visit(plan, wanted)}.{number}" if plan.mark else ""
            added = self._faults.add(rule, name)
            self._rules.append((added, before.get(_but_chance(rule), 0.0)))


def _visit(plan: Plan, wanted: Wanted) -> str:
    """What all processes call the visit of a phase."""
    return ".".join([plan.mark, *map(str, wanted.visit)])


def _but_chance(rule: Rule) -> tuple[str, Conditions]:
    """What rules of two phases are the same by."""
    return rule.name, rule.conditions.model_copy(update={"p": 1.0})


class LimitLever:
    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self._limits_of: int | None = None
        self._lift: Callable[[], None] | None = None
        #: What was granted before the scenario changed it, None where it has not.
        self._factor_before: float | None = None
        #: Keys that had quota before.
        self._exhausted: set[str] = set()

    def set(self, plan: Plan, wanted: Wanted) -> None:
        if wanted.limits_of != self._limits_of:
            self._limits_of = wanted.limits_of
            if self._lift is not None:
                self._lift()
            laid = plan.limits.get(-1 if wanted.limits_of is None else wanted.limits_of)
            era = f"phase-{_visit(plan, wanted)}" if plan.mark else None
            self._lift = self._limiter.lay_over(laid, era) if laid else None
        self._scale(wanted.scale)
        self._exhaust(wanted.exhaust)

    def _exhaust(self, keys: frozenset[str]) -> None:
        limiter = self._limiter
        for key in self._exhausted - keys:
            limiter.restore(key)
        self._exhausted &= keys
        for key in keys - self._exhausted:
            known = len(limiter.exhausted)
            limiter.exhaust(key)
            if len(limiter.exhausted) > known:
                self._exhausted.add(key)

    def _scale(self, scale: float) -> None:
        before, limiter = self._factor_before, self._limiter
        if scale == 1.0:
            if before is not None:
                limiter.scale(before)
            self._factor_before = None
            return
        if before is None:
            before = self._factor_before = limiter.factor
        if limiter.factor != before * scale:
            limiter.scale(before * scale)


class PaceLever:
    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer
        self._speed = 1.0

    def set(self, plan: Plan, wanted: Wanted) -> None:
        if wanted.speed != self._speed:
            self._speed = wanted.speed
            self._pacer.speed = self._pacer.settings.speed * wanted.speed
