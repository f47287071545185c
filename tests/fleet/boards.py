"""Workers on shipped GPUs and steps for them, for the tests of telemetry."""

from __future__ import annotations

from typing import Any

from fakeai_proxy.dice import Dice
from fakeai_proxy.fleet.cost import Cost
from fakeai_proxy.fleet.devices import Nodes
from fakeai_proxy.fleet.framebuffer import FrameBuffer
from fakeai_proxy.fleet.telemetry import Telemetry
from fakeai_proxy.profiles.gpu import Gpu, load_gpu

A100, H100, H200, B200, L4, MI300X = (
    load_gpu(name) for name in ("a100", "h100", "h200", "b200", "l4", "mi300x")
)


def worker(kind: Gpu = H100, tp: int = 1, number: int = 0, **settings: Any) -> Telemetry:
    """The `number`th of a fleet of such workers."""
    nodes = Nodes(Dice(7))
    devices = [nodes.take(kind, tp) for _ in range(number + 1)][number]
    buffer = settings.pop("framebuffer", None) or FrameBuffer(kind, 16_000, shared=tp > 1)
    return Telemetry(kind, devices, buffer, **settings)


def step(
    seconds: float,
    kind: Gpu = H100,
    busy: float = 1.0,
    dram: float = 0.0,
    tensor: float = 0.0,
    link_bytes: float = 0.0,
) -> Cost:
    """A step that keeps the GPU so active while it lasts, at the highest clock."""
    return Cost(
        seconds,
        busy * seconds,
        tensor * kind.bf16_tflops * 1e12 * seconds,
        dram * kind.hbm_tb_s * 1e12 * seconds,
        link_bytes,
    )


def work(telemetry: Telemetry, since: float, until: float, cost: Cost, tokens: int = 64) -> None:
    """The same step again and again, at the clock that the worker has."""
    now = since
    while now < until:
        stretched = telemetry.stretched(cost)
        now += stretched.seconds
        telemetry.record(now, stretched, tokens)
