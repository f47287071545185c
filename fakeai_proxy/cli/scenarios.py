"""`fakeai-proxy scenarios`: what goes wrong over time."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import click

from fakeai_proxy.cli.options import load, with_settings
from fakeai_proxy.cli.outcome import Outcome, tells_outcome
from fakeai_proxy.config import Config
from fakeai_proxy.profiles.scenario import Scenario, load_scenario, scenario_names
from fakeai_proxy.profiles.spans import TimeOfDay, shown_span
from fakeai_proxy.shaping.scenario.plan import Plan
from fakeai_proxy.shaping.scenario.telling import changes
from fakeai_proxy.shaping.scenario.timeline import DAY_S, Timeline

_BAR_CHARS = 48
#: Of the whole, what a last phase without an end is drawn as.
_OPEN_SHARE = 0.15


@click.group()
def scenarios() -> None:
    """Scenarios: phases over time that bring faults, limits and trouble in the fleet together."""


@scenarios.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON array, for programs.")
def ls(as_json: bool) -> int:
    """List the shipped scenarios."""
    plans = [Plan.load(name) for name in scenario_names()]
    if as_json:
        click.echo(json.dumps([_summary(plan) for plan in plans], indent=2))
        return 0
    width = max(len(plan.scenario.name) for plan in plans)
    for plan in plans:
        length = _length(plan)
        click.echo(f"{plan.scenario.name:<{width}}  {length:>8}  {plan.scenario.description}")
    return 0


@scenarios.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def show(name: str, as_json: bool) -> int:
    """Draw the phases of scenario NAME (or a TOML file) along time, each with what it does."""
    plan = Plan.load(name)
    if as_json:
        click.echo(json.dumps(_summary(plan), indent=2))
        return 0
    for line in drawn(plan):
        click.echo(line)
    return 0


@with_settings
@scenarios.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.pass_context
@tells_outcome
def check(ctx: click.Context, /, names: tuple[str, ...], **_: object) -> Outcome:
    """Check scenarios (shipped ones, or TOML files) against a server with the given settings: faults,
    limits, pools and workers that they name."""
    from fakeai_proxy.app import App

    plans = {name: Plan.load(name) for name in names}
    for plan in plans.values():
        App(_settings(ctx, plan.scenario)).scenario.check(plan)
    lines = [f"{name}: {len(plan.phases)} phases, {_length(plan)}" for name, plan in plans.items()]
    checked = [{"checked": name, **_summary(plan)} for name, plan in plans.items()]
    return Outcome("\n".join(lines), {"scenarios": checked})


@with_settings
@scenarios.command()
@click.argument("name")
@click.pass_context
def run(ctx: click.Context, /, name: str, **_: object) -> int:
    """Start the server with scenario NAME (or a TOML file) and say on stderr when each phase begins.

    What the scenario suggests (a fleet as the profile, limits) is set unless something else is.
    """
    from fakeai_proxy.cli.serve import serve

    scenario = load_scenario(name)
    config = _settings(ctx, scenario).model_copy(update={"scenario": name})
    return serve(config)


def _settings(ctx: click.Context, scenario: Scenario) -> Config:
    config = load(ctx)
    suggested = scenario.suggested.model_dump(exclude_defaults=True)
    return load(ctx, {k: v for k, v in suggested.items() if k not in config.model_fields_set})


def drawn(plan: Plan) -> Iterator[str]:
    """A line for each phase: when it begins, its name, its place in time, what it does."""
    scenario = plan.scenario
    timeline = plan.timeline(0.0)
    yield f"{scenario.name}: {scenario.description}"
    yield f"  {'illustrative' if scenario.illustrative else 'measured'}: {scenario.source}"
    for key, value in scenario.suggested.model_dump(exclude_defaults=True).items():
        yield f"  goes with --{key} {value if isinstance(value, str) else ','.join(value)}"
    yield ""
    starts = [_start(scenario, index, begin_s) for index, (begin_s, _) in enumerate(timeline.spans)]
    names = [phase.name for phase in plan.phases]
    wide, wider = max(map(len, starts)), max(map(len, names))
    whole_s = _whole_s(timeline)
    for start, phase, span in zip(starts, plan.phases, timeline.spans, strict=True):
        does = ", ".join(changes(phase)) or "-"
        yield f"  {start:>{wide}}  {phase.name:<{wider}}  {_bar(span, whole_s, phase.ramp)}  {does}"
    end_s = timeline.period_s if timeline.period_s < math.inf else timeline.ends_s
    yield ""
    if scenario.repeat:
        yield f"  again after {shown_span(end_s)}"
    else:
        yield "  to the end of the run" if end_s == math.inf else f"  {shown_span(end_s)} in all"


def _start(scenario: Scenario, index: int, begin_s: float) -> str:
    first = scenario.phase[0].at
    if isinstance(first, TimeOfDay):
        begin_s = (first.seconds + begin_s) % DAY_S
    elif not isinstance(scenario.phase[index].at, TimeOfDay):
        return shown_span(begin_s)
    minutes, seconds = divmod(round(begin_s), 60)
    shown = f"{minutes // 60:02d}:{minutes % 60:02d}"
    return f"{shown}:{seconds:02d}" if seconds else shown


def _whole_s(timeline: Timeline) -> float:
    begin_s, end_s = timeline.spans[-1]
    if timeline.period_s < math.inf:
        return timeline.period_s
    if end_s < math.inf:
        return end_s
    return begin_s / (1 - _OPEN_SHARE) or 1.0


def _bar(span: tuple[float, float], whole_s: float, ramp_s: float | None) -> str:
    """Light where a ramp is going on; an arrow where there is no end."""
    begin_s, end_s = span
    first = min(round(begin_s / whole_s * _BAR_CHARS), _BAR_CHARS - 1)
    last = max(round(min(end_s, whole_s) / whole_s * _BAR_CHARS), first + 1)
    ramped = round((ramp_s or 0.0) / whole_s * _BAR_CHARS)
    filled = ("░" * min(ramped, last - first)).ljust(last - first, "█")
    if end_s == math.inf:
        filled = filled[:-1] + "▶"
    return (" " * first + filled).ljust(_BAR_CHARS)


def _length(plan: Plan) -> str:
    timeline = plan.timeline(0.0)
    if timeline.period_s < math.inf:
        return f"{shown_span(timeline.period_s)} ↻"
    if timeline.ends_s < math.inf:
        return shown_span(timeline.ends_s)
    begins_s = timeline.spans[-1][0]
    return f"{shown_span(begins_s)} +" if begins_s else "no end"


def _summary(plan: Plan) -> dict[str, object]:
    scenario = plan.scenario
    spans = plan.timeline(0.0).spans
    return {
        "name": scenario.name,
        "description": scenario.description,
        "illustrative": scenario.illustrative,
        "source": scenario.source,
        "repeat": scenario.repeat,
        "suggested": scenario.suggested.model_dump(mode="json", exclude_defaults=True),
        "phases": [
            {
                "name": phase.name,
                "begins_s": begin_s,
                "ends_s": end_s if end_s < math.inf else None,
                "changes": changes(phase),
            }
            for phase, (begin_s, end_s) in zip(plan.phases, spans, strict=True)
        ],
    }
