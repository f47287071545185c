"""What dcgm-exporter can show of a GPU: one row a field. Names, types and units are DCGM's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from fakeai_proxy.fleet.faults import UNKNOWN_XID, XIDS
from fakeai_proxy.fleet.sample import Sample
from fakeai_proxy.fleet.telemetry import XID_WINDOW_S

Value = int | float
#: More labels for a row, after those that every row has.
Labels = dict[str, str]
_MEBI = 2**20


class DcgmField(NamedTuple):
    """`default` says whether the exporter shows it without a counters file of one's own; `of` gives
    None where a GPU has no such value."""

    name: str
    type: Literal["gauge", "counter"]
    help: str
    of: Callable[[Sample], Value | None]
    default: bool = False
    labelled: Callable[[Sample], Iterator[tuple[Labels, Value]]] | None = None
    #: Still there when the driver has lost the GPU: it comes from the kernel's log.
    survives: bool = False


def _xid(sample: Sample) -> Iterator[tuple[Labels, Value]]:
    code = sample.xid
    text = XIDS.get(code, UNKNOWN_XID).text if code else "No Error"
    yield {"err_code": str(code), "err_msg": text}, code


def _xids(sample: Sample) -> Iterator[tuple[Labels, Value]]:
    window = {"window_size_in_ms": str(round(XID_WINDOW_S * 1000))}
    if not sample.xids:
        yield window, 0
    for code, count in sample.xids:
        yield {**window, "xid": str(code)}, count


def _percent(share: float) -> int:
    return round(100 * min(1.0, share))


def memory_percent(sample: Sample) -> int:
    """Counts by time with any access, so a little above the share of bandwidth."""
    return _percent(1.05 * sample.dram_active)


def gpu_percent(sample: Sample) -> int:
    return _percent(sample.busy)


def energy_mj(sample: Sample) -> int:
    return int(sample.energy_j * 1000)


def _link(value: Callable[[Sample], Value]) -> Callable[[Sample], Value | None]:
    """For GPUs with NVLink only."""
    return lambda sample: value(sample) if sample.gpu.nvlink_gb_s else None


def _zero(_: Sample) -> int:
    return 0


#: In the order of the exporter's counters file.
FIELDS: tuple[DcgmField, ...] = (
    DcgmField("DCGM_FI_DEV_SM_CLOCK", "gauge", "Clock of the multiprocessors (MHz).",
          lambda s: s.sm_clock_mhz, True),
    DcgmField("DCGM_FI_DEV_MEM_CLOCK", "gauge", "Clock of the memory (MHz).",
          lambda s: s.memory_clock_mhz, True),
    DcgmField("DCGM_FI_DEV_MEMORY_TEMP", "gauge", "Temperature of the memory (C).",
          lambda s: round(s.memory_temperature_c), True),
    DcgmField("DCGM_FI_DEV_GPU_TEMP", "gauge", "Temperature of the die (C).",
          lambda s: round(s.temperature_c), True),
    DcgmField("DCGM_FI_DEV_GPU_MAX_OP_TEMP", "gauge", "Highest temperature at full clock (C).",
          lambda s: round(s.operating_max_c)),
    DcgmField("DCGM_FI_DEV_POWER_USAGE", "gauge", "Power drawn (W).",
          lambda s: float(s.power_w), True),
    DcgmField("DCGM_FI_DEV_POWER_MGMT_LIMIT", "gauge", "Power limit in force (W).",
          lambda s: float(s.limit_w)),
    DcgmField("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "counter", "Energy used since boot (mJ).",
          energy_mj, True),
    DcgmField("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "counter", "Packets sent again over PCIe.",
          _zero, True),
    DcgmField("DCGM_FI_DEV_GPU_UTIL", "gauge", "Time with a kernel running (%).", gpu_percent, True),
    DcgmField("DCGM_FI_DEV_MEM_COPY_UTIL", "gauge", "Time with memory traffic (%).",
          memory_percent, True),
    DcgmField("DCGM_FI_DEV_ENC_UTIL", "gauge", "Time of the video encoder (%).", _zero, True),
    DcgmField("DCGM_FI_DEV_DEC_UTIL", "gauge", "Time of the video decoder (%).", _zero, True),
    DcgmField("DCGM_FI_DEV_XID_ERRORS", "gauge", "Code of the last XID error; 0 is none.",
          lambda s: s.xid, True, _xid, True),
    DcgmField("DCGM_FI_DEV_PSTATE", "gauge", "Performance state; 0 is the highest.", _zero),
    DcgmField("DCGM_FI_DEV_CLOCKS_EVENT_REASONS", "gauge", "Why clocks are down, as NVML's bits.",
          lambda s: s.reasons),
    DcgmField("DCGM_FI_DEV_CLOCK_THROTTLE_REASONS", "gauge",
          "Why clocks are down, as NVML's bits; the older name.", lambda s: s.reasons),
    # NVML counts these in ns; older counters files of the exporter say us of the same values.
    DcgmField("DCGM_FI_DEV_POWER_VIOLATION", "counter", "Time throttled by the power limit (ns).",
          lambda s: round(s.power_violation_s * 1e9)),
    DcgmField("DCGM_FI_DEV_THERMAL_VIOLATION", "counter", "Time throttled by heat (ns).",
          lambda s: round(s.thermal_violation_s * 1e9)),
    DcgmField("DCGM_FI_DEV_SYNC_BOOST_VIOLATION", "counter", "Time throttled by sync boost (ns).",
          _zero),
    DcgmField("DCGM_FI_DEV_BOARD_LIMIT_VIOLATION", "counter",
          "Time throttled by the board's limit (ns).", _zero),
    DcgmField("DCGM_FI_DEV_LOW_UTIL_VIOLATION", "counter", "Time throttled by low load (ns).", _zero),
    DcgmField("DCGM_FI_DEV_RELIABILITY_VIOLATION", "counter",
          "Time throttled for reliability (ns).", _zero),
    DcgmField("DCGM_FI_DEV_FB_TOTAL", "gauge", "Memory (MiB).", lambda s: s.gpu.hbm_mib),
    DcgmField("DCGM_FI_DEV_FB_FREE", "gauge", "Memory free (MiB).", lambda s: s.fb_free_mib, True),
    DcgmField("DCGM_FI_DEV_FB_USED", "gauge", "Memory allocated (MiB).",
          lambda s: s.fb_used_mib, True),
    DcgmField("DCGM_FI_DEV_FB_RESERVED", "gauge", "Memory that the driver keeps (MiB).",
          lambda s: s.fb_reserved_mib, True),
    DcgmField("DCGM_FI_DEV_FB_USED_PERCENT", "gauge", "Share of memory allocated (0 to 1).",
          lambda s: s.fb_used_mib / (s.gpu.hbm_mib - s.fb_reserved_mib)),
    DcgmField("DCGM_FI_DEV_ECC_SBE_VOL_TOTAL", "counter", "Single bit errors since boot.",
          lambda s: s.counters.ecc_sbe),
    DcgmField("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", "counter", "Double bit errors since boot.",
          lambda s: s.counters.ecc_dbe),
    DcgmField("DCGM_FI_DEV_ECC_SBE_AGG_TOTAL", "counter", "Single bit errors, ever.",
          lambda s: s.counters.ecc_sbe),
    DcgmField("DCGM_FI_DEV_ECC_DBE_AGG_TOTAL", "counter", "Double bit errors, ever.",
          lambda s: s.counters.ecc_dbe),
    # Boards that remap rows retire no pages.
    DcgmField("DCGM_FI_DEV_RETIRED_SBE", "counter", "Pages retired for single bit errors.", _zero),
    DcgmField("DCGM_FI_DEV_RETIRED_DBE", "counter", "Pages retired for double bit errors.", _zero),
    DcgmField("DCGM_FI_DEV_RETIRED_PENDING", "counter", "Pages to be retired at the next reset.",
          _zero),
    DcgmField("DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL", "counter",
          "Flow control CRC errors on NVLink.", _link(lambda s: s.counters.nvlink_crc_errors)),
    DcgmField("DCGM_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL", "counter",
          "Data CRC errors on NVLink.", _link(_zero)),
    DcgmField("DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL", "counter",
          "Packets sent again over NVLink.", _link(_zero)),
    DcgmField("DCGM_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL", "counter",
          "Recoveries of an NVLink.", _link(lambda s: s.counters.nvlink_recovery_errors)),
    # Real boards give a rate in MB/s under this name and call it a counter (field 449); here it is
    # one, so that `rate()` on a dashboard shows MiB/s.
    DcgmField("DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", "counter",
          "Data over all NVLinks, both ways (MiB).",
          _link(lambda s: int(s.link_total_bytes / _MEBI)), True),
    DcgmField("DCGM_FI_DEV_VGPU_LICENSE_STATUS", "gauge", "Whether a vGPU licence is held.",
          _zero, True),
    DcgmField("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "counter",
          "Rows remapped for uncorrectable errors.",
          lambda s: s.counters.remapped_uncorrectable, True),
    DcgmField("DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", "counter",
          "Rows remapped for correctable errors.",
          lambda s: s.counters.remapped_correctable, True),
    DcgmField("DCGM_FI_DEV_ROW_REMAP_FAILURE", "gauge", "Whether remapping a row has failed.",
          lambda s: int(s.counters.remap_failures > 0), True),
    DcgmField("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "gauge", "Time with the compute engine active (0 to 1).",
          lambda s: float(s.busy), True),
    DcgmField("DCGM_FI_PROF_SM_ACTIVE", "gauge",
          "Multiprocessors with a warp on them, over time (0 to 1).",
          lambda s: float(s.sm_active)),
    DcgmField("DCGM_FI_PROF_SM_OCCUPANCY", "gauge",
          "Warps of those that would fit, over time (0 to 1).",
          lambda s: float(s.sm_occupancy)),
    DcgmField("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "gauge", "Cycles of the tensor pipe (0 to 1).",
          lambda s: float(s.tensor_active), True),
    DcgmField("DCGM_FI_PROF_DRAM_ACTIVE", "gauge", "Cycles of the memory interface (0 to 1).",
          lambda s: float(s.dram_active), True),
    DcgmField("DCGM_FI_PROF_PIPE_FP64_ACTIVE", "gauge", "Cycles of the FP64 pipe (0 to 1).",
          lambda _: 0.0),
    # Norms, activations and softmax compute in FP32, in a few per cent of a layer's time (L).
    DcgmField("DCGM_FI_PROF_PIPE_FP32_ACTIVE", "gauge", "Cycles of the FP32 pipe (0 to 1).",
          lambda s: 0.05 * s.sm_active),
    DcgmField("DCGM_FI_PROF_PIPE_FP16_ACTIVE", "gauge",
          "Cycles of the FP16 pipe beside the tensor pipe (0 to 1).",
          lambda s: 0.01 * s.sm_active),
    DcgmField("DCGM_FI_PROF_PCIE_TX_BYTES", "gauge", "Sent over PCIe (B/s).",
          lambda s: round(s.pcie_tx_bytes_s), True),
    DcgmField("DCGM_FI_PROF_PCIE_RX_BYTES", "gauge", "Received over PCIe (B/s).",
          lambda s: round(s.pcie_rx_bytes_s), True),
    DcgmField("DCGM_FI_PROF_NVLINK_TX_BYTES", "gauge", "Sent over NVLink (B/s).",
          _link(lambda s: round(s.link_tx_bytes_s))),
    DcgmField("DCGM_FI_PROF_NVLINK_RX_BYTES", "gauge", "Received over NVLink (B/s).",
          _link(lambda s: round(s.link_rx_bytes_s))),
    DcgmField("DCGM_EXP_XID_ERRORS_COUNT", "gauge", "XID errors of the last minutes, by code.",
          lambda s: sum(count for _, count in s.xids), labelled=_xids, survives=True),
)  # fmt: skip
