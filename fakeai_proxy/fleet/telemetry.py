"""What the GPUs of one worker show: recorded step by step, rolled up window by window when someone
looks or the next step comes. Idle time costs nothing, however long. Knows no clock and no engine.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from math import floor
from typing import Literal

from fakeai_proxy.fleet.board import ACTIVE_MAX, Board, Load
from fakeai_proxy.fleet.cost import Cost
from fakeai_proxy.fleet.devices import Device
from fakeai_proxy.fleet.faults import Counters, Fault
from fakeai_proxy.fleet.framebuffer import FrameBuffer
from fakeai_proxy.fleet.power import OPERATING_MAX_C
from fakeai_proxy.fleet.sample import Sample, occupancy, reasons
from fakeai_proxy.fleet.step import Step
from fakeai_proxy.profiles.gpu import Gpu

#: DCGM's sampling period.
WINDOW_S = 1.0
#: How long clocks stay up after the last work.
CLOCKS_UP_S = 10.0
#: Share of multiprocessors at work while a kernel runs: a decode batch fills fewer (L: 0.6 to 0.8
#: in decode, 0.9 to 0.97 in prefill).
_SM_LEAST, _SM_BATCH = 0.55, 0.4
#: A step's input over PCIe: ids, positions and slots of its tokens (4 + 8 + 8 bytes, padded), and
#: launches; back come sampled ids.
_RX_TOKEN_BYTES, _RX_STEP_BYTES = 32.0, 4096.0
_TX_TOKEN_BYTES, _TX_STEP_BYTES = 8.0, 1024.0
#: The window over which the exporter counts XIDs.
XID_WINDOW_S = 300.0


class Telemetry:
    """`tflops` are those of the precision that matrices are multiplied in. `slowdown` is what the
    worker multiplies the GPU's part of its next step by (`stretched`)."""

    def __init__(
        self,
        gpu: Gpu,
        devices: Sequence[Device],
        framebuffer: FrameBuffer,
        tflops: float | None = None,
        started_at: float = 0.0,
        window_s: float = WINDOW_S,
    ) -> None:
        self.gpu = gpu
        self.boards = [Board(gpu, device) for device in devices]
        self.framebuffer = framebuffer
        self.slowdown = 1.0
        self._flops_s = (tflops or gpu.bf16_tflops) * 1e12
        self._hbm_bytes_s = gpu.hbm_tb_s * 1e12
        self._full_batch = max(1.0, gpu.efficiency.half_tokens)
        self._over_nvlink = gpu.nvlink_gb_s > 0
        self._born_at = started_at
        self._loaded_at: float | None = started_at
        self._worked_at = float("-inf")
        self._window_s = window_s
        self._load = Load()
        self._link_total_bytes = 0.0
        self._open(0)

    @property
    def dead(self) -> bool:
        """Nothing can be computed here until what was injected is cleared."""
        return any(board.dead for board in self.boards)

    @property
    def faults(self) -> list[Fault]:
        return list(dict.fromkeys(fault for board in self.boards for fault in board.faults))

    def stretched(self, cost: Cost) -> Cost:
        """The step at the clock that power and heat allow."""
        extra_s = (self.slowdown - 1.0) * cost.busy_s
        return cost._replace(seconds=cost.seconds + extra_s, busy_s=cost.busy_s + extra_s)

    def record(self, ended_at: float, cost: Cost, tokens: int) -> None:
        """One step, as it was or, said at its beginning, as it will be; in order of time."""
        if ended_at > self._closes_at:
            self._spread(ended_at, cost, tokens)
            return
        _, busy_s, flops, hbm_bytes, link_bytes = cost
        full = self._full_batch
        self._busy_s += busy_s
        self._filled_s += busy_s if tokens >= full else busy_s * tokens / full
        self._flops += flops
        self._hbm_bytes += hbm_bytes
        self._link_bytes += link_bytes
        self._tokens += tokens
        self._steps += 1
        self._worked_at = ended_at

    def stepped(self, step: Step) -> None:
        """One step of an engine that takes `slowdown` into account; its cost is without."""
        cost, seconds = step.cost, step.ended_at - step.began_at
        busy_s = min(seconds, cost.busy_s * self.slowdown)
        self.record(
            step.ended_at,
            Cost(seconds, busy_s, cost.flops, cost.hbm_bytes, cost.link_bytes),
            step.prompt_tokens + step.decodes,
        )

    def transfer(
        self, at: float, tx_bytes: float, rx_bytes: float, over: Literal["nvlink", "pcie"]
    ) -> None:
        """Of each GPU, beside the steps: KV blocks to or from another worker or the host."""
        self._roll(at)
        if over == "nvlink":
            self._moved_tx += tx_bytes
            self._moved_rx += rx_bytes
        else:
            self._pcie_tx += tx_bytes
            self._pcie_rx += rx_bytes

    def load(self, now: float) -> None:
        """The engine starts: its memory fills."""
        self._loaded_at = now

    def unload(self) -> None:
        """The engine's process is gone."""
        self._loaded_at = None

    def inject(self, fault: Fault, now: float) -> None:
        """Once: a fault that is there already changes nothing. Raises ValueError where the worker
        has no such GPU."""
        boards = self._boards(fault)
        self._roll(now)
        for board in boards:
            board.inject(fault, now)

    def clear(self, now: float, fault: Fault | None = None) -> None:
        """One fault, or all; what was counted stays."""
        self._roll(now)
        for board in self.boards:
            if fault is None:
                board.faults.clear()
            else:
                board.faults.pop(fault, None)

    def sample(self, now: float) -> list[Sample]:
        """Of each GPU, as of the last full window. Looking changes nothing."""
        view = self._ahead(now)
        load, gpu = view._load, self.gpu
        age_s = None if self._loaded_at is None else max(0.0, now - self._loaded_at)
        loading = 0.0
        if age_s is not None:
            before = age_s - self._window_s
            loading = self.framebuffer.loaded_bytes(before, age_s) / self._window_s
        idle = now - self._worked_at > CLOCKS_UP_S
        samples = []
        for board in view.boards:
            heat, ratio = board.heat, board.ratio
            clock_mhz = gpu.sm_clock_idle_mhz if idle else round(gpu.sm_clock_max_mhz * ratio)
            counted = Counter(code for at, code in board.xids if now - at < XID_WINDOW_S)
            samples.append(
                Sample(
                    gpu=gpu,
                    device=board.device,
                    lost=board.lost,
                    busy=load.busy,
                    sm_active=load.sm,
                    sm_occupancy=occupancy(load),
                    tensor_active=min(ACTIVE_MAX, load.tensor / ratio),
                    dram_active=load.dram,
                    power_w=heat.power_w,
                    limit_w=board.limit_w,
                    energy_j=heat.energy_j,
                    temperature_c=heat.temperature_c,
                    memory_temperature_c=heat.temperature_c + board.memory_above_c,
                    operating_max_c=OPERATING_MAX_C,
                    sm_clock_mhz=clock_mhz,
                    memory_clock_mhz=gpu.memory_clock_mhz,
                    fb_used_mib=self.framebuffer.used_mib(age_s),
                    fb_free_mib=self.framebuffer.free_mib(age_s),
                    fb_reserved_mib=self.framebuffer.reserved_mib,
                    link_tx_bytes_s=load.link_tx,
                    link_rx_bytes_s=load.link_rx,
                    link_total_bytes=view._link_total_bytes,
                    pcie_tx_bytes_s=load.pcie_tx,
                    pcie_rx_bytes_s=load.pcie_rx + loading,
                    reasons=reasons(board, idle),
                    power_violation_s=board.power_violation_s,
                    thermal_violation_s=board.thermal_violation_s,
                    xid=board.xid,
                    xids=tuple(sorted(counted.items())),
                    counters=Counters(**vars(board.counters)),
                    recent=tuple(board.recent),
                )
            )
        return samples

    def _boards(self, fault: Fault) -> list[Board]:
        if fault.gpu is None:
            return self.boards
        if not 0 <= fault.gpu < len(self.boards):
            raise ValueError(f"gpu {fault.gpu}: the worker has {len(self.boards)}")
        return [self.boards[fault.gpu]]

    def _ahead(self, now: float) -> Telemetry:
        """As it is at `now` if nothing more is recorded. A copy: a step that is under way may yet
        be recorded for a window that has passed."""
        if now < self._closes_at:
            return self
        view = copy.copy(self)
        view.boards = [board.clone() for board in self.boards]
        view._roll(now)
        return view

    def _open(self, window: int) -> None:
        self._window = window
        self._opened_at = self._born_at + window * self._window_s
        self._closes_at = self._born_at + (window + 1) * self._window_s
        self._busy_s = self._filled_s = self._flops = self._hbm_bytes = self._link_bytes = 0.0
        self._moved_tx = self._moved_rx = self._pcie_tx = self._pcie_rx = 0.0
        self._tokens = self._steps = 0.0

    def _roll(self, now: float) -> None:
        """Up to the window that `now` is in."""
        if now < self._closes_at:
            return
        self._close()
        idle = floor((now - self._opened_at) / self._window_s)
        if idle > 0:
            self._pass(Load(), idle)

    def _close(self) -> None:
        span_s = self._window_s
        busy = min(1.0, self._busy_s / span_s)
        filled = min(busy, self._filled_s / span_s)
        nvlink, pcie = (self._link_bytes, 0.0) if self._over_nvlink else (0.0, self._link_bytes)
        tx = self._tokens * _TX_TOKEN_BYTES + self._steps * _TX_STEP_BYTES
        rx = self._tokens * _RX_TOKEN_BYTES + self._steps * _RX_STEP_BYTES
        load = Load(
            busy,
            _SM_LEAST * busy + _SM_BATCH * filled,
            min(ACTIVE_MAX, self._flops / (self._flops_s * span_s)),
            min(ACTIVE_MAX, self._hbm_bytes / (self._hbm_bytes_s * span_s)),
            (nvlink + self._moved_tx) / span_s,
            (nvlink + self._moved_rx) / span_s,
            (pcie + tx + self._pcie_tx) / span_s,
            (pcie + rx + self._pcie_rx) / span_s,
        )
        self._link_total_bytes += 2 * nvlink + self._moved_tx + self._moved_rx
        self._pass(load, 1)

    def _pass(self, load: Load, windows: int) -> None:
        for board in self.boards:
            board.settle(windows * self._window_s, load)
        self._load = load
        self.slowdown = max(board.slowdown(load) for board in self.boards)
        self._open(self._window + windows)

    def _spread(self, ended_at: float, cost: Cost, tokens: int) -> None:
        """A step over the windows it touches, in proportion."""
        self._roll(ended_at - cost.seconds)
        since = max(ended_at - cost.seconds, self._opened_at)
        whole_s = ended_at - since
        while ended_at > self._closes_at:
            share = (self._closes_at - since) / whole_s
            self._add(share, cost, tokens)
            since = self._closes_at
            self._close()
        self._add((ended_at - since) / whole_s if whole_s > 0 else 1.0, cost, tokens)
        self._worked_at = ended_at

    def _add(self, share: float, cost: Cost, tokens: int) -> None:
        self._busy_s += share * cost.busy_s
        self._filled_s += share * cost.busy_s * min(1.0, tokens / self._full_batch)
        self._flops += share * cost.flops
        self._hbm_bytes += share * cost.hbm_bytes
        self._link_bytes += share * cost.link_bytes
        self._tokens += share * tokens
        self._steps += share
