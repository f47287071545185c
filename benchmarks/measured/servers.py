"""Whole servers: a log replayed request by request, and a service's saturation."""

from __future__ import annotations

import statistics
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from measured.loops import predicted_s

from fakeai_proxy.fleet.calibration import ClosedLoop, Profiles
from fakeai_proxy.fleet.engine import Engine
from fakeai_proxy.fleet.measurements import Request, read_observations, read_requests
from fakeai_proxy.fleet.roofline import Layout, Memory, Roofline
from fakeai_proxy.profiles.architecture import load_model
from fakeai_proxy.profiles.engine import EngineLimits
from fakeai_proxy.profiles.gpu import Gpu
from fakeai_proxy.profiles.serving import ServingEngine
from tests.fleet.driving import Answered, Demand, open_loop

#: As the log's vLLM was started; its requests were put in without a server before it.
LOG_LIMITS = EngineLimits(
    max_num_seqs=128, max_num_batched_tokens=2048, enable_prefix_caching=False
)
_LOG_MODEL = "llama-3.1-8b"


class Replay(NamedTuple):
    ttft_error: float
    e2e_median_error: float
    running_correlation: float
    waiting_correlation: float
    e2e_bias: float


def worker(gpu: Gpu, serving: ServingEngine, scale: float = 1.0) -> Roofline:
    memory = Memory(step_tokens=LOG_LIMITS.max_num_batched_tokens)
    return Roofline(gpu, load_model(_LOG_MODEL), Layout(), serving, memory, scale)


def replay(
    requests: Sequence[Request],
    gpu: Gpu,
    serving: ServingEngine,
    scale: float = 1.0,
    scored: slice = slice(None),
    kv_tokens: int | None = None,
    limits: EngineLimits = LOG_LIMITS,
) -> Replay:
    """All requests at their instants; errors over those `scored`."""
    model = worker(gpu, serving, scale)
    tokens = kv_tokens or model.kv_capacity_tokens
    engine = Engine(limits, model, tokens // limits.block_size)
    direct = serving.model_copy(update={"front_end_ms": 0.0, "front_end_us_per_token": 0.0})
    arrivals = [
        (each.arrived_at, Demand(each.prompt_tokens, each.output_tokens)) for each in requests
    ]
    answers = sorted(open_loop(engine, direct, arrivals), key=lambda each: each.arrived_at)
    pairs = list(zip(requests, answers, strict=True))[scored]
    ttft = statistics.fmean(said.ttft_s for _, said in pairs)
    true_ttft = statistics.fmean(each.first_token_at - each.arrived_at for each, _ in pairs)
    ratios = [said.e2e_s / (each.last_token_at - each.arrived_at) for each, said in pairs]
    running, waiting = _gauges(
        [_span(each) for each in requests], [_said(each) for each in answers]
    )
    return Replay(
        ttft / true_ttft - 1,
        statistics.median(abs(ratio - 1) for ratio in ratios),
        running,
        waiting,
        statistics.median(ratios) - 1,
    )


def _span(each: Request) -> tuple[float, float, float]:
    return each.arrived_at, each.first_token_at, each.last_token_at


def _said(each: Answered) -> tuple[float, float, float]:
    return each.arrived_at, each.first_token_at, each.last_token_at


def _gauges(
    true: Sequence[tuple[float, float, float]], said: Sequence[tuple[float, float, float]]
) -> tuple[float, float]:
    """Correlation of the number that get tokens, and of those that wait for their first, at every
    second."""
    seconds = range(int(max(last for _, _, last in true)) + 1)

    def series(spans: Sequence[tuple[float, float, float]]) -> tuple[list[int], list[int]]:
        arrived, first, last = (sorted(column) for column in zip(*spans, strict=True))
        got = [bisect_right(first, at) for at in seconds]
        running = [n - bisect_right(last, at) for n, at in zip(got, seconds, strict=True)]
        waiting = [bisect_right(arrived, at) - n for n, at in zip(got, seconds, strict=True)]
        return running, waiting

    (run, wait), (said_run, said_wait) = series(true), series(said)
    return statistics.correlation(run, said_run), statistics.correlation(wait, said_wait)


def fit_scale(requests: Sequence[Request], gpu: Gpu, serving: ServingEngine, used: slice) -> float:
    """The factor on every step's time with which the times of `used` come out without bias."""
    low, high = 0.6, 1.6
    for _ in range(12):
        scale = (low + high) / 2
        if replay(requests, gpu, serving, scale, used).e2e_bias > 0:
            high = scale
        else:
            low = scale
    return round((low + high) / 2, 4)


def load_log(data: Path) -> list[Request]:
    return read_requests(next(iter(sorted(data.glob("vllm_rtxpro6000_*_requests.csv")))))


class Knee(NamedTuple):
    """Concurrency at which the time to the first token has run away, measured and said, 0 if nowhere;
    and the median error of tokens' times below it."""

    measured: int
    said: int
    itl_error: float
    rows: int


def knees(data: Path, profiles: Profiles, kv_limit: bool = True) -> Knee:
    rows = read_observations(data / "nim_70b.csv")
    rows = [row for row in rows if row.work.prompt_tokens == 5000]  # type: ignore[union-attr]
    said_s = predicted_s(profiles, rows, lambda done, of: None, kv_limit)
    said: dict[int, list[float]] = {}
    measured: dict[int, list[float]] = {}
    itl: list[float] = []
    for row, seconds in zip(rows, said_s, strict=True):
        assert isinstance(row.work, ClosedLoop)
        if row.work.measures == "ttft":
            said.setdefault(row.work.concurrency, []).append(seconds)
            measured.setdefault(row.work.concurrency, []).append(row.measured_s)
        elif row.work.concurrency <= 50:
            itl.append(abs(seconds / row.measured_s - 1))
    return Knee(_knee(measured), _knee(said), statistics.median(itl), len(itl))


def _knee(ttft_s: dict[int, list[float]]) -> int:
    """The first concurrency with more than four times the time of the one before."""
    at = sorted(ttft_s)
    for before, here in pairwise(at):
        if statistics.fmean(ttft_s[here]) > 4 * statistics.fmean(ttft_s[before]):
            return here
    return 0
