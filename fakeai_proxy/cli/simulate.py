"""`fakeai-proxy simulate`: a load on a fleet, on virtual time."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.profiles.fleet import FleetProfile, Router, load_fleet
from fakeai_proxy.simulate.arrivals import Lengths
from fakeai_proxy.simulate.load import KINDS, Load, parse_load
from fakeai_proxy.simulate.outcome import METRICS, Outcome
from fakeai_proxy.simulate.search import Scene, Trial, fewest_workers, sweep
from fakeai_proxy.simulate.slo import Objective, attained, goodput, parse_slo

#: Names of figures as people read them, and how.
_FIGURES: tuple[tuple[str, str, str], ...] = (
    ("requests", "requests", "{:,.0f}"),
    ("refused", "refused", "{:,.0f}"),
    ("failed", "failed", "{:,.0f}"),
    ("duration_s", "simulated time", "{:,.1f} s"),
    ("requests_per_s", "requests", "{:,.2f} /s"),
    ("output_tokens_per_s", "output tokens", "{:,.0f} /s"),
    ("total_tokens_per_s", "all tokens", "{:,.0f} /s"),
    ("output_tokens_per_s_per_gpu", "output tokens, each GPU", "{:,.0f} /s"),
    ("kv_hit_share", "prompt tokens from the prefix cache", "{:.1%}"),
    ("kv_use_max", "most KV blocks in use", "{:.1%}"),
    ("preemptions", "preemptions", "{:,.0f}"),
    ("power_w", "power, all GPUs", "{:,.0f} W"),
    ("joules_per_output_token", "energy", "{:,.2f} J per output token"),
)


@click.command()
@click.option("--profile", default="quick", metavar="NAME|FILE", help="The fleet.")
@click.option("--model", help="Which of its models; the first, unless said.")
@click.option(
    "--trace", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Arrivals from a file: Azure or BurstGPT CSV, Mooncake JSON lines.",
)  # fmt: skip
@click.option(
    "--load", "load_text", metavar="KIND[:NAME=VALUE,...]",
    help="Arrivals made up: " + "; ".join(
        f"{kind} ({', '.join(parameters)})" for kind, parameters in KINDS.items()
    ) + ".",
)  # fmt: skip
@click.option("--isl", type=click.IntRange(1), default=1024, help="Longest prompt, in tokens.")
@click.option("--osl", type=click.IntRange(1), default=256, help="Longest answer, in tokens.")
@click.option(
    "--length-low", type=click.FloatRange(0, 1, min_open=True), default=1.0,
    help="Shortest lengths, as a share of the longest; between them all are as likely.",
)  # fmt: skip
@click.option(
    "--shared-prefix", type=click.IntRange(0), default=0, metavar="TOKENS",
    help="All prompts begin with the same so many tokens.",
)  # fmt: skip
@click.option("--requests", type=click.IntRange(1), help="End after so many arrivals.")
@click.option("--duration", type=float, metavar="SECONDS", help="No arrivals after that.")
@click.option("--speedup", type=float, default=1.0, help="Play a trace so many times faster.")
@click.option(
    "--router", "policy", type=click.Choice(list(Router.model_fields["policy"].annotation.__args__)),  # type: ignore[union-attr] # a Literal, which always has its choices
    help="Another routing policy than the profile's.",
)  # fmt: skip
@click.option("--slo", default="", metavar="METRIC_STAT=LIMIT,...", help="Like ttft_p99=500ms.")
@click.option("--sweep", "sweep_text", metavar="NAME=A,B,...", help="A run for each value of a "
              "parameter of the load, or of workers.")  # fmt: skip
@click.option("--find", type=click.Choice(["workers"]), help="The fewest that meet the --slo.")
@click.option("--seed", type=int, default=0)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.option(
    "--plot", type=click.Path(path_type=Path, dir_okay=False), help="FILE.png or FILE.svg."
)
def simulate(sweep_text: str | None, slo: str, **options: Any) -> int:
    """Put a load on a fleet and see latency, throughput and cache hits, much faster than real time.

    \b
    fakeai-proxy simulate --profile 1xh100-8b --load closed:concurrency=64 --isl 1024 --osl 256
    fakeai-proxy simulate --profile 8xh100-70b-tp4x2 --trace azure.csv --plot run.png
    fakeai-proxy simulate --load closed --sweep concurrency=1,2,4,8,16,32
    fakeai-proxy simulate --trace t.jsonl --find workers --slo ttft_p99=500ms,itl_p99=50ms

    The status is 1 where objectives are given and not met.
    """
    scene, objectives = _scene(options), parse_slo(slo)
    plot: Path | None = options["plot"]
    if plot is not None and plot.suffix not in (".png", ".svg"):
        raise ConfigError(f"--plot: {plot} must end in .png or .svg")
    if options["find"]:
        return _find(scene, objectives, options)
    if sweep_text:
        return _sweep(scene, sweep_text, objectives, options)
    with _progress(scene.load) as tell:
        outcome = scene.play(tell(scene.profile.name))
    if plot is not None:
        from fakeai_proxy.simulate.plot import plot_run

        plot_run(outcome, _title(scene), plot)
    good = attained(objectives, outcome)
    if options["as_json"]:
        _print_json(_as_json(scene, outcome, objectives))
    else:
        _print_outcome(scene, outcome, objectives)
    return 0 if good or not objectives else 1


def _scene(options: dict[str, Any]) -> Scene:
    profile = load_fleet(options["profile"])
    if options["policy"]:
        router = profile.router.model_copy(update={"policy": options["policy"]})
        profile = profile.model_copy(update={"router": router})
    model = options["model"] or profile.pool[0].model
    if not profile.pools_for(model):
        raise ConfigError(f"--model: {profile.name} has no {model}; it has {_models(profile)}")
    if options["trace"] and options["load_text"]:
        raise ConfigError("--trace and --load both say when requests arrive; give one of them")
    for name in ("speedup", "duration"):
        if options[name] is not None and not 0 < options[name] < 1e9:
            raise ConfigError(f"--{name}: {options[name]} is not above 0")
    kind, parameters = ("trace", {}) if options["trace"] else parse_load(
        options["load_text"] or "poisson:rate=1"
    )  # fmt: skip
    load = Load(
        kind, parameters,
        Lengths(options["isl"], options["osl"], options["length_low"], options["shared_prefix"]),
        options["trace"], options["speedup"], options["requests"], options["duration"],
    )  # fmt: skip
    return Scene(profile, model, load, options["seed"])


def _models(profile: FleetProfile) -> str:
    return ", ".join(dict.fromkeys(pool.model for pool in profile.pool))


def _sweep(
    scene: Scene, text: str, objectives: tuple[Objective, ...], options: dict[str, Any]
) -> int:
    name, _, rest = text.partition("=")
    try:
        values = tuple(float(piece) for piece in rest.split(","))
    except ValueError:
        raise ConfigError(f"--sweep: '{text}' is not NAME=A,B,...") from None
    if min(values) <= 0:
        raise ConfigError(f"--sweep: {name} must be above 0")
    with _progress(scene.load) as tell:
        trials = sweep(scene, name, values, objectives, tell)
    _print_trials(trials, objectives, options, scene)
    return 0


def _find(scene: Scene, objectives: tuple[Objective, ...], options: dict[str, Any]) -> int:
    if not objectives:
        raise ConfigError("--find workers: say with --slo what is enough, like ttft_p99=500ms")
    if scene.load.is_closed:
        raise ConfigError("--find workers: a closed loop waits for its answers and so never asks "
                          "for more than it gets; give a --trace or an open --load")  # fmt: skip
    with _progress(scene.load) as tell:
        best, trials = fewest_workers(scene, objectives, tell)
    _print_trials(trials, objectives, options, scene, best)
    return 0 if best is not None else 1


@contextmanager
def _progress(load: Load) -> Iterator[Callable[[str], Callable[[int], None]]]:
    """A bar for each run, on a terminal's stderr."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TextColumn("requests"), TimeElapsedColumn())  # fmt: skip
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as bars:

        def tell(name: str) -> Callable[[int], None]:
            task = bars.add_task(name, total=load.requests_max)
            return lambda ended: bars.update(task, completed=ended)

        yield tell


def _title(scene: Scene, without: str = "") -> str:
    """`without` is the parameter that is swept."""
    load = scene.load
    parameters = ", ".join(
        f"{name} {value:g}" for name, value in load.parameters.items() if name != without and value
    )
    what = load.trace.name if load.trace else f"{load.kind} {parameters}"
    return f"{scene.model} on {scene.profile.name} ({scene.gpus} GPUs), {what.strip()}"


def _as_json(
    scene: Scene, outcome: Outcome, objectives: tuple[Objective, ...]
) -> dict[str, object]:
    found = {"profile": scene.profile.name, "model": scene.model, **outcome.as_json()}
    if objectives:
        found["slo"] = {str(each): each.met(outcome) for each in objectives}
        found["slo_met"] = attained(objectives, outcome)
        found["goodput_requests_per_s"] = goodput(objectives, outcome)
    return found


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2))


def _print_outcome(scene: Scene, outcome: Outcome, objectives: tuple[Objective, ...]) -> None:
    console = Console()
    table = Table(title=_title(scene), title_justify="left", box=SIMPLE_HEAD, padding=(0, 0, 0, 1))
    table.add_column("ms")
    for stat in ("mean", "p50", "p90", "p95", "p99", "max"):
        table.add_column(stat, justify="right")
    for metric in METRICS:
        table.add_row(metric.upper(), *(f"{value:,.1f}" for value in outcome.spreads[metric]))
    console.print(table)
    figures = outcome.figures()
    for name, label, form in _FIGURES:
        value = figures[name]
        if value or name not in ("refused", "failed", "preemptions"):
            console.print(f"{label:<36} {form.format(value)}", highlight=False)
    for objective in objectives:
        met = "met" if objective.met(outcome) else "MISSED"
        console.print(f"{objective!s:<36} {met}", highlight=False)
    if objectives:
        share = goodput(objectives, outcome)
        console.print(f"{'goodput':<36} {share:,.2f} requests/s", highlight=False)


def _print_trials(
    trials: list[Trial],
    objectives: tuple[Objective, ...],
    options: dict[str, Any],
    scene: Scene,
    best: Trial | None = None,
) -> None:
    if options["plot"] is not None:
        from fakeai_proxy.simulate.plot import plot_trials

        title = _title(scene, without=trials[0].name)
        plot_trials(trials, objectives, title, options["plot"])
    if options["as_json"]:
        rows = [
            {trial.name: trial.value, **_as_json(trial.scene, trial.outcome, objectives)}
            for trial in trials
        ]
        found = {"workers": int(best.value), "gpus": best.scene.gpus} if best else {}
        _print_json({"trials": rows, **found})
        return
    console = Console()
    title = f"{_title(scene, without=trials[0].name)}; times in ms"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 0, 0, 1))
    names = (trials[0].name, "GPUs", "TTFT p50", "TTFT p99", "ITL p50", "ITL p99", "req/s", "tok/s")
    for name in (*names, *(("SLO",) if objectives else ())):
        table.add_column(name, justify="right", no_wrap=True)
    for trial in trials:
        spreads, figures = trial.outcome.spreads, trial.outcome.figures()
        row = [
            f"{trial.value:g}", str(trial.scene.gpus),
            *(f"{value:,.1f}" for value in (
                spreads["ttft"].p50, spreads["ttft"].p99, spreads["itl"].p50, spreads["itl"].p99,
            )),
            f"{figures['requests_per_s']:,.2f}", f"{figures['output_tokens_per_s']:,.0f}",
        ]  # fmt: skip
        table.add_row(*row, *(("met" if trial.attained else "missed",) if objectives else ()))
    console.print(table)
    if best is not None:
        console.print(f"{best.value:g} workers on {best.scene.gpus} GPUs are enough.")
    elif options["find"]:
        console.print(
            "No number of workers is enough: a request that has one to itself is too slow."
        )
