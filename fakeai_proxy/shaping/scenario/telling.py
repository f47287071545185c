"""What phases do and how long they last, in a few words."""

from __future__ import annotations

import math
from typing import Any

from fakeai_proxy.profiles.scenario import Action, Phase, Scale, Slow, XidError
from fakeai_proxy.profiles.spans import shown_span
from fakeai_proxy.shaping.scenario.plan import Plan
from fakeai_proxy.shaping.scenario.timeline import Place


def changes(phase: Phase) -> list[str]:
    """Empty for a calm one."""
    limits = phase.limits
    said = [_fault(fault) for fault in phase.faults]
    said += [f"limits {spec}" for spec in limits.use]
    if limits.scale is not None:
        said.append(f"limits x {limits.scale:g}")
    if limits.exhaust:
        keys = len(limits.exhaust)
        said.append("no quota" if "*" in limits.exhaust else f"no quota for {keys} key(s)")
    if phase.speed != 1.0:
        said.append(f"speed x {phase.speed:g}")
    said += [_action(action) for action in phase.fleet]
    return said


def phase_line(plan: Plan, place: Place) -> str:
    """Said when a phase begins."""
    names = [phase.name for phase in plan.phases]
    left_s = place.ends_s - place.began_s
    until = "" if math.isinf(left_s) else f" for {shown_span(left_s)}"
    then = "" if place.next_index is None else f", then {names[place.next_index]}"
    if place.index is None:
        what = "nothing is changed" if place.next_index is not None else "over"
        return f"scenario {plan.scenario.name}: {what}{until}{then}."
    does = ", ".join(changes(plan.phases[place.index])) or "nothing goes wrong"
    return (
        f"scenario {plan.scenario.name}: {names[place.index]} ({place.index + 1} of {len(names)})"
        f"{until}{then}: {does}."
    )


def _fault(fault: Any) -> str:
    from fakeai_proxy.shaping.faults.parsing import rules_of

    return " ".join([rule.text for rule in rules_of((fault,))])


def _action(action: Action) -> str:
    if isinstance(action, Scale):
        amount = f"x {action.factor:g}" if action.replicas is None else f"to {action.replicas}"
        return f"scale {action.pool} {amount}"
    what: str = action.do
    if isinstance(action, Slow):
        what += f" x {action.factor:g}"
    if isinstance(action, XidError):
        what += f" {action.code}"
    who = action.worker if action.worker != "*" else action.pool
    if action.count is not None:
        return f"{what} on {action.count} of {who}"
    if action.share is not None:
        return f"{what} on {action.share:.0%} of {who}"
    return f"{what} on {who}"
