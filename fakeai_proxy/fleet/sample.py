"""What monitoring reads from one GPU at one instant, in units that the names tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fakeai_proxy.fleet.board import Board, Load, Recent
from fakeai_proxy.fleet.devices import Device
from fakeai_proxy.fleet.faults import Counters
from fakeai_proxy.profiles.gpu import Gpu

#: Bits of NVML's clock event reasons.
REASON_IDLE = 0x1
REASON_POWER_CAP = 0x4
REASON_HARDWARE = 0x8
REASON_THERMAL = 0x20
REASON_HARDWARE_THERMAL = 0x40


@dataclass(frozen=True, slots=True)
class Sample:
    gpu: Gpu
    device: Device
    lost: bool
    busy: float
    sm_active: float
    sm_occupancy: float
    tensor_active: float
    dram_active: float
    power_w: float
    limit_w: float
    energy_j: float
    temperature_c: float
    memory_temperature_c: float
    operating_max_c: float
    sm_clock_mhz: int
    memory_clock_mhz: int
    fb_used_mib: int
    fb_free_mib: int
    fb_reserved_mib: int
    link_tx_bytes_s: float
    link_rx_bytes_s: float
    link_total_bytes: float
    pcie_tx_bytes_s: float
    pcie_rx_bytes_s: float
    reasons: int
    power_violation_s: float
    thermal_violation_s: float
    xid: int
    #: Codes of the recent past, each with how often.
    xids: tuple[tuple[int, int], ...]
    counters: Counters
    recent: tuple[Recent, ...]


def percentile(recent: Sequence[Recent], field: str, share: float) -> float:
    """Over time: half a minute of idling counts as much as thirty busy seconds."""
    ranked = sorted((getattr(entry, field), entry.seconds) for entry in recent)
    due = share * sum(seconds for _, seconds in ranked)
    for value, seconds in ranked:
        due -= seconds
        if due <= 0:
            return float(value)
    return float(ranked[-1][0])


def reasons(board: Board, idle: bool) -> int:
    if idle:
        return REASON_IDLE
    bits = REASON_POWER_CAP * board.capped | REASON_THERMAL * board.hot
    if board.hardware_slowdown:
        bits |= REASON_HARDWARE | REASON_HARDWARE_THERMAL
    return bits


def occupancy(load: Load) -> float:
    """Warps on the busy multiprocessors: few and fat in decode attention, more in big products
    (L: 0.15 to 0.45 of SM_ACTIVE, as profiles of vLLM show)."""
    return load.sm * (0.15 + 0.3 * min(1.0, load.tensor))
