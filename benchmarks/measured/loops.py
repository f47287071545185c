"""Closed loops of clients against the engine, as InferenceX and others measured them."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from fakeai_proxy.dice import Dice
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.fleet.calibration import ClosedLoop, Observation, Profiles, predict_s
from fakeai_proxy.fleet.closed_loop import Demand, closed_loop
from fakeai_proxy.fleet.engine import Engine
from fakeai_proxy.profiles.engine import EngineLimits

#: The harness asks ten times per client. The first round comes all at once, the last one has ever
#: fewer beside it; those between are like each other.
_ROUNDS, _ROUNDS_RUN = 10, 4
_BLOCK_TOKENS = 16


class Times(NamedTuple):
    ttft_s: float
    tpot_s: float


def simulate(profiles: Profiles, each: Observation, kv_limit: bool = True) -> Times:
    """Means over clients and rounds; nan where the model does not fit."""
    assert isinstance(each.work, ClosedLoop)
    worker, serving = profiles.roofline(each), profiles.serving[each.serving]
    clients, rng = each.work.concurrency, Dice(7).roll("lengths")
    drawn = each.work.prompt_tokens != int(each.work.prompt_tokens) or each.work.prompt_tokens % 100
    spread = 0.1 / 0.9 if drawn else 0.0

    def draw(mean: float) -> int:
        return max(1, round(rng.uniform(mean * (1 - spread), mean * (1 + spread))))

    demands = [
        Demand(draw(each.work.prompt_tokens), draw(each.work.output_tokens))
        for _ in range(clients * _ROUNDS_RUN)
    ]
    limits = EngineLimits(
        max_num_seqs=min(max(clients, 256), 1024),
        admission=serving.admission,
        mixed=serving.mixed,
        enable_prefix_caching=False,
    )
    try:
        tokens = worker.kv_capacity_tokens if kv_limit else 1 << 30
    except ConfigError:
        return Times(math.nan, math.nan)
    engine = Engine(limits, worker, tokens // _BLOCK_TOKENS)
    answers = sorted(closed_loop(engine, serving, demands, clients), key=lambda a: a.arrived_at)
    ttft_s = _over_rounds([a.ttft_s for a in answers], clients)
    tpot_s = _over_rounds([a.tpot_s for a in answers], clients)
    return Times(ttft_s + (serving.first_chunk_tokens - 1) * tpot_s, tpot_s)


def _over_rounds(values: list[float], clients: int) -> float:
    first, last = values[:clients], values[-clients:]
    between = values[clients:-clients]
    edges = (sum(first) + sum(last)) / (2 * clients)
    return edges * 2 / _ROUNDS + sum(between) / len(between) * (1 - 2 / _ROUNDS)


def predicted_s(
    profiles: Profiles,
    observations: Sequence[Observation],
    told: Callable[[int, int], None],
    kv_limit: bool = True,
) -> list[float]:
    """What the engine says of each; every loop runs once, on all CPUs."""
    keys = [_key(each) for each in observations]
    loops = dict(zip(keys, observations, strict=True))
    times: dict[Observation, Times] = {}
    with multiprocessing.Pool(initializer=_bring, initargs=(profiles, kv_limit)) as pool:
        for done, (key, found) in enumerate(
            zip(loops, pool.imap(_run, loops.values(), chunksize=8), strict=True), 1
        ):
            times[key] = found
            told(done, len(loops))
    return [
        times[key].ttft_s if _measures(each) == "ttft" else times[key].tpot_s
        for key, each in zip(keys, observations, strict=True)
    ]


def with_surrogates(
    profiles: Profiles, observations: Sequence[Observation], said_s: Sequence[float]
) -> list[Observation]:
    """Observations that a fit of the closed form can use in place of the engine."""
    found = []
    for each, seconds in zip(observations, said_s, strict=True):
        if math.isnan(seconds):
            continue
        ratio = seconds / predict_s(profiles.roofline(each), each.work)
        low, high = (0.2, 5.0) if _measures(each) == "ttft" else (0.5, 1.5)
        found.append(replace(each, surrogate=min(max(ratio, low), high)))
    return found


def _measures(each: Observation) -> str:
    assert isinstance(each.work, ClosedLoop)
    return each.work.measures


def _key(each: Observation) -> Observation:
    assert isinstance(each.work, ClosedLoop)
    work = replace(each.work, measures="tpot")
    return replace(each, work=work, measured_s=1.0, weight=1.0, surrogate=1.0, drafted=False)


#: In a worker process: what it simulates with.
_HELD: list[tuple[Profiles, bool]] = []


def _bring(profiles: Profiles, kv_limit: bool) -> None:
    _HELD[:] = [(profiles, kv_limit)]


def _run(each: Observation) -> Times:
    profiles, kv_limit = _HELD[0]
    return simulate(profiles, each, kv_limit)
