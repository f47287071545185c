"""Runs give the figures that the fleet's own arithmetic gives."""

from __future__ import annotations

import pytest

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.profiles.fleet import FleetProfile
from fakeai_proxy.simulate.arrivals import Lengths
from fakeai_proxy.simulate.load import Load
from fakeai_proxy.simulate.search import Scene, fewest_workers, sweep
from fakeai_proxy.simulate.slo import attained, goodput, parse_slo


def a_scene(load: Load, **pool: object) -> Scene:
    values = {
        "name": "test", "description": "one small fleet", "source": "a test's own invention",
        "pool": [{"model": "llama-3.1-8b", "gpu": "h100", "jitter_sigma": 0.0, "stall_p": 0.0, **pool}],
    }  # fmt: skip
    return Scene(FleetProfile.model_validate(values), "llama-3.1-8b", load)


def quiet(tell: str) -> object:
    return lambda ended: None


def poisson(rate: float, requests: int = 300) -> Load:
    return Load("poisson", {"rate": rate}, Lengths(1000, 50), requests=requests)


def closed(concurrency: float, requests: int = 200, **more: float) -> Load:
    parameters = {"concurrency": concurrency, "think": 0.0, **more}
    return Load("closed", parameters, Lengths(500, 40), requests=requests)


def test_every_request_and_token_is_accounted_for() -> None:
    outcome = a_scene(poisson(5.0)).play()
    assert len(outcome.requests) == 300
    gaps = sum(outcome.gap_counts)
    assert gaps == sum(each.output_tokens - 1 for each in outcome.requests)
    assert outcome.moments[-1].tokens <= outcome.output_tokens
    figures = outcome.figures()
    assert figures["output_tokens_per_s"] == pytest.approx(300 * 50 / outcome.seconds)


def test_a_busy_gpu_draws_more_power_and_spends_less_on_a_token() -> None:
    light, heavy = (a_scene(poisson(rate)).play().figures() for rate in (0.5, 20.0))
    assert 70 < light["power_w"] < heavy["power_w"] <= 700  # idle and TDP of the H100
    assert heavy["joules_per_output_token"] < light["joules_per_output_token"] / 2


def test_a_closed_loop_never_has_more_under_way_than_its_concurrency() -> None:
    outcome = a_scene(closed(7)).play()
    assert len(outcome.requests) == 200
    edges = sorted(
        [(each.arrived_at, 1) for each in outcome.requests]
        + [(each.finished_at, -1) for each in outcome.requests]
    )
    under_way = most = 0
    for _, change in edges:
        under_way += change
        most = max(most, under_way)
    assert most == 7


def test_thinking_makes_a_closed_loop_slower() -> None:
    busy, idle = (a_scene(closed(4, think=t)).play() for t in (0.0, 5.0))
    assert idle.seconds > busy.seconds * 5


def test_latency_grows_with_load_and_the_same_seed_gives_the_same_run() -> None:
    light, heavy, again = (a_scene(poisson(rate)).play() for rate in (2.0, 40.0, 40.0))
    assert heavy.spreads["ttft"].p99 > light.spreads["ttft"].p99
    assert heavy.spreads["itl"].mean > light.spreads["itl"].mean
    assert heavy.as_json() == again.as_json()


def test_a_shared_prefix_is_computed_once() -> None:
    load = Load("poisson", {"rate": 2.0}, Lengths(1000, 5, shared=800), requests=100)
    outcome = a_scene(load).play()
    assert outcome.figures()["kv_hit_share"] == pytest.approx(0.8 * 99 / 100, abs=0.01)
    assert outcome.requests[-1].cached_tokens == 800


def test_a_sweep_runs_each_value_of_a_parameter_or_of_the_workers() -> None:
    trials = sweep(a_scene(closed(1)), "concurrency", (1, 16), (), quiet)
    slow, fast = (trial.outcome.figures()["output_tokens_per_s"] for trial in trials)
    assert fast > slow * 4
    trials = sweep(a_scene(poisson(30.0)), "workers", (1, 4), (), quiet)
    assert [trial.scene.gpus for trial in trials] == [1, 4]
    assert trials[1].outcome.spreads["ttft"].p99 < trials[0].outcome.spreads["ttft"].p99
    with pytest.raises(ConfigError, match="poisson has no depth; it has rate"):
        sweep(a_scene(poisson(1.0)), "depth", (1,), (), quiet)


def test_the_fewest_workers_meet_the_objectives_and_one_less_does_not() -> None:
    objectives = parse_slo("ttft_p99=300ms,itl_p99=40ms")
    best, trials = fewest_workers(a_scene(poisson(60.0)), objectives, quiet)
    assert best is not None
    assert best.attained
    assert 1 < best.value < 64
    tried = {int(trial.value): trial.attained for trial in trials}
    assert tried[int(best.value) - 1] is False


def test_no_number_of_workers_makes_a_single_request_faster() -> None:
    best, trials = fewest_workers(a_scene(poisson(2.0, 60)), parse_slo("itl_p50=1ms"), quiet)
    assert best is None
    assert len(trials) < 8


def test_prefill_and_decode_pools_keep_their_proportion() -> None:
    scene = a_scene(poisson(1.0))
    pool = scene.profile.pool[0]
    pools = (
        pool.model_copy(update={"name": "p", "role": "prefill", "replicas": 2}),
        pool.model_copy(update={"name": "d", "role": "decode", "replicas": 6}),
    )
    profile = scene.profile.model_copy(update={"pool": pools})
    sized = Scene(profile, scene.model, scene.load).changed("workers", 4).profile
    assert [each.replicas for each in sized.pool] == [1, 3]


def test_goodput_counts_the_requests_that_meet_every_objective() -> None:
    outcome = a_scene(poisson(5.0)).play()
    everything, nothing = parse_slo("ttft_p99=60s"), parse_slo("ttft_p50=0.001ms")
    assert goodput(everything, outcome) == pytest.approx(300 / outcome.seconds)
    assert goodput(nothing, outcome) == 0
    assert attained(everything, outcome)
    assert not attained(nothing, outcome)


@pytest.mark.parametrize("text", ["ttft=5ms", "ttft_p42=5ms", "speed_p50=1s", "ttft_p50=5"])
def test_a_bad_objective_says_what_one_is(text: str) -> None:
    with pytest.raises(ConfigError, match="METRIC_STAT=LIMIT"):
        parse_slo(text)
