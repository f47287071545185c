"""Whole servers against what was measured of them."""

from __future__ import annotations

import statistics
from pathlib import Path

from fakeai_proxy.fleet.engine import Engine
from fakeai_proxy.fleet.measurements import read_requests
from fakeai_proxy.fleet.roofline import Layout, Memory, Roofline
from fakeai_proxy.profiles.architecture import load_model
from fakeai_proxy.profiles.engine import EngineLimits
from fakeai_proxy.profiles.gpu import load_gpu
from fakeai_proxy.profiles.serving import load_serving
from tests.fleet.driving import Answered, Demand, closed_loop, open_loop

MEASURED = Path(__file__).parent / "measured"


def test_a_servers_log_comes_out_as_it_was() -> None:
    # The board's scale is from the first 100 requests; these are the others.
    requests = read_requests(MEASURED / "log.csv")
    limits = EngineLimits(
        max_num_seqs=128, max_num_batched_tokens=2048, enable_prefix_caching=False
    )
    serving = load_serving("vllm")
    model = Roofline(load_gpu("rtx-pro-6000"), load_model("llama-3.1-8b"), Layout(), serving,
                     Memory(step_tokens=2048))  # fmt: skip
    engine = Engine(limits, model, model.kv_capacity_tokens // limits.block_size)
    direct = serving.model_copy(update={"front_end_ms": 0.0, "front_end_us_per_token": 0.0})
    arrivals = [
        (each.arrived_at, Demand(each.prompt_tokens, each.output_tokens)) for each in requests
    ]
    said = sorted(open_loop(engine, direct, arrivals), key=lambda each: each.arrived_at)
    pairs = list(zip(requests, said, strict=True))[100:]
    ttft_s = statistics.fmean(each.first_token_at - each.arrived_at for each, _ in pairs)
    assert abs(statistics.fmean(each.ttft_s for _, each in pairs) / ttft_s - 1) <= 0.10
    errors = [abs(s.e2e_s / (r.last_token_at - r.arrived_at) - 1) for r, s in pairs]
    assert statistics.median(errors) <= 0.05


def service(clients: int, kv_tokens: int | None = None) -> list[Answered]:
    """Llama 3.3 70B in FP8 on two H100, 5,000 tokens in, 500 out, as NVIDIA's NIM runs it."""
    serving = load_serving("trtllm")
    model = Roofline(load_gpu("h100"), load_model("llama-3.3-70b"),
                     Layout(tp=2, quantization="fp8", kv_bytes_per_value=1.0), serving)  # fmt: skip
    limits = EngineLimits(admission=serving.admission, enable_prefix_caching=False)
    engine = Engine(limits, model, (kv_tokens or model.kv_capacity_tokens) // limits.block_size)
    return closed_loop(engine, serving, [Demand(5000, 500)] * (clients * 3), clients)


def mean_ttft_s(answers: list[Answered]) -> float:
    later = sorted(answers, key=lambda each: each.arrived_at)[len(answers) // 3 :]
    return statistics.fmean(each.ttft_s for each in later)


def test_a_service_saturates_where_it_was_measured_to_and_only_by_the_kv_cache() -> None:
    # Measured times to the first token: 0.8 to 1.1 s at 50 clients, 35 to 46 s at 150.
    assert mean_ttft_s(service(50)) < 5
    assert mean_ttft_s(service(150)) > 20
    assert mean_ttft_s(service(150, kv_tokens=1 << 24)) < 10


def test_a_client_asks_again_when_it_is_answered() -> None:
    answers = service(2)
    assert len(answers) == 6
    starts = sorted(each.arrived_at for each in answers)
    assert starts[:2] == [0.0, 0.0]
    assert set(starts[2:]) <= {each.last_token_at for each in answers}
