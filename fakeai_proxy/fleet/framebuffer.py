"""How much of a GPU's memory is taken: by what the engine allocates at its start, not by what its
cache holds at the moment.
"""

from __future__ import annotations

from dataclasses import dataclass

from fakeai_proxy.profiles.gpu import Gpu

#: CUDA context and captured graphs; NCCL's buffers where several GPUs compute together
#: (vLLM's start-up log and nvidia-smi beside it: 600 to 700 and 350 to 400 MiB).
_CONTEXT_MIB = 650
_NCCL_MIB = 375
#: What the driver keeps for itself (nvidia-smi -q, "Reserved": 500 to 800 MiB, more on big boards).
_RESERVED_SHARE = 0.0068
_RESERVED_MIB = (500, 800)


@dataclass(frozen=True)
class FrameBuffer:
    """`weights_mib` on each GPU are read for `loading_s`, then the pool is set up for `warming_s`."""

    gpu: Gpu
    weights_mib: float
    utilization: float = 0.9
    shared: bool = False
    loading_s: float = 0.0
    warming_s: float = 0.0

    @property
    def reserved_mib(self) -> int:
        low, high = _RESERVED_MIB
        return min(high, max(low, round(_RESERVED_SHARE * self.gpu.hbm_mib)))

    def used_mib(self, age_s: float | None) -> int:
        """So long after the engine began to load; None without an engine."""
        if age_s is None:
            return 0
        overhead = _CONTEXT_MIB + (_NCCL_MIB if self.shared else 0)
        most = self.gpu.hbm_mib - self.reserved_mib
        full = min(most, round(self.utilization * self.gpu.hbm_mib) + overhead)
        loaded = min(full, overhead + self.weights_mib)
        if age_s < self.loading_s:
            return round(overhead + (loaded - overhead) * age_s / self.loading_s)
        if age_s < self.loading_s + self.warming_s:
            share = (age_s - self.loading_s) / self.warming_s
            return round(loaded + (full - loaded) * share)
        return full

    def free_mib(self, age_s: float | None) -> int:
        return self.gpu.hbm_mib - self.reserved_mib - self.used_mib(age_s)

    def loaded_bytes(self, from_s: float, until_s: float) -> float:
        """Of the weights, between two ages."""
        if not self.loading_s:
            return 0.0
        overlap = min(until_s, self.loading_s) - max(from_s, 0.0)
        return max(0.0, overlap) / self.loading_s * self.weights_mib * 2**20
