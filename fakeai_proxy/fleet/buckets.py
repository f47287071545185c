"""Bounds of the histograms that serving engines show, and a histogram that can be shown with any of
them.

Bounds of vLLM: vllm/v1/metrics/loggers.py; of SGLang: srt/metrics/collector.py; of Dynamo:
lib/llm/src/http/service/metrics.rs (logarithmic, to two digits, after a zero).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

Bounds = tuple[float, ...]


def _logarithmic(least: float, most: float, count: int) -> Bounds:
    """`count` bounds of which the first is zero."""
    steps = count - 2
    ratio = math.log(most / least)
    raw = (least * math.exp(ratio * k / steps) for k in range(count - 1))
    return tuple(dict.fromkeys([0.0, *(float(f"{value:.1e}") for value in raw)]))


VLLM_TTFT_S: Bounds = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    20.0, 40.0, 80.0, 160.0, 640.0, 2560.0,
)  # fmt: skip
VLLM_ITL_S: Bounds = (
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0,
    40.0, 80.0,
)  # fmt: skip
VLLM_REQUEST_S: Bounds = (
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0,
    480.0, 960.0, 1920.0, 7680.0,
)  # fmt: skip
VLLM_STEP_TOKENS: Bounds = (
    1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384,
)  # fmt: skip
VLLM_SAMPLES: Bounds = (1, 2, 5, 10, 20)

SGLANG_TTFT_S: Bounds = (
    0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 4, 6, 8, 10, 20, 40, 60, 80, 100, 200, 400,
)  # fmt: skip
SGLANG_ITL_S: Bounds = (
    0.002, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.025, 0.03, 0.035, 0.04, 0.06, 0.08, 0.1, 0.2,
    0.4, 0.6, 0.8, 1.0, 2.0, 4.0, 6.0, 8.0,
)  # fmt: skip
SGLANG_REQUEST_S: Bounds = (*SGLANG_TTFT_S, 600, 1200, 1800, 2400)

DYNAMO_TTFT_S = _logarithmic(0.001, 480.0, 18)
DYNAMO_ITL_S = _logarithmic(0.001, 2.0, 13)
DYNAMO_REQUEST_S = _logarithmic(1.0, 256.0, 10)
#: Of its workers: the defaults of Prometheus' client libraries.
DYNAMO_WORKER_S: Bounds = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
DYNAMO_INPUT_TOKENS = _logarithmic(50.0, 128_000.0, 12)
DYNAMO_OUTPUT_TOKENS = _logarithmic(50.0, 32_000.0, 10)


@cache
def one_two_five(most: int) -> Bounds:
    """1, 2, 5, 10, ... up to `most`."""
    bounds: list[float] = []
    scale = 1
    while scale <= most:
        bounds += [scale * digit for digit in (1, 2, 5) if scale * digit <= most]
        scale *= 10
    return tuple(bounds)


def union(*several: Bounds) -> Bounds:
    return tuple(sorted({float(bound) for bounds in several for bound in bounds}))


TTFT_S = union(VLLM_TTFT_S, SGLANG_TTFT_S, DYNAMO_TTFT_S)
ITL_S = union(VLLM_ITL_S, SGLANG_ITL_S, DYNAMO_ITL_S)
REQUEST_S = union(VLLM_REQUEST_S, SGLANG_REQUEST_S, DYNAMO_REQUEST_S, DYNAMO_WORKER_S)
#: Every bound that a histogram of a request's tokens may be shown with; a model's own limit cuts it.
INPUT_TOKENS = union(one_two_five(100_000_000), DYNAMO_INPUT_TOKENS)
OUTPUT_TOKENS = union(one_two_five(100_000_000), DYNAMO_OUTPUT_TOKENS)


class Distribution(NamedTuple):
    """How many values were at most each bound and above the one before; the last count is of those
    above all."""

    bounds: Bounds
    counts: Sequence[int]
    total: float


class Histogram:
    """Values over fine bounds, so that it can be shown with any subset of them."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    def copy(self) -> Histogram:
        same = Histogram.__new__(Histogram)
        same.bounds, same.counts, same.total = self.bounds, self.counts[:], self.total
        return same

    def add(self, other: Histogram) -> None:
        """`other` has the same bounds."""
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.total += other.total

    @property
    def count(self) -> int:
        return sum(self.counts)

    def over(self, bounds: Bounds) -> Distribution:
        """`bounds` are some of its own."""
        counts = []
        start = 0
        for end in _places(self.bounds, bounds):
            counts.append(sum(self.counts[start:end]))
            start = end
        counts.append(sum(self.counts[start:]))
        return Distribution(bounds, counts, self.total)


@cache
def _places(fine: Bounds, coarse: Bounds) -> tuple[int, ...]:
    return tuple(fine.index(bound) + 1 for bound in coarse)
