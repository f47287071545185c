"""A GPU built by hand and workers of it, for the tests of telemetry."""

from __future__ import annotations

from typing import Any

from fakeai_proxy.dice import Dice
from fakeai_proxy.fleet.cost import Cost
from fakeai_proxy.fleet.devices import place
from fakeai_proxy.fleet.framebuffer import FrameBuffer
from fakeai_proxy.fleet.telemetry import Telemetry
from fakeai_proxy.profiles.gpu import Efficiency, Gpu, Power

_AMPERE = Power(busy=0.24, memory=0.55, tensor_on=0.48, tensor=0.40)
_BLACKWELL = Power(busy=0.18, memory=0.33, tensor_on=0.55, tensor=0.40)


def gpu(**changes: Any) -> Gpu:
    fields: dict[str, Any] = {
        "name": "h100",
        "description": "An H100 SXM.",
        "estimated": False,
        "device_name": "NVIDIA H100 80GB HBM3",
        "architecture": "hopper",
        "hbm_mib": 81559,
        "hbm_tb_s": 3.35,
        "bf16_tflops": 989.0,
        "fp8_tflops": 1978.0,
        "nvlink_gb_s": 450.0,
        "pcie_gb_s": 64.0,
        "tdp_w": 700.0,
        "idle_w": 70.0,
        "sm_clock_max_mhz": 1980,
        "sm_clock_idle_mhz": 345,
        "memory_clock_mhz": 2619,
        "efficiency": Efficiency(
            weights=0.9, compute=0.785, attention=0.463, kv=0.93, link=0.6, layer_us=49,
            link_latency_us=0, half_tokens=140,
        ),
        "power": _AMPERE,
        **changes,
    }  # fmt: skip
    return Gpu(sources=dict.fromkeys(fields, "vendor's sheet"), **fields)


H100 = gpu()
A100 = gpu(
    name="a100", device_name="NVIDIA A100-SXM4-80GB", architecture="ampere", hbm_mib=81920,
    hbm_tb_s=2.039, bf16_tflops=312.0, fp8_tflops=None, nvlink_gb_s=300.0, tdp_w=400.0,
    idle_w=55.0, sm_clock_max_mhz=1410, sm_clock_idle_mhz=210, memory_clock_mhz=1593,
    efficiency=Efficiency(
        weights=0.769, compute=0.846, attention=0.56, kv=0.739, link=0.42, layer_us=60.3,
        link_latency_us=4.7, half_tokens=84,
    ),
)  # fmt: skip
B200 = gpu(
    name="b200", device_name="NVIDIA B200", architecture="blackwell", hbm_mib=183359, hbm_tb_s=7.7,
    bf16_tflops=2250.0, fp8_tflops=4500.0, tdp_w=1000.0, idle_w=140.0, power=_BLACKWELL,
)  # fmt: skip
H200 = gpu(name="h200", device_name="NVIDIA H200", hbm_mib=143771, hbm_tb_s=4.8, idle_w=75.0)
GB200 = gpu(
    name="gb200", device_name="NVIDIA GB200", architecture="blackwell", hbm_mib=189471,
    hbm_tb_s=8.0, bf16_tflops=2500.0, fp8_tflops=5000.0, tdp_w=1200.0, idle_w=160.0,
    power=_BLACKWELL,
)  # fmt: skip
MI300X = gpu(name="mi300x", device_name="AMD Instinct MI300X", architecture="cdna3", idle_w=150.0)
L4 = gpu(name="l4", device_name="NVIDIA L4", nvlink_gb_s=0.0, tdp_w=72.0, idle_w=16.0)


def worker(kind: Gpu = H100, tp: int = 1, number: int = 0, **settings: Any) -> Telemetry:
    """The `number`th of a fleet of such workers."""
    devices = place(Dice(7), [(kind, tp)] * (number + 1))[number]
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
