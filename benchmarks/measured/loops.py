"""Closed loops of clients, as InferenceX and others measured them, against a fleet's profile: the path
of `fakeai-proxy simulate`.
"""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from fakeai_proxy.dice import Dice
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.fleet.calibration import ClosedLoop, Observation, Profiles, predict_s
from fakeai_proxy.fleet.cluster import Cluster
from fakeai_proxy.fleet.step_model import step_model
from fakeai_proxy.profiles.fleet import FleetProfile
from fakeai_proxy.simulate.arrivals import Lengths
from fakeai_proxy.simulate.load import Load
from fakeai_proxy.simulate.run import Run

#: The harness asks ten times per client. The first round comes all at once, the last one has ever
#: fewer beside it; those between are like each other.
_ROUNDS, _ROUNDS_RUN = 10, 3
_UNLIMITED_BLOCKS = 1 << 24


class Times(NamedTuple):
    ttft_s: float
    tpot_s: float


def fleet(each: Observation, **said: Any) -> dict[str, Any]:
    """What a profile's file would say of it; `said` of the pool besides."""
    work, layout = each.work, each.layout
    assert isinstance(work, ClosedLoop)
    engine = {
        "max_num_seqs": min(max(work.concurrency, 256), 1024),
        "enable_prefix_caching": False,
        **said.pop("engine", {}),
    }
    if not work.spread:  # is not of InferenceX, which had servers send tokens in groups
        engine["stream_interval"] = 1
    pool = {
        "model": each.model, "gpu": each.gpu, "serving": each.serving, "tp": layout.tp,
        "attention_dp": layout.attention_dp, "ep": layout.ep, "quantization": layout.quantization,
        "kv_cache_dtype": "bf16" if layout.kv_bytes_per_value == 2 else "fp8", "engine": engine,
        **said,
    }  # fmt: skip
    return {
        "name": "measured",
        "description": each.configuration or "measured",
        "source": "a measured configuration",
        "kv_event_blocks": 0,
        "router": {"policy": "round_robin"},
        "pool": [pool],
    }


def simulate(profiles: Profiles | None, each: Observation, kv_limit: bool = True) -> Times:
    """Means over clients and rounds, with constants that are not in the shipped profiles if
    `profiles` are given; nan where the model does not fit."""
    said: dict[str, Any] = {} if kv_limit else {"num_gpu_blocks": _UNLIMITED_BLOCKS}
    try:
        if profiles is None:
            profile = FleetProfile.model_validate(fleet(each, **said))
            cluster = Cluster(profile, Dice(7), model=step_model)
        else:
            serving, worker = profiles.serving[each.serving], profiles.roofline(each)
            frontend = {
                "latency_ms": serving.front_end_ms,
                "latency_us_per_token": serving.front_end_us_per_token,
            }
            given = fleet(each, engine=serving.habits, **said)
            profile = FleetProfile.model_validate({**given, "frontend": frontend})
            cluster = Cluster(profile, Dice(7), model=lambda pool, server: worker)
    except ConfigError:
        return Times(math.nan, math.nan)
    assert isinstance(each.work, ClosedLoop)
    return play(cluster, each.model, each.work)


def play(cluster: Cluster, model: str, work: ClosedLoop) -> Times:
    clients, most = work.concurrency, 1 + work.spread
    lengths = Lengths(
        round(work.prompt_tokens * most), round(work.output_tokens * most), (1 - work.spread) / most
    )
    load = Load("closed", {"concurrency": clients, "think": 0.0}, lengths,
                requests=clients * _ROUNDS_RUN)  # fmt: skip
    outcome = Run(cluster, load, model, 7).run()
    if outcome.refused or outcome.failed:
        return Times(math.nan, math.nan)
    answers = sorted(outcome.requests, key=lambda a: a.arrived_at)
    return Times(
        _over_rounds([a.first_token_at - a.arrived_at for a in answers], clients),
        _over_rounds([a.tpot_s for a in answers], clients),
    )


def _over_rounds(values: list[float], clients: int) -> float:
    first, last = values[:clients], values[-clients:]
    between = values[clients:-clients]
    edges = (sum(first) + sum(last)) / (2 * clients)
    return edges * 2 / _ROUNDS + sum(between) / len(between) * (1 - 2 / _ROUNDS)


def predicted_s(
    profiles: Profiles | None,
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
_HELD: list[tuple[Profiles | None, bool]] = []


def _bring(profiles: Profiles | None, kv_limit: bool) -> None:
    _HELD[:] = [(profiles, kv_limit)]


def _run(each: Observation) -> Times:
    profiles, kv_limit = _HELD[0]
    return simulate(profiles, each, kv_limit)
