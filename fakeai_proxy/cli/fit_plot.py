"""A picture of what was measured and what was fitted, by matplotlib, as PNG or SVG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.profiles.hosted_check import Samples
from fakeai_proxy.profiles.hosted_fit import Fit

_PANELS = (("ttft_ms", "TTFT, ms"), ("gap_ms", "gap, ms"), ("read_tokens", "tokens a read"))


def plot_fits(samples: Sequence[tuple[Fit, Samples, Samples]], file: Path) -> None:
    """A line for each model, of the share of values up to each. Raises ConfigError."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError(
            "--plot: matplotlib draws the pictures; pip install 'fakeai-proxy[plot]'"
        ) from None
    figure = Figure(figsize=(12, 2.6 * len(samples) + 0.6), layout="constrained")
    figure.suptitle("Share of values up to: measured (grey) and fitted (orange)", fontsize=11)
    axes = figure.subplots(len(samples), len(_PANELS), squeeze=False)
    for row, (fit, measured, fitted) in zip(axes, samples, strict=True):
        for axis, (name, title) in zip(row, _PANELS, strict=True):
            for side, colour in ((measured, "#718096"), (fitted, "#dd6b20")):
                values = sorted(getattr(side, name))
                shares = [(place + 1) / len(values) for place in range(len(values))]
                axis.step(values, shares, where="post", color=colour, linewidth=1.2)
            axis.set_xlabel(title)
            axis.set_ylabel(fit.latency.model, fontsize=8)
            axis.grid(alpha=0.25)
            if name == "gap_ms":
                axis.set_xscale("symlog", linthresh=1)
    figure.savefig(file, dpi=130)
