"""Shipped profiles load; what they draw has the distribution they state."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist, median, quantiles, stdev

import pytest

from fakeai_proxy.dice import Dice
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.fleet.cost import Chunk
from fakeai_proxy.fleet.step_model import step_model
from fakeai_proxy.profiles import (
    FleetProfile,
    HostedProfile,
    Latency,
    back_end_names,
    fleet_names,
    hosted_names,
    load_back_end,
    load_fleet,
    load_hosted,
)
from fakeai_proxy.services.catalogue import shipped_cards

GOOD = """
description = "d"
source = "made up for a test"
illustrative = true
[[latency]]
ttft_p50_ms = 100
ttft_sigma = 0.1
itl_p50_ms = 10
"""


def load(name: str) -> HostedProfile:
    profile = load_hosted(name)
    assert profile is not None
    return profile


def rows() -> list[tuple[str, Latency]]:
    return [(f"{name}: {row.model}", row) for name in hosted_names() for row in load(name).latency]


@pytest.mark.parametrize("row", [row for _, row in rows()], ids=[name for name, _ in rows()])
def test_a_shipped_row_is_like_a_hosted_api(row: Latency) -> None:
    assert 50 <= row.ttft_p50_ms <= 5000
    assert 0.1 <= row.ttft_sigma <= 0.5
    # A token of sound is a tenth of a second, and what is heard is written faster than it is made up.
    listens = row.model in ("*whisper*", "*transcribe*")
    assert 0 <= row.prompt_ms_per_token <= (5 if listens else 0.5)
    if row.model.startswith("text-embedding"):
        assert row.itl_p50_ms == 0
    else:
        assert 20 <= row.tokens_per_s <= (1000 if listens else 250)
    assert 0 <= row.itl_sigma <= 0.5
    assert 0 <= row.stream_sigma <= 0.5


def test_the_hosted_vendors_are_there_and_say_which_numbers_are_measured() -> None:
    assert {"openai", "azure", "anthropic"} <= set(hosted_names())
    assert load("openai").illustrative
    assert not load("fireworks-2023").illustrative


def test_every_model_of_the_catalogue_has_a_row_and_the_last_row_fits_all() -> None:
    for name in hosted_names():
        profile = load(name)
        assert profile.latency[-1].model == "*"
        for card in shipped_cards():
            assert profile.for_model(card.id).ttft_p50_ms > 0
    assert load("openai").for_model("gpt-4o-mini-2024-07-18").model == "gpt-4o-mini*"
    assert load("openai").for_model("o3-mini").model == "o[134]*"
    assert load("openai").for_model("openai/gpt-oss-20b").model == "*"


@pytest.mark.parametrize("row", [row for _, row in rows()], ids=[name for name, _ in rows()])
def test_first_tokens_have_the_stated_median_and_spread(row: Latency) -> None:
    dice = Dice(1)
    drawn = [row.draw(dice.roll("ttft", k), 0).offset_s(1) * 1000 for k in range(4000)]
    assert median(drawn) == pytest.approx(row.ttft_p50_ms, rel=0.03)
    assert stdev(map(math.log, drawn)) == pytest.approx(row.ttft_sigma, rel=0.05)
    percentiles = quantiles(drawn, n=100)
    for percent in (10, 90, 95):
        assert percentiles[percent - 1] == pytest.approx(row.ttft_ms(percent / 100), rel=0.06)


@pytest.mark.parametrize("name", hosted_names())
def test_gaps_have_the_stated_median_spread_and_mean(name: str) -> None:
    row = load(name).latency[-1]
    dice = Dice(2)
    gaps = []
    for stream in range(400):
        times = row.draw(dice.roll("gaps", stream), 0)
        offsets = [times.offset_s(token) * 1000 for token in range(1, 65)]
        gaps += [after - before for before, after in pairwise(offsets)]
    sigma = math.hypot(row.itl_sigma, row.stream_sigma)
    assert median(gaps) == pytest.approx(row.itl_p50_ms, rel=0.04)
    assert stdev(map(math.log, gaps)) == pytest.approx(sigma, rel=0.1)
    assert quantiles(gaps, n=10)[8] == pytest.approx(row.itl_ms(0.9), rel=0.05)


def test_the_mean_gap_of_a_long_stream_is_the_models() -> None:
    row = Latency(ttft_p50_ms=0, ttft_sigma=0, itl_p50_ms=10, itl_sigma=0.4)
    times = row.draw(Dice(3).roll("long"), 0)
    tokens = 20_481
    first_s = times.offset_s(1)
    mean_ms = (times.offset_s(tokens) - first_s) * 1000 / (tokens - 1)
    assert mean_ms == pytest.approx(10 * math.exp(0.4**2 / 2), rel=0.01)
    assert 1000 / mean_ms == pytest.approx(row.tokens_per_s, rel=0.01)


def test_neighbouring_gaps_are_independent() -> None:
    row = Latency(ttft_p50_ms=0, ttft_sigma=0, itl_p50_ms=10, itl_sigma=0.4)
    correlations = []
    for stream in range(200):
        times = row.draw(Dice(4).roll("gaps", stream), 0)
        offsets = [times.offset_s(token) for token in range(1, 257)]
        logs = [math.log(after - before) for before, after in pairwise(offsets)]
        centre = sum(logs) / len(logs)
        spread = sum((value - centre) ** 2 for value in logs)
        products = [(one - centre) * (other - centre) for one, other in pairwise(logs)]
        correlations.append(sum(products) / spread)
    assert abs(sum(correlations) / len(correlations)) < 0.15


def test_offsets_never_decrease_and_wait_for_the_prompt() -> None:
    row = load("openai").for_model("gpt-4o")
    for seed in range(50):
        short, long = (row.draw(Dice(seed).roll("x"), tokens) for tokens in (0, 10_000))
        offsets = [short.offset_s(token) for token in (0, 0, 1, 2, 2, 3, 10, 500)]
        assert offsets == sorted(offsets)
        added_s = long.offset_s(1) - offsets[0]
        assert added_s == pytest.approx(row.prompt_ms_per_token * 10, rel=1e-9)


def test_the_stated_quantiles_are_those_of_a_log_normal() -> None:
    row = Latency(ttft_p50_ms=200, ttft_sigma=0.3, prompt_ms_per_token=0.1, itl_p50_ms=10)
    assert row.ttft_ms(0.5, 100) == pytest.approx(210)
    assert row.ttft_ms(NormalDist().cdf(1)) == pytest.approx(200 * math.exp(0.3))
    assert Latency(ttft_p50_ms=1, ttft_sigma=0, itl_p50_ms=0).tokens_per_s == math.inf


def test_none_is_no_profile_and_a_file_is_one(tmp_path: Path) -> None:
    assert load_hosted("none") is None
    file = tmp_path / "mine.toml"
    file.write_text(GOOD, "utf-8")
    assert load(str(file)).name == "mine"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("ttft_p50_ms = 100", "ttft_p50_ms = -1", "latency.0.ttft_p50_ms"),
        ("ttft_p50_ms = 100", "ttft_p50_ms = nan", "latency.0.ttft_p50_ms"),
        ("ttft_p50_ms = 100", "ttft_p50_ms = inf", "latency.0.ttft_p50_ms"),
        ("ttft_p50_ms = 100", "ttft_p50_ms = 1e9", "latency.0.ttft_p50_ms"),
        ("ttft_p50_ms = 100", "ttft_p50_ms = 'fast'", "latency.0.ttft_p50_ms"),
        ("ttft_sigma = 0.1", "ttft_sigma = 9", "latency.0.ttft_sigma"),
        ("ttft_sigma = 0.1", "", "latency.0: ttft_sigma"),
        ("itl_p50_ms = 10", "itl_p50_ms = -inf", "latency.0.itl_p50_ms"),
        ("itl_p50_ms = 10", "itl_p50_ms = 1e6", "latency.0.itl_p50_ms"),
        ("itl_p50_ms = 10", "itl_p50_ms = 10\nspeed = 5", "latency.0.speed"),
        ('source = "made up for a test"', "", "source"),
        ('source = "made up for a test"', 'source = ""', "source"),
        ("illustrative = true", "", "illustrative"),
        ("[[latency]]", "[[delay]]", "latency"),
        ("[[latency]]", "[[latency", "line 5"),
    ],
)
def test_a_broken_profile_is_refused_with_its_file_and_key(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(GOOD.replace(old, new), "utf-8")
    with pytest.raises(ConfigError) as caught:
        load_hosted(str(file))
    assert str(file) in str(caught.value)
    assert said in str(caught.value)


def test_what_is_no_profile_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    for name in ("nosuch", "", "a\x00b"):
        with pytest.raises(ConfigError, match="openai"):
            load_hosted(name)
    for place, said in ((tmp_path, "folder"), (tmp_path / "absent.toml", "absent.toml")):
        with pytest.raises(ConfigError, match=said):
            load_hosted(str(place))
    with pytest.raises(ConfigError, match=r"binary\.toml"):
        load_hosted(str(tmp_path / "binary.toml"))


def test_no_name_is_both_hosted_and_a_fleet() -> None:
    assert not set(hosted_names()) & set(fleet_names())
    assert "none" not in back_end_names()


@pytest.mark.parametrize("name", fleet_names())
def test_a_shipped_fleet_loads_and_every_pool_fits_its_gpus(name: str) -> None:
    profile = load_fleet(name)
    assert profile.name == name
    assert profile.pools_for("gpt-4o"), "an application need not change its model's name"
    for pool in profile.pool:
        assert step_model(pool, profile.server).kv_capacity_tokens > 10_000


def test_the_usual_fleet_is_as_fast_as_a_fast_hosted_model() -> None:
    profile = load_fleet("quick")
    model = step_model(profile.pool[0], profile.server)
    ttft_ms = profile.frontend.latency_ms + model.cost([Chunk(500, 0)], 0, 0).seconds * 1000
    assert 20 <= ttft_ms <= 120
    assert 4 <= model.cost([], 1, 500).seconds * 1000 <= 7


def test_a_back_end_is_found_by_name_and_by_what_is_in_its_file(tmp_path: Path) -> None:
    assert load_back_end("none") is None
    assert isinstance(load_back_end("openai"), HostedProfile)
    assert isinstance(load_back_end("quick"), FleetProfile)
    (tmp_path / "hosted.toml").write_text(GOOD)
    assert isinstance(load_back_end(str(tmp_path / "hosted.toml")), HostedProfile)
    (tmp_path / "fleet.toml").write_text(
        'description = "d"\nsource = "made up for a test"\n[[pool]]\nmodel = "qwen3-8b"\ngpu = "l40s"\n'
    )
    assert isinstance(load_back_end(str(tmp_path / "fleet.toml")), FleetProfile)
    with pytest.raises(ConfigError, match="openai, quick"):
        load_back_end("nosuch")
