"""Prometheus text exposition (format 0.0.4) of metrics that are rows of a table.

Written by hand, because a page of 64 workers has 30,000 lines: prometheus-client takes 0.3 s of the
interpreter for them, this a twentieth. Its parser reads these pages in the tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Generic, Literal, TypeVar

from fakeai_proxy.fleet.buckets import Bounds, Distribution

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]
Value = float | Distribution
#: Several series under one name: labels of their own, and a value each.
Series = Sequence[tuple[Labels, Value]]
Row = TypeVar("Row")


@dataclass(frozen=True)
class Metric(Generic[Row]):
    """`name` is as it is shown, `_total` included; `of` gives one value or several series."""

    name: str
    type: Literal["gauge", "counter", "histogram"]
    help: str
    of: Callable[[Row], Value | Series]


def lines(metrics: Iterable[Metric[Row]], rows: Sequence[tuple[Labels, Row]]) -> Iterator[str]:
    """Every metric of every row; a metric without a series is left out."""
    for metric in metrics:
        shown = [line for labels, row in rows for line in _series(metric, labels, row)]
        if shown:
            yield f"# HELP {metric.name} {metric.help}"
            yield f"# TYPE {metric.name} {metric.type}"
            yield from shown


def page(*parts: Iterable[str]) -> str:
    """The empty page where there is nothing to show."""
    text = "\n".join(line for part in parts for line in part)
    return text + "\n" if text else ""


def number(value: float) -> str:
    if not math.isfinite(value):
        return "0.0"  # a gauge of nothing; dashboards choke on NaN
    return repr(float(value))


def _series(metric: Metric[Row], labels: Labels, row: Row) -> Iterator[str]:
    value = metric.of(row)
    if isinstance(value, Distribution):
        yield from _histogram(metric.name, labels, value)
    elif isinstance(value, int | float):
        yield f"{metric.name}{braced(labels)} {number(value)}"
    else:
        for more, each in value:
            all_labels = {**labels, **more}
            if isinstance(each, Distribution):
                yield from _histogram(metric.name, all_labels, each)
            else:
                yield f"{metric.name}{braced(all_labels)} {number(each)}"


def _histogram(name: str, labels: Labels, value: Distribution) -> Iterator[str]:
    before = "".join(f'{key}="{_escaped(labels[key])}",' for key in sorted(labels) if key < "le")
    after = "".join(f',{key}="{_escaped(labels[key])}"' for key in sorted(labels) if key > "le")
    head, tail = f'{name}_bucket{{{before}le="', f'"{after}}} '
    count = 0
    for bound, count in zip(_bounds(value.bounds), accumulate(value.counts), strict=True):
        yield f"{head}{bound}{tail}{count}.0"
    shown = braced(labels)
    yield f"{name}_sum{shown} {number(value.total)}"
    yield f"{name}_count{shown} {count}.0"


@cache
def _bounds(bounds: Bounds) -> tuple[str, ...]:
    return (*(repr(float(bound)) for bound in bounds), "+Inf")


def braced(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_escaped(labels[key])}"' for key in sorted(labels)) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
