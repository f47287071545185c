"""From a pool's profile to what its steps cost."""

from __future__ import annotations

from pathlib import Path

from fakeai_proxy.fleet.cost import StepModel
from fakeai_proxy.fleet.roofline import Layout, Memory, Roofline
from fakeai_proxy.profiles.architecture import load_model
from fakeai_proxy.profiles.fleet import Pool
from fakeai_proxy.profiles.gpu import load_gpu
from fakeai_proxy.profiles.serving import Server, serving_of

_KV_BYTES = {"bf16": 2.0, "fp8": 1.0}


def step_model(pool: Pool, server: Server) -> StepModel:
    """Raises ConfigError where the model does not fit on its GPUs."""
    form = _form(pool, server)
    if pool.step_table is None:
        return form
    from fakeai_proxy.fleet.step_table import load_step_table  # brings numpy: 12 MiB

    return load_step_table(Path(pool.step_table), form, pool.calibration_scale)


def _form(pool: Pool, server: Server) -> Roofline:
    model = load_model(pool.model)
    return Roofline(
        load_gpu(pool.gpu),
        model,
        Layout(
            tp=pool.tp,
            attention_dp=pool.attention_dp,
            ep=pool.ep,
            quantization=pool.quantization or model.quantization,
            kv_bytes_per_value=_KV_BYTES[pool.kv_cache_dtype],
        ),
        serving_of(server, pool.serving),
        Memory(
            utilization=pool.gpu_memory_utilization,
            step_tokens=pool.engine.max_num_batched_tokens,
            block_tokens=pool.engine.block_size,
            blocks=pool.num_gpu_blocks,
        ),
        pool.calibration_scale,
    )
