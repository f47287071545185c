from __future__ import annotations

from collections import deque
from itertools import pairwise
from math import exp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakeai_proxy.fleet.cost import Cost
from fakeai_proxy.fleet.faults import Ecc, PowerCap, Thermal, Xid
from fakeai_proxy.fleet.framebuffer import FrameBuffer
from fakeai_proxy.fleet.sample import (
    REASON_HARDWARE_THERMAL,
    REASON_IDLE,
    REASON_POWER_CAP,
    REASON_THERMAL,
    Sample,
)
from fakeai_proxy.fleet.telemetry import Telemetry
from tests.fleet.boards import H100, L4, step, work, worker

DECODE = step(0.02, busy=0.95, dram=0.75, tensor=0.03)
PREFILL = step(0.2, busy=0.99, dram=0.15, tensor=0.4)

#: Steps as (pause before, seconds, busy, dram, tensor, tokens).
STEPS = st.lists(
    st.tuples(
        st.one_of(st.just(0.0), st.floats(0, 30)),
        st.floats(0.001, 3.0),
        st.floats(0, 1),
        st.floats(0, 1),
        st.floats(0, 1),
        st.integers(0, 20_000),
    ),
    max_size=40,
)
Pattern = list[tuple[float, float, float, float, float, int]]


def test_a_decoding_gpu_is_busy_with_memory_and_a_prefilling_one_with_tensors() -> None:
    decoding, prefilling = worker(), worker()
    work(decoding, 0, 60, DECODE, tokens=32)
    work(prefilling, 0, 60, PREFILL, tokens=8192)
    decode, prefill = decoding.sample(60)[0], prefilling.sample(60)[0]
    assert decode.busy == pytest.approx(0.95)
    assert decode.dram_active == pytest.approx(0.75)
    assert decode.tensor_active == pytest.approx(0.03)
    assert 0.55 < decode.sm_active < 0.8
    assert 0.9 < prefill.sm_active < 0.97
    assert prefill.tensor_active == pytest.approx(0.4)
    assert 0.15 * decode.sm_active <= decode.sm_occupancy < 0.45 * decode.sm_active
    assert prefill.power_w > decode.power_w > 5 * H100.idle_w


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_energy_is_the_integral_of_power(pattern: Pattern) -> None:
    """Looked at once a second: between two looks the load is constant, so power goes exponentially
    from one value to the next. Steps are told at their beginning and shorter than a second."""
    telemetry = worker()
    steps, end = deque[tuple[float, Cost, int]](), 0.0
    for pause_s, seconds, busy, dram, tensor, tokens in pattern:
        end += pause_s + min(1.0, seconds)
        steps.append((end, step(min(1.0, seconds), H100, busy, dram, tensor), tokens))
    looks = [telemetry.sample(0)[0]]
    while len(looks) < end + 3:
        while steps and steps[0][0] - steps[0][1].seconds < len(looks):
            telemetry.record(*steps.popleft())
        looks.append(telemetry.sample(float(len(looks)))[0])
    assert not steps
    integral, fade = 0.0, exp(-1.0)
    for before, after in pairwise(looks):
        settled_w = (after.power_w - before.power_w * fade) / (1 - fade)
        integral += settled_w + (before.power_w - settled_w) * (1 - fade)
        assert after.energy_j == pytest.approx(integral, rel=1e-6)


def test_energy_is_the_integral_of_a_finely_sampled_power_curve() -> None:
    telemetry = worker(window_s=0.01)
    power = [telemetry.sample(0)[0].power_w]
    for tick in range(1000):
        if (tick // 100) % 3:
            cost = step(0.01, dram=0.3, tensor=0.1 * (tick // 100 % 4))
            telemetry.record((tick + 1) / 100, cost, 64)
        power.append(telemetry.sample((tick + 1.5) / 100)[0].power_w)
    trapezoid = sum(0.01 * (a + b) / 2 for a, b in pairwise(power))
    assert max(power) > 4 * min(power)
    assert telemetry.sample(10.005)[0].energy_j == pytest.approx(trapezoid, rel=2e-3)


COUNTERS = ("energy_j", "link_total_bytes", "power_violation_s", "thermal_violation_s")


def counts(sample: Sample) -> tuple[float, ...]:
    return (*(getattr(sample, name) for name in COUNTERS), *vars(sample.counters).values())


@settings(max_examples=60, deadline=None)
@given(STEPS, st.lists(st.sampled_from(["xid", "sbe", "hot", "cap", "clear"]), max_size=40))
def test_counters_never_fall_and_shares_stay_within_bounds(
    pattern: Pattern, injected: list[str]
) -> None:
    telemetry = worker(tp=2)
    now, before = 0.0, counts(telemetry.sample(0)[1])
    for number, (pause_s, seconds, busy, dram, tensor, tokens) in enumerate(pattern):
        now += pause_s + seconds
        if number < len(injected):
            inject(telemetry, injected[number], now)
        telemetry.record(now, step(seconds, H100, busy, dram, tensor, 1e6), tokens)
        sample = telemetry.sample(now)[1]
        after = counts(sample)
        assert all(a >= b for a, b in zip(after, before, strict=True))
        before = after
        shares = (
            sample.busy, sample.sm_active, sample.sm_occupancy, sample.tensor_active,
            sample.dram_active,
        )  # fmt: skip
        assert all(0 <= share <= 1 for share in shares)
        assert sample.sm_active <= sample.busy + 1e-9
        assert 0 < sample.power_w <= H100.tdp_w + 1e-6
        assert H100.sm_clock_idle_mhz <= sample.sm_clock_mhz <= H100.sm_clock_max_mhz
        assert telemetry.slowdown >= 1.0


def inject(telemetry: Telemetry, what: str, now: float) -> None:
    if what == "clear":
        telemetry.clear(now)
        return
    fault = {
        "xid": Xid(74, gpu=1),
        "sbe": Ecc("sbe", 5, gpu=1),
        "hot": Thermal(ambient_c=70),
        "cap": PowerCap(250),
    }[what]
    telemetry.inject(fault, now)


@given(st.lists(st.floats(0.1, 5000), min_size=1, max_size=30), st.booleans())
def test_a_long_idle_stretch_is_the_sum_of_short_ones(pauses: list[float], hot: bool) -> None:
    once, often = worker(), worker()
    for telemetry in (once, often):
        work(telemetry, 0, 20, PREFILL, 4096)
        if hot:
            telemetry.inject(Thermal(ambient_c=60), 20)
    now = 20.0
    for pause in pauses:
        now += pause
        often.clear(now, Xid(13))  # rolls up to here, and changes nothing
    a, b = once.sample(now)[0], often.sample(now)[0]
    assert a.energy_j == pytest.approx(b.energy_j, rel=1e-9)
    assert a.power_w == pytest.approx(b.power_w)
    assert a.temperature_c == pytest.approx(b.temperature_c)
    assert counts(a)[1:] == pytest.approx(counts(b)[1:])


def test_a_day_of_idling_draws_idle_power_and_is_closed_form() -> None:
    telemetry = worker()
    settled = []
    settle = telemetry.boards[0].settle
    telemetry.boards[0].settle = lambda *given: settled.append(given) or settle(*given)  # type: ignore[method-assign,func-returns-value]  # counts the calls
    work(telemetry, 0, 1, DECODE)
    telemetry.record(86_400.5, DECODE, 1)
    assert len(settled) <= 4
    sample = telemetry.sample(86_400)[0]
    assert sample.energy_j == pytest.approx(86_400 * H100.idle_w, rel=0.03)
    assert sample.sm_active == 0
    # A look from far in the future costs no more.
    assert telemetry.sample(1e9)[0].reasons == REASON_IDLE


def test_looking_changes_nothing_and_a_step_may_be_told_at_its_end() -> None:
    watched, alone = worker(), worker()
    for end in (0.8, 2.9, 3.1, 9.0):
        watched.sample(end - 0.05)  # in the middle of the step
        for telemetry in (watched, alone):
            telemetry.record(end, step(0.7, dram=0.5), 8)
    assert watched.sample(11)[0] == alone.sample(11)[0]
    assert alone.sample(2.5)[0].energy_j <= alone.sample(11)[0].energy_j


def test_a_step_counts_in_each_window_it_touches() -> None:
    telemetry = worker()
    telemetry.record(2.5, step(2.0, dram=0.4), 500)  # from 0.5 on
    telemetry.record(3.0, Cost(0.1, 0.0), 1)
    assert telemetry.sample(3.5)[0].busy == pytest.approx(0.5)
    fine = worker()
    fine.record(1.0, step(0.5, dram=0.4), 500)
    assert fine.sample(1.5)[0].busy == pytest.approx(0.5)
    assert fine.sample(1.5)[0].dram_active == pytest.approx(0.2)


def test_clocks_fall_ten_seconds_after_the_last_work() -> None:
    telemetry = worker()
    work(telemetry, 0, 5, DECODE)
    assert telemetry.sample(14)[0].sm_clock_mhz == H100.sm_clock_max_mhz
    rested = telemetry.sample(16)[0]
    assert (rested.sm_clock_mhz, rested.reasons) == (H100.sm_clock_idle_mhz, REASON_IDLE)
    assert rested.memory_clock_mhz == H100.memory_clock_mhz


def test_at_the_power_limit_the_clock_falls_and_steps_stretch() -> None:
    hard = step(0.1, dram=0.3, tensor=0.9)
    telemetry = worker()
    work(telemetry, 0, 30, hard, 8192)
    sample = telemetry.sample(30)[0]
    assert sample.power_w == pytest.approx(H100.tdp_w, rel=0.02)
    assert 0.88 <= sample.sm_clock_mhz / H100.sm_clock_max_mhz <= 0.97
    assert sample.reasons == REASON_POWER_CAP
    assert 1.02 < telemetry.slowdown < 1.14
    assert 25 < sample.power_violation_s < 30
    work(telemetry, 30, 40, DECODE, 32)
    assert telemetry.slowdown == 1.0


def test_an_injected_power_cap_holds_and_slows_compute_more_than_memory() -> None:
    slow: dict[str, float] = {}
    for name, cost, tokens in (("decode", DECODE, 32), ("prefill", PREFILL, 8192)):
        telemetry = worker(tp=2)
        work(telemetry, 0, 5, cost, tokens)
        telemetry.inject(PowerCap(350), 5)
        work(telemetry, 5, 30, cost, tokens)
        for sample in telemetry.sample(30):
            assert sample.power_w == pytest.approx(350, rel=0.03)
            assert sample.limit_w == 350
        slow[name] = telemetry.slowdown
        telemetry.clear(30)
        work(telemetry, 30, 40, cost, tokens)
        assert telemetry.slowdown == 1.0
    assert slow["prefill"] > slow["decode"] > 1.0


def test_failed_cooling_heats_the_gpu_until_its_clock_gives_way() -> None:
    telemetry = worker(tp=2)
    work(telemetry, 0, 120, PREFILL, 8192)
    cool = telemetry.sample(120)[0]
    assert 55 < cool.temperature_c < 75
    assert telemetry.slowdown == 1.0
    fault = Thermal(resistance=2.5, gpu=1)
    telemetry.inject(fault, 120)
    work(telemetry, 120, 240, PREFILL, 8192)
    healthy, hot = telemetry.sample(240)
    assert hot.temperature_c > 87 > healthy.temperature_c
    assert hot.reasons & REASON_THERMAL
    assert not healthy.reasons & REASON_THERMAL
    assert hot.sm_clock_mhz < healthy.sm_clock_mhz
    assert hot.thermal_violation_s > 60
    assert healthy.thermal_violation_s == 0
    assert telemetry.slowdown > 1.1
    assert not telemetry.dead
    telemetry.clear(240, fault)
    work(telemetry, 240, 400, PREFILL, 8192)
    assert telemetry.slowdown == 1.0
    assert telemetry.sample(400)[1].temperature_c < 75


def test_in_very_hot_air_the_hardware_halves_the_clock() -> None:
    telemetry = worker()
    telemetry.inject(Thermal(ambient_c=95), 0)
    work(telemetry, 0, 200, DECODE, 32)
    sample = telemetry.sample(200)[0]
    assert sample.reasons & REASON_HARDWARE_THERMAL
    assert sample.sm_clock_mhz <= H100.sm_clock_max_mhz / 2


def test_temperature_follows_power_within_a_minute_and_differs_between_boards() -> None:
    telemetry = worker(tp=8)
    cold = telemetry.sample(0)
    assert all(30 <= sample.temperature_c <= 38 for sample in cold)
    work(telemetry, 0, 25, PREFILL, 8192)
    early = telemetry.sample(25)[0].temperature_c
    work(telemetry, 25, 150, PREFILL, 8192)
    late = telemetry.sample(150)
    reached = (early - cold[0].temperature_c) / (late[0].temperature_c - cold[0].temperature_c)
    assert 0.5 < reached < 0.7  # after one time constant: 63 %, less the second of power's lag
    assert len({round(sample.temperature_c, 2) for sample in late}) == 8
    assert all(6 <= s.memory_temperature_c - s.temperature_c <= 10 for s in late)


@pytest.mark.parametrize("code", [13, 31, 48, 64, 74, 79, 94, 95, 119])
def test_a_fatal_xid_shows_and_kills_until_it_is_cleared(code: int) -> None:
    telemetry = worker(tp=2)
    fault = Xid(code, gpu=1)
    telemetry.inject(fault, 3)
    telemetry.inject(fault, 4)
    assert telemetry.dead
    assert telemetry.faults == [fault]
    healthy, sick = telemetry.sample(5)
    assert (healthy.xid, sick.xid) == (0, code)
    assert sick.xids == ((code, 1),)
    assert sick.lost == (code == 79)
    telemetry.clear(6, fault)
    assert not telemetry.dead
    assert telemetry.sample(7)[1].xid == 0
    assert telemetry.sample(7)[1].xids == ((code, 1),)
    assert telemetry.sample(400)[1].xids == ()


@pytest.mark.parametrize("code", [45, 63, 92, 777])
def test_a_harmless_xid_only_shows(code: int) -> None:
    telemetry = worker()
    telemetry.inject(Xid(code), 0)
    assert not telemetry.dead
    assert telemetry.sample(1)[0].xid == code


def test_memory_errors_count_and_those_of_two_bits_kill() -> None:
    telemetry = worker()
    telemetry.inject(Ecc("sbe", 12), 0)
    assert not telemetry.dead
    telemetry.inject(Ecc("sbe", 12), 1)
    telemetry.inject(Ecc("dbe", 2), 2)
    assert telemetry.dead
    sample = telemetry.sample(3)[0]
    assert (sample.counters.ecc_sbe, sample.counters.ecc_dbe, sample.xid) == (12, 2, 48)
    assert sample.counters.remapped_uncorrectable == 2
    telemetry.clear(4)
    assert not telemetry.dead
    telemetry.inject(Ecc("sbe", 12), 5)
    assert telemetry.sample(6)[0].counters.ecc_sbe == 24


def test_a_fault_on_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="the worker has 2"):
        worker(tp=2).inject(Xid(79, gpu=2), 0)
    with pytest.raises(ValueError, match="between 1 and 999"):
        Xid(0)


def test_memory_fills_with_weights_then_the_pool_and_then_stays() -> None:
    buffer = FrameBuffer(H100, 16_000, loading_s=10, warming_s=20)
    telemetry = worker(framebuffer=buffer)
    used = [telemetry.sample(float(now))[0].fb_used_mib for now in (0, 5, 10, 20, 30, 3000)]
    assert used == sorted(used)
    assert used[2] == pytest.approx(16_000, abs=1100)
    assert used[4] == used[5] == round(0.9 * H100.hbm_mib) + 650
    loading = telemetry.sample(5.0)[0]
    assert loading.pcie_rx_bytes_s == pytest.approx(1600 * 2**20)
    assert telemetry.sample(30.0)[0].pcie_rx_bytes_s == 0
    for now in (0.0, 5.0, 15.0, 40.0):
        sample = telemetry.sample(now)[0]
        total = sample.fb_used_mib + sample.fb_free_mib + sample.fb_reserved_mib
        assert total == H100.hbm_mib
        assert 500 <= sample.fb_reserved_mib <= 800
    telemetry.unload()
    assert telemetry.sample(50)[0].fb_used_mib == 0
    telemetry.load(60)
    assert telemetry.sample(65)[0].fb_used_mib == used[1]


def test_collectives_go_over_nvlink_where_there_is_one() -> None:
    for kind, over_nvlink in ((H100, True), (L4, False)):
        telemetry = worker(kind, tp=2)
        cost = step(0.02, kind, link_bytes=5e6)
        work(telemetry, 0, 10, cost)
        sample = telemetry.sample(9.5)[0]
        link, pcie = sample.link_tx_bytes_s, sample.pcie_tx_bytes_s
        assert (link if over_nvlink else pcie) == pytest.approx(250e6, rel=0.01)
        assert (pcie if over_nvlink else link) < 1e6
        assert (sample.link_total_bytes > 0) == over_nvlink


def test_a_transfer_of_cache_blocks_shows_where_it_goes() -> None:
    telemetry = worker()
    telemetry.transfer(0.5, 3e9, 0, "nvlink")
    telemetry.transfer(0.6, 0, 1e9, "pcie")
    sample = telemetry.sample(1.5)[0]
    assert (sample.link_tx_bytes_s, sample.link_rx_bytes_s) == (3e9, 0)
    assert sample.pcie_rx_bytes_s == 1e9
    assert sample.link_total_bytes == 3e9
