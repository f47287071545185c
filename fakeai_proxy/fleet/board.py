"""One GPU's own state: power, heat, clock, what is injected into it and what its driver counts."""

from __future__ import annotations

import copy
from collections import deque
from typing import NamedTuple

from fakeai_proxy.fleet.devices import Device
from fakeai_proxy.fleet.faults import Counters, Ecc, Fault, PowerCap, Thermal, Xid
from fakeai_proxy.fleet.power import (
    AMBIENT_C,
    LOADED_C,
    SLOWDOWN_C,
    Heat,
    clock_ratio,
    demand,
    thermal_ratio,
)
from fakeai_proxy.profiles.gpu import Gpu

#: No counter of activity reaches its ceiling in practice.
ACTIVE_MAX = 0.95
#: Boards of one kind differ that much in power and in cooling (L; spread on HGX baseboards).
_POWER_SPREAD = 0.02
_COOLING_SPREAD = 0.05
_RECENT = 60
_XIDS_MAX = 256


class Load(NamedTuple):
    """Of each GPU of a worker over a window, as shares of it and in bytes per second. `tensor` is
    the share at the highest clock; at a lower one the same work keeps the cores busy for longer."""

    busy: float = 0.0
    sm: float = 0.0
    tensor: float = 0.0
    dram: float = 0.0
    link_tx: float = 0.0
    link_rx: float = 0.0
    pcie_tx: float = 0.0
    pcie_rx: float = 0.0


class Recent(NamedTuple):
    seconds: float
    power_w: float
    temperature_c: float


class Board:
    def __init__(self, gpu: Gpu, device: Device) -> None:
        self.gpu = gpu
        self.device = device
        digits = int(device.uuid.replace("-", "")[3:11], 16)
        self._power_factor = 1.0 + _POWER_SPREAD * ((digits & 0xFFFF) / 32767.5 - 1.0)
        cooling = 1.0 + _COOLING_SPREAD * ((digits >> 16) / 32767.5 - 1.0)
        self._kelvin_per_w = cooling * (LOADED_C - AMBIENT_C) / gpu.tdp_w
        #: Between the die and the memory beside it.
        self.memory_above_c = 6 + digits % 5
        self.faults: dict[Fault, float] = {}
        self.counters = Counters()
        self.xids: deque[tuple[float, int]] = deque(maxlen=_XIDS_MAX)
        idle_w = gpu.idle_w * self._power_factor
        self.heat = Heat(idle_w, AMBIENT_C + self._kelvin_per_w * idle_w)
        self.recent: deque[Recent] = deque(maxlen=_RECENT)
        self.ratio = 1.0
        self.capped = self.hot = False
        self.power_violation_s = self.thermal_violation_s = 0.0

    def clone(self) -> Board:
        """To look ahead with; shares what only an injection changes."""
        other = copy.copy(self)
        other.recent = self.recent.copy()
        return other

    @property
    def limit_w(self) -> float:
        caps = [fault.limit_w for fault in self.faults if isinstance(fault, PowerCap)]
        # A board takes no limit that it cannot keep when idle.
        return max(min([self.gpu.tdp_w, *caps]), self.gpu.idle_w * (1 + 2 * _POWER_SPREAD))

    @property
    def xid(self) -> int:
        """The last one that is not cleared; 0 without."""
        codes = [code for fault in self.faults if (code := _code(fault))]
        return codes[-1] if codes else 0

    @property
    def dead(self) -> bool:
        return any(
            fault.kind.kills if isinstance(fault, Xid) else _code(fault) for fault in self.faults
        )

    @property
    def lost(self) -> bool:
        return any(isinstance(fault, Xid) and fault.kind.lost for fault in self.faults)

    @property
    def hardware_slowdown(self) -> bool:
        return self.heat.temperature_c >= SLOWDOWN_C

    def inject(self, fault: Fault, now: float) -> None:
        """Once: a fault that is there already changes nothing."""
        if fault in self.faults:
            return
        self.faults[fault] = now
        counters = self.counters
        if code := _code(fault):
            self.xids.append((now, code))
        if isinstance(fault, Xid):
            for name in fault.kind.counts:
                setattr(counters, name, getattr(counters, name) + 1)
        elif isinstance(fault, Ecc) and fault.kind == "sbe":
            counters.ecc_sbe += fault.count
        elif isinstance(fault, Ecc):
            counters.ecc_dbe += fault.count
            counters.remapped_uncorrectable += fault.count

    def settle(self, seconds: float, load: Load) -> None:
        """Lets so much time pass under this load."""
        gpu, ratio = self.gpu, self.ratio
        tensor = min(ACTIVE_MAX, load.tensor / ratio)
        wanted = demand(gpu.power, load.busy, load.dram, tensor)
        idle_w = gpu.idle_w * self._power_factor
        span_w = (gpu.tdp_w - gpu.idle_w) * self._power_factor
        limit_w, ambient_c, resistance = gpu.tdp_w, AMBIENT_C, 1.0
        if self.faults:
            limit_w, ambient_c, resistance = self._injected()
        target_w = min(limit_w, idle_w + span_w * wanted * ratio**3)
        self.heat = heat = self.heat.after(
            seconds, target_w, ambient_c, self._kelvin_per_w * resistance
        )
        if load.busy:
            self.power_violation_s += seconds * self.capped
            self.thermal_violation_s += seconds * self.hot
        allowed = (limit_w - idle_w) / span_w
        self.capped = wanted > allowed
        self.hot = thermal_ratio(heat.temperature_c) < 1.0
        self.ratio = clock_ratio(allowed, wanted, heat.temperature_c)
        self.recent.append(Recent(seconds, heat.power_w, heat.temperature_c))

    def slowdown(self, load: Load) -> float:
        """By how much GPU work takes longer than at the highest clock: what waits for memory does
        not notice the clock of the cores."""
        if self.ratio >= 1.0:
            return 1.0
        memory = load.dram / (self.gpu.efficiency.weights * load.busy) if load.busy else 0.0
        return 1.0 + (1.0 / self.ratio - 1.0) * (1.0 - min(1.0, memory))

    def _injected(self) -> tuple[float, float, float]:
        ambient_c, resistance = AMBIENT_C, 1.0
        for fault in self.faults:
            if isinstance(fault, Thermal):
                resistance *= fault.resistance
                if fault.ambient_c is not None:
                    ambient_c = max(ambient_c, fault.ambient_c)
        return self.limit_w, ambient_c, resistance


def _code(fault: Fault) -> int:
    if isinstance(fault, Xid):
        return fault.code
    return 48 if isinstance(fault, Ecc) and fault.kind == "dbe" else 0
