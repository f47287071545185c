from __future__ import annotations

import pytest

from fakeai_proxy.fleet.cost import Chunk
from fakeai_proxy.fleet.power import power_w
from fakeai_proxy.fleet.roofline import Layout, Roofline
from fakeai_proxy.profiles.architecture import load_model
from fakeai_proxy.profiles.gpu import Gpu, load_gpu
from fakeai_proxy.profiles.serving import load_serving
from tests.fleet.boards import A100, B200, H100, H200

#: Measured beside kernels whose activity is known: MFU or share of bandwidth (aiconfigurator-core
#: op tables for B200). The tables' lowest bin (MFU <= 0.5 %) says nothing of memory traffic.
OPERATIONS = [
    ("prefill attention at MFU 5-10 %", 0.0, 0.075, 759),
    ("prefill attention at MFU 10-20 %", 0.0, 0.15, 816),
    ("prefill attention at MFU 20-30 %", 0.0, 0.25, 890),
    ("prefill attention at MFU 40-50 %", 0.0, 0.45, 923),
    ("decode attention at bandwidth <= 0.8", 0.5, 0.0, 400),
    ("decode attention at bandwidth 0.8-0.9", 0.85, 0.0, 530),
    ("decode attention at bandwidth > 0.9", 0.95, 0.0, 622),
]

#: Splitwise's measurements of 70B and 176B models in FP16 on A100: billions of parameters, GPUs,
#: prompt and batch, ms of the prompt and of a token, peak and mean power as shares of TDP. Prompts
#: under 160 ms are too short for the meter's peak; means are of decoding where it is most of the time.
SPLITWISE = [
    (70, 2, 512, 1, 196.7, 54.8, 1.000, 0.736),
    (70, 2, 512, 4, 845.4, 60.5, 1.027, 0.741),
    (70, 4, 1024, 1, 230.1, 44.9, 1.009, 0.586),
    (70, 4, 512, 8, 1213.6, 45.9, 1.025, 0.615),
    (70, 8, 512, 8, 764.5, 46.5, 0.972, 0.434),
    (70, 8, 2048, 1, 274.2, 45.5, 0.989, 0.437),
    (176, 8, 512, 1, 173.9, 48.8, 0.876, 0.635),
    (176, 8, 2048, 1, 540.2, 49.3, 1.021, 0.614),
]


@pytest.mark.parametrize(("state", "dram", "tensor", "measured_w"), OPERATIONS)
def test_power_is_within_15_percent_of_tdp_of_measured_kernels(
    state: str, dram: float, tensor: float, measured_w: float
) -> None:
    assert abs(power_w(B200, 1.0, dram, tensor) - measured_w) <= 0.15 * B200.tdp_w


@pytest.mark.parametrize("row", SPLITWISE, ids=str)
def test_power_is_within_15_percent_of_tdp_of_whole_models(row: tuple[float, ...]) -> None:
    billions, tp, prompt, batch, prompt_ms, token_ms, peak, mean = row
    weights_bytes, flops = 2e9 * billions / tp, 2e9 * billions / tp

    def share(milliseconds: float, tokens: float) -> float:
        seconds = milliseconds / 1000
        return (
            power_w(
                A100,
                (seconds - 0.001) / seconds,
                min(0.95, weights_bytes / seconds / (A100.hbm_tb_s * 1e12)),
                min(0.95, tokens * flops / seconds / (A100.bf16_tflops * 1e12)),
            )
            / A100.tdp_w
        )

    assert abs(share(prompt_ms, prompt * batch) - peak) <= 0.15
    assert abs(share(token_ms, batch) - mean) <= 0.15


@pytest.mark.parametrize("gpu", [A100, H100, H200, B200], ids=lambda gpu: gpu.name)
def test_power_is_idle_at_rest_and_never_above_tdp(gpu: Gpu) -> None:
    assert power_w(gpu, 0, 0, 0) == gpu.idle_w
    assert power_w(gpu, 1, 1, 1) == gpu.tdp_w
    assert power_w(gpu, 1, 0.5, 0.1) > power_w(gpu, 1, 0.4, 0.1) > power_w(gpu, 0.5, 0.4, 0.1)


#: Per GPU, of Qwen3.5-397B in FP8 with 8k prompts and 1k answers (InferenceX, 90th percentile): GPU,
#: how many, requests at a time, W.
SERVED = [
    ("b200", 8, 1, 350), ("b200", 8, 2, 385), ("b200", 8, 4, 449), ("b200", 4, 128, 899),
    ("b200", 4, 256, 974), ("b200", 4, 320, 979),
]  # fmt: skip


@pytest.mark.parametrize(("name", "tp", "concurrency", "measured_w"), SERVED)
def test_power_of_modelled_steps_is_within_15_percent_of_tdp_of_a_served_model(
    name: str, tp: int, concurrency: int, measured_w: float
) -> None:
    gpu, prompt, answer = load_gpu(name), 8192, 1024
    layout = Layout(tp=tp, quantization="fp8", kv_bytes_per_value=1.0)
    model = Roofline(gpu, load_model("qwen3.5-397b-a17b"), layout, load_serving("sglang"))
    cached = round(concurrency * (prompt + answer / 2))
    decode = model.cost([], concurrency, cached)
    prefill = model.cost([Chunk(prompt, 0)], concurrency - 1, cached)
    # In the steady state a prompt comes in with every answer that ends. The 90th percentile over
    # time is that of steps with a prompt, once these take more than a tenth of it.
    decodes = answer / concurrency
    share = prefill.seconds / (prefill.seconds + decodes * decode.seconds)
    steps = (
        prefill if share > 0.1 else [a * decodes + b for a, b in zip(decode, prefill, strict=True)]
    )
    seconds, busy_s, flops, hbm_bytes = steps[:4]
    dram = hbm_bytes / seconds / (gpu.hbm_tb_s * 1e12)
    tensor = flops / seconds / ((gpu.tflops("fp8") or 0) * 1e12)
    predicted_w = power_w(gpu, busy_s / seconds, dram, tensor)
    assert abs(predicted_w - measured_w) <= 0.15 * gpu.tdp_w
