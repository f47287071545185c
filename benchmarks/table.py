"""What a case measured, the bar it is held to, and the table of them all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Bar:
    text: str
    holds: Callable[[Measure], bool]


@dataclass
class Measure:
    """One quantity over the rounds. Without a bar it only informs. Counts and signed quantities
    have no ratio worth showing: they are not `relative`."""

    case: str
    name: str
    bar: Bar | None = None
    relative: bool = True
    product: list[float] = field(default_factory=list)
    yardstick: list[float] = field(default_factory=list)

    def add(self, product: float, yardstick: float | None = None) -> None:
        self.product.append(product)
        if yardstick is not None:
            self.yardstick.append(yardstick)

    @property
    def ratios(self) -> list[float]:
        """Round by round: what the host does to one of a pair it does to the other."""
        return [
            ours / theirs if theirs else float("inf")
            for ours, theirs in zip(self.product, self.yardstick, strict=False)
        ]

    @property
    def verdict(self) -> str:
        if self.bar is None:
            return ""
        return "pass" if self.product and self.bar.holds(self) else "MISS"

    def as_json(self) -> dict[str, Any]:
        return {
            "case": self.case,
            "name": self.name,
            "product": self.product,
            "yardstick": self.yardstick,
            "ratio": median(self.ratios) if self.relative and self.ratios else None,
            "bar": self.bar.text if self.bar else None,
            "verdict": self.verdict,
        }


def ratio_from(least: float) -> Bar:
    return Bar(f"ratio >= {least:g}", lambda it: median(it.ratios) >= least)


def ratio_to(most: float) -> Bar:
    return Bar(f"ratio <= {most:g}", lambda it: median(it.ratios) <= most)


def at_least(least: float, unit: str = "") -> Bar:
    return Bar(f">= {least:,g}{unit}", lambda it: median(it.product) >= least)


def at_most(most: float, unit: str = "") -> Bar:
    return Bar(f"<= {most:,g}{unit}", lambda it: median(it.product) <= most)


def within(most: float, unit: str = "") -> Bar:
    return Bar(f"+-{most:g}{unit}", lambda it: abs(median(it.product)) <= most)


def _number(value: float) -> str:
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.1f}"


def _cells(measure: Measure) -> tuple[str, ...]:
    ratio = ""
    if measure.relative and measure.ratios:
        low, high = min(measure.ratios), max(measure.ratios)
        ratio = f"{median(measure.ratios):.2f} ({low:.2f}-{high:.2f})"
    return (
        measure.case,
        measure.name,
        _number(median(measure.product)) if measure.product else "-",
        _number(median(measure.yardstick)) if measure.yardstick else "",
        ratio,
        measure.bar.text if measure.bar else "",
        measure.verdict,
    )


def markdown(measures: list[Measure]) -> str:
    """Medians of the rounds; the ratio with its range."""
    head = ("case", "measure", "product", "yardstick", "ratio", "bar", "")
    rows = [head, *map(_cells, measures)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(head))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
             for row in rows]  # fmt: skip
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])
