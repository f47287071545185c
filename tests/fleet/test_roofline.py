"""The closed form against known values and against what must hold whatever the constants."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.fleet.cost import Chunk
from fakeai_proxy.fleet.roofline import Layout, Memory, Roofline
from fakeai_proxy.profiles.architecture import load_model
from fakeai_proxy.profiles.gpu import gpu_names, load_gpu
from fakeai_proxy.profiles.serving import load_serving

MODELS = ("llama-3.1-8b", "gpt-oss-120b", "deepseek-v3", "qwen3.5-397b-a17b")


def roofline(
    gpu: str = "h100",
    model: str = "llama-3.1-8b",
    *,
    memory: Memory | None = None,
    **layout: object,
) -> Roofline:
    shape = load_model(model)
    given = {"quantization": shape.quantization, **layout}
    return Roofline(
        load_gpu(gpu),
        shape,
        Layout(**given),
        load_serving("vllm"),
        memory,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("model", "kv_bytes"),
    [
        ("llama-3.1-8b", 131_072),
        ("llama-3.1-70b", 327_680),
        ("qwen3-32b", 262_144),
        ("deepseek-v3", 61 * 576 * 2),
    ],
)
def test_the_kv_cache_of_a_token_has_the_known_size(model: str, kv_bytes: int) -> None:
    assert load_model(model).kv_bytes_per_token() == kv_bytes
    assert roofline(model=model).kv_bytes_per_token == kv_bytes


@pytest.mark.parametrize(
    ("model", "billions", "active"),
    [
        ("llama-3.1-8b", 8.03, 7.5),
        ("llama-3.1-70b", 70.55, 69.5),
        ("llama-3.1-405b", 405.9, 403.8),
        ("qwen3-32b", 32.76, 32.0),
        ("qwen3-30b-a3b", 30.53, 3.0),
        ("qwen3-235b-a22b", 235.1, 21.5),
        ("gpt-oss-120b", 116.8, 5.1),
        ("gpt-oss-20b", 20.9, 3.6),
        ("deepseek-v3", 671.0, 36.6),
        ("mixtral-8x7b", 46.7, 12.8),
        ("minimax-m2", 228.7, 10.4),
    ],
)
def test_a_model_has_as_many_parameters_as_its_card_says(
    model: str, billions: float, active: float
) -> None:
    shape = load_model(model)
    assert shape.parameters / 1e9 == pytest.approx(billions, rel=0.003)
    assert shape.active_parameters / 1e9 == pytest.approx(active, rel=0.02)


def test_a_model_is_found_by_the_names_of_hubs() -> None:
    assert load_model("meta-llama/Llama-3.1-8B-Instruct").name == "llama-3.1-8b"
    assert load_model("MiniMaxAI/MiniMax-M2.5").name == "minimax-m2"


def test_a_24_gb_card_holds_as_many_tokens_as_vllm_logged() -> None:
    # RTX 4090, Llama 3.1 8B in bf16, utilisation 0.9: vLLM logged 2,588 blocks of 16 tokens.
    card = load_gpu("l4").model_copy(update={"hbm_mib": 24_564})
    memory = Memory(step_tokens=2048)
    worker = Roofline(card, load_model("llama-3.1-8b"), Layout(), load_serving("vllm"), memory)
    assert worker.kv_capacity_tokens == pytest.approx(41_408, rel=0.02)


def test_an_override_decides_the_blocks() -> None:
    assert roofline(memory=Memory(blocks=100, block_tokens=32)).kv_capacity_tokens == 3200


def test_weights_that_do_not_fit_are_an_error_that_says_how_much_they_need() -> None:
    with pytest.raises(ConfigError, match=r"needs \d+ GiB on each of 1 h100"):
        roofline(model="llama-3.1-70b").kv_capacity_tokens  # noqa: B018 - the property raises


def test_a_lone_decode_is_bound_by_the_weights() -> None:
    worker = roofline(model="llama-3.1-70b", tp=4)
    cost = worker.cost((), 1, 1000)
    assert cost.hbm_bytes == pytest.approx((70.55e9 - 1.05e9) * 2 / 4, rel=0.01)
    assert cost.seconds > cost.hbm_bytes / 3.35e12
    assert cost.busy_s < cost.seconds


def test_a_long_prompt_is_bound_by_the_products() -> None:
    worker = roofline(model="llama-3.1-70b", tp=4)
    cost = worker.cost((Chunk(8192, 0),), 0, 0)
    assert cost.flops == pytest.approx(2 * 69.5e9 * 8192 / 4, rel=0.1)
    assert 0.4 < cost.flops / (989e12 * cost.busy_s) < 0.9


def test_tensor_parallelism_moves_bytes_and_one_gpu_moves_none() -> None:
    assert roofline().cost((), 8, 8000).link_bytes == 0
    per_step = 2 * 32 * 2 * (2 - 1) / 2 * 8 * 4096 * 2
    assert roofline(tp=2).cost((), 8, 8000).link_bytes == pytest.approx(per_step)


def test_a_window_caps_what_a_layer_reads() -> None:
    worker = roofline(model="gpt-oss-120b")
    short, long = worker.cost((), 1, 100).hbm_bytes, worker.cost((), 1, 10_100).hbm_bytes
    full_layers_bytes = 18 * 2 * 8 * 64 * 2
    assert long - short == pytest.approx(full_layers_bytes * (10_000 + 28))


def test_a_batch_touches_more_experts_up_to_all() -> None:
    worker = roofline(model="qwen3-30b-a3b")
    one, many = worker.cost((), 1, 0).hbm_bytes, worker.cost((), 512, 0).hbm_bytes
    experts = load_model("qwen3-30b-a3b").expert_bytes("bf16")
    assert many - one == pytest.approx(experts * (1 - 8 / 128), rel=0.01)


def test_latent_caches_are_not_split_by_tensor_parallelism() -> None:
    def per_token(**layout: int) -> float:
        worker = roofline("h200", "deepseek-v3", **layout)
        return worker.cost((), 1, 1001).hbm_bytes - worker.cost((), 1, 1).hbm_bytes

    assert per_token(tp=8) == pytest.approx(70_272 * 1000)
    assert per_token(tp=1, attention_dp=8) == pytest.approx(70_272 * 1000 / 8)


@settings(max_examples=60)
@given(
    gpu=st.sampled_from(gpu_names()),
    model=st.sampled_from(MODELS),
    tp=st.sampled_from((1, 2, 4, 8)),
    decodes=st.integers(0, 300),
    context=st.integers(0, 30_000),
    chunk=st.integers(0, 8192),
    before=st.integers(0, 30_000),
)
def test_more_work_never_takes_less_time(
    gpu: str, model: str, tp: int, decodes: int, context: int, chunk: int, before: int
) -> None:
    worker = roofline(gpu, model, tp=tp)
    chunks = (Chunk(chunk, before),) if chunk else ()
    base = worker.cost(chunks, decodes, decodes * context)
    assert 0 < base.busy_s <= base.seconds
    for more in (
        worker.cost((*chunks, Chunk(16, 0)), decodes, decodes * context),
        worker.cost(chunks, decodes + 1, (decodes + 1) * context),
        worker.cost(chunks, decodes, decodes * context + 100),
    ):
        assert all(now >= then for now, then in zip(more, base, strict=True))


def test_a_scale_multiplies_what_the_gpu_takes() -> None:
    slow = Roofline(
        load_gpu("h100"),
        load_model("llama-3.1-8b"),
        Layout(),
        load_serving("vllm"),
        calibration_scale=1.5,
    )
    quick = roofline()
    assert slow.cost((), 4, 400).busy_s == pytest.approx(1.5 * quick.cost((), 4, 400).busy_s)


def test_a_step_outside_of_cuda_graphs_waits_for_its_launches() -> None:
    serving = load_serving("vllm").model_copy(update={"launch_us": 100_000.0})
    shape = load_model("llama-3.1-8b")
    slow = Roofline(load_gpu("h100"), shape, Layout(), serving)
    usual = roofline()
    assert slow.cost([Chunk(512, 0)], 0, 0) == usual.cost([Chunk(512, 0)], 0, 0)
    long = slow.cost([Chunk(513, 0)], 0, 0)
    assert long.seconds >= shape.layers * 0.1
    assert long.busy_s == usual.cost([Chunk(513, 0)], 0, 0).busy_s
    assert slow.cost((), 600, 600) == usual.cost((), 600, 600)


def test_switches_that_add_send_less_than_a_ring() -> None:
    per_token = 4 * 2 * 32 * 4096  # two all-reduces in each of 32 layers, of 16 bits
    ring = 2 * 7 / 8
    assert roofline("h100", tp=8).cost((), 1, 0).link_bytes == per_token / 2 * (1 + 1 / 8)
    assert roofline("a100", tp=8).cost((), 1, 0).link_bytes == per_token / 2 * ring


def test_a_decode_steps_cost_does_not_depend_on_what_was_asked_before() -> None:
    asked = roofline(model="gpt-oss-120b")
    for decodes, kv_tokens in ((4, 100), (4, 900_000), (9, 0), (4, 100)):
        again = roofline(model="gpt-oss-120b").cost((), decodes, kv_tokens)
        assert asked.cost((), decodes, kv_tokens) == pytest.approx(again)
