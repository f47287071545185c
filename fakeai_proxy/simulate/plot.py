"""Pictures of runs, by matplotlib, as PNG or SVG."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.simulate.outcome import Outcome
from fakeai_proxy.simulate.search import Trial
from fakeai_proxy.simulate.slo import Objective

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Values that far apart are told by their ratio.
_WIDE = 16
_BLUE, _ORANGE, _GREEN, _GREY = "#2b6cb0", "#dd6b20", "#2f855a", "#718096"


def _figure(panels: int, title: str) -> tuple[Figure, list[Axes]]:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError(
            "--plot: matplotlib draws the pictures; pip install 'fakeai-proxy[plot]'"
        ) from None
    figure = Figure(figsize=(9, 2.3 * panels + 0.6), layout="constrained")
    figure.suptitle(title, fontsize=11)
    axes = [figure.add_subplot(panels, 1, place + 1) for place in range(panels)]
    for each in axes:
        each.grid(alpha=0.25)
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes


def plot_run(outcome: Outcome, title: str, file: Path) -> None:
    """Latency of each request and the load, over time."""
    figure, (ttft, e2e, load, speed) = _figure(4, title)
    at = [each.arrived_at for each in outcome.requests]
    taken_ms = [(each.first_token_at - each.arrived_at) * 1000 for each in outcome.requests]
    ttft.scatter(at, taken_ms, s=5, color=_BLUE, alpha=0.5, linewidths=0)
    ttft.axhline(outcome.spreads["ttft"].p99, color=_GREY, linewidth=0.8, linestyle="--")
    ttft.set_ylabel("TTFT, ms")
    taken_s = [each.finished_at - each.arrived_at for each in outcome.requests]
    e2e.scatter(at, taken_s, s=5, color=_GREEN, alpha=0.5, linewidths=0)
    e2e.set_ylabel("end to end, s")
    moments = outcome.moments
    times = [moment.at for moment in moments]
    load.plot(times, [moment.running for moment in moments], color=_BLUE, label="running")
    load.plot(times, [moment.waiting for moment in moments], color=_ORANGE, label="waiting")
    load.set_ylabel("requests")
    share = load.twinx()
    share.plot(
        times, [100 * moment.kv_share for moment in moments], color=_GREY, linewidth=0.8,
        label="KV blocks in use",
    )  # fmt: skip
    share.set_ylim(0, 105)
    share.set_ylabel("KV use, %", color=_GREY)
    load.legend(loc="upper left", fontsize=8, frameon=False)
    pairs = list(pairwise(moments))
    speed.step(
        [late.at for _, late in pairs],
        [(late.tokens - early.tokens) / (late.at - early.at) for early, late in pairs],
        color=_GREEN,
    )
    speed.set_ylabel("tokens/s")
    speed.set_xlabel("seconds")
    figure.savefig(file, dpi=130)


def plot_trials(
    trials: Sequence[Trial], objectives: Sequence[Objective], title: str, file: Path
) -> None:
    """Latency and throughput by what was swept."""
    figure, axes = _figure(3, title)
    values = [trial.value for trial in trials]
    for panel, metric in zip(axes, ("ttft", "itl"), strict=False):
        for stat, colour in (("p50", _BLUE), ("p99", _ORANGE)):
            found = [getattr(trial.outcome.spreads[metric], stat) for trial in trials]
            panel.plot(values, found, marker="o", markersize=3, color=colour, label=stat)
        for objective in objectives:
            if objective.metric == metric:
                panel.axhline(objective.limit_ms, color=_GREY, linestyle="--", linewidth=0.8)
        panel.set_ylabel(f"{metric.upper()}, ms")
        panel.legend(fontsize=8, frameon=False)
    speeds = [trial.outcome.figures()["output_tokens_per_s"] for trial in trials]
    axes[2].plot(values, speeds, marker="o", markersize=3, color=_GREEN)
    axes[2].set_ylabel("tokens/s")
    axes[2].set_xlabel(trials[0].name if trials else "")
    if values and max(values) >= _WIDE * min(values):
        for panel in axes:
            panel.set_xscale("log", base=2)
            panel.set_xticks(values, [f"{value:g}" for value in values])
    figure.savefig(file, dpi=130)
