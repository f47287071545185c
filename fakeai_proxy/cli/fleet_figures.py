"""What a fleet amounts to, from its step models: room, speed and power of each pool's workers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fakeai_proxy.fleet.cost import Chunk, Cost
from fakeai_proxy.fleet.power import power_w
from fakeai_proxy.fleet.step_model import step_model
from fakeai_proxy.profiles.architecture import load_model
from fakeai_proxy.profiles.fleet import FleetProfile, Pool
from fakeai_proxy.profiles.gpu import Gpu, load_gpu

#: Prompts whose first token is told, and the context that streams are told at.
PROMPTS = (1_000, 8_000)
CONTEXT_TOKENS = 1_000


@dataclass(frozen=True)
class PoolFigures:
    """Of one worker. `full` is as many streams as its limits and its KV cache allow."""

    pool: Pool
    gpu: Gpu
    kv_tokens: int
    kv_bytes_per_token: float
    gap_ms: float
    full_streams: int
    full_gap_ms: float
    ttft_ms: tuple[float, ...]
    power_alone_w: float
    power_full_w: float

    @property
    def tokens_per_s(self) -> float:
        return 1000 / self.gap_ms

    @property
    def full_tokens_per_s(self) -> float:
        return 1000 / self.full_gap_ms * self.full_streams


def pool_figures(profile: FleetProfile, pool: Pool) -> PoolFigures:
    """Raises ConfigError where model and GPU do not go together."""
    model, gpu = step_model(pool, profile.server), load_gpu(pool.gpu)
    kv_tokens = model.kv_capacity_tokens
    if pool.num_gpu_blocks:
        kv_tokens = pool.num_gpu_blocks * pool.engine.block_size
    alone = model.cost([], 1, CONTEXT_TOKENS)
    streams = max(1, min(pool.engine.max_num_seqs, kv_tokens // CONTEXT_TOKENS))
    full = model.cost([], streams, streams * CONTEXT_TOKENS)
    most = pool.engine.max_num_batched_tokens

    def ttft_ms(prompt: int) -> float:
        starts = range(0, prompt, most)
        steps = [model.cost([Chunk(min(most, prompt - at), at)], 0, 0).seconds for at in starts]
        return (profile.frontend.latency_s(prompt) + sum(steps)) * 1000

    return PoolFigures(
        pool=pool,
        gpu=gpu,
        kv_tokens=kv_tokens,
        kv_bytes_per_token=model.kv_bytes_per_token,
        gap_ms=alone.seconds * 1000,
        full_streams=streams,
        full_gap_ms=full.seconds * 1000,
        ttft_ms=tuple(ttft_ms(prompt) for prompt in PROMPTS),
        power_alone_w=_power_w(gpu, pool, alone),
        power_full_w=_power_w(gpu, pool, full),
    )


def _power_w(gpu: Gpu, pool: Pool, cost: Cost) -> float:
    """Of all GPUs of one worker that does nothing but such steps."""
    precision = gpu.precision(pool.quantization or load_model(pool.model).quantization)
    flop_s = (gpu.tflops(precision) or gpu.bf16_tflops) * 1e12
    busy = cost.busy_s / cost.seconds
    dram = min(1.0, cost.hbm_bytes / (gpu.hbm_tb_s * 1e12 * cost.seconds))
    tensor = min(1.0, cost.flops / (flop_s * cost.seconds))
    return power_w(gpu, busy, dram, tensor) * pool.gpus


def fleet_figures(profile: FleetProfile) -> Iterator[str]:
    gpus = sum(pool.replicas * pool.gpus for pool in profile.pool)
    yield ""
    yield f"# {gpus} GPUs in {sum(pool.replicas for pool in profile.pool)} workers, by their step models"
    for pool in profile.pool:
        yield "#"
        yield from _pool_lines(pool_figures(profile, pool))


def _pool_lines(figures: PoolFigures) -> Iterator[str]:
    pool, gpu = figures.pool, figures.gpu
    count = f"{pool.replicas} x {pool.gpus} {gpu.device_name}"
    role = "" if pool.role == "both" else f", {pool.role} only"
    gib = figures.kv_tokens * figures.kv_bytes_per_token / 2**30
    blocks = figures.kv_tokens // pool.engine.block_size
    yield f"# {pool.name}: {pool.model} on {count}{role}; each worker"
    yield (
        f"#   KV cache    {figures.kv_tokens:,} tokens in {blocks:,} blocks of "
        f"{pool.engine.block_size} ({gib:.1f} GiB)"
    )
    if pool.role != "prefill":
        yield from _decode_lines(figures)
    if pool.role != "decode":
        firsts = zip(PROMPTS, figures.ttft_ms, strict=True)
        said = ", ".join(f"{ms:.0f} ms for {prompt:,} prompt tokens" for prompt, ms in firsts)
        yield f"#   TTFT        {said}"
    yield (
        f"#   power       {gpu.idle_w * pool.gpus:.0f} W idle, {figures.power_alone_w:.0f} W alone, "
        f"{figures.power_full_w:.0f} W full, of {gpu.tdp_w * pool.gpus:.0f} W"
    )


def _decode_lines(figures: PoolFigures) -> Iterator[str]:
    yield f"#   alone       {figures.tokens_per_s:.0f} tokens/s, one every {figures.gap_ms:.1f} ms"
    yield (
        f"#   full        {figures.full_tokens_per_s:,.0f} tokens/s to {figures.full_streams} streams "
        f"of {CONTEXT_TOKENS:,} tokens, one every {figures.full_gap_ms:.1f} ms"
    )
