"""GPU telemetry as dcgm-exporter shows it, and as FakeAI's JSON view does. Pure: workers and an
instant in, a page out. Knows no route and no port.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from fakeai_proxy.fleet.sample import (
    REASON_HARDWARE_THERMAL,
    REASON_POWER_CAP,
    REASON_THERMAL,
    Sample,
    percentile,
)
from fakeai_proxy.observe.dcgm_fields import (
    FIELDS,
    DcgmField,
    Labels,
    Value,
    energy_mj,
    gpu_percent,
    memory_percent,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: Between the hottest spot of a die and its reported temperature (L; boards report only the latter).
_HOTSPOT_ABOVE_C = 9


class DcgmSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    dcgm_fields: Literal["all", "default"] = Field(
        "all",
        description="Fields of the DCGM page: all that the simulation has, or those that "
        "dcgm-exporter shows by default.",
    )
    dcgm_hostname_label: Literal["Hostname", "hostname"] = Field(
        "Hostname",
        description="Spelling of the DCGM page's host label; exporters since May 2026 write it "
        "in lower case.",
    )
    dcgm_interval_s: float = Field(
        1.0,
        gt=0,
        le=3600,
        allow_inf_nan=False,
        description="Seconds for which the DCGM page holds its values, as the exporter's collect "
        "interval does (its own default is 30).",
    )
    dcgm_listen: str | None = Field(
        None,
        description="Where each node of the fleet has a DCGM page of its own at /metrics, as an "
        "exporter on it would: HOST:PORT or PORT of the first, the others count up. Port 0 gives "
        "each any that is free.",
    )
    dcgm_driver_version: str = Field(
        "570.133.20", min_length=1, max_length=64, description="Driver version on the DCGM page."
    )


def exposition(
    collected: Iterable[Sample], settings: DcgmSettings, hostname: str | None = None
) -> str:
    """Takes about 0.15 ms a GPU, and what it reads does not change: a thread may do it."""
    collected = [s for s in collected if hostname in (None, s.device.hostname)]
    seen = [sample for sample in collected if _by_nvidia(sample)]
    rows = [(sample, _labels(sample, settings)) for sample in seen]
    others = {sample.gpu.device_name for sample in collected} - {s.gpu.device_name for s in seen}
    lines = [f"# {name} has no DCGM: no rows for it" for name in sorted(others)]
    for field in FIELDS:
        if field.default or settings.dcgm_fields == "all":
            lines += _family(field, rows)
    return "\n".join(lines) + "\n" if lines else ""


def json_view(collected: Iterable[Sample]) -> dict[str, dict[str, object]]:
    """FakeAI's: `gpu_0` and on, over all nodes. Shares are percentages here and traffic is in
    bytes per second; energy is in millijoules."""
    return {f"gpu_{number}": _view(number, sample) for number, sample in enumerate(collected)}


def position(sample: Sample) -> tuple[int, str, int]:
    """Node 10 comes after node 9."""
    hostname = sample.device.hostname
    return len(hostname), hostname, sample.device.slot


def _family(field: DcgmField, rows: Sequence[tuple[Sample, str]]) -> list[str]:
    lines = []
    for sample, labels in rows:
        if sample.lost and not field.survives:
            continue
        if field.labelled is not None:
            lines += [
                f"{field.name}{{{labels}{_more(extra)}}} {_number(value)}"
                for extra, value in field.labelled(sample)
            ]
        elif (value := field.of(sample)) is not None:
            lines.append(f"{field.name}{{{labels}}} {_number(value)}")
    head = [f"# HELP {field.name} {field.help}", f"# TYPE {field.name} {field.type}"]
    return head + lines if lines else []


def _by_nvidia(sample: Sample) -> bool:
    return sample.gpu.device_name.startswith("NVIDIA")


def _labels(sample: Sample, settings: DcgmSettings) -> str:
    device = sample.device
    pairs = {
        "gpu": str(device.slot),
        "UUID": device.uuid,
        "pci_bus_id": device.pci_bus_id,
        "device": device.device,
        "modelName": device.model,
        settings.dcgm_hostname_label: device.hostname,
        "DCGM_FI_DRIVER_VERSION": settings.dcgm_driver_version,
    }
    return _more(pairs)[1:]


def _more(labels: Labels) -> str:
    return "".join(f',{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: Value) -> str:
    return f"{value:.6f}" if isinstance(value, float) else str(value)


def _view(number: int, sample: Sample) -> dict[str, object]:
    counters = sample.counters
    recent = sample.recent
    view: dict[str, object] = {
        "gpu_id": number,
        "uuid": sample.device.uuid,
        "name": sample.device.model,
        "architecture": sample.gpu.architecture.lower(),
        "sm_clock_mhz": sample.sm_clock_mhz,
        "memory_clock_mhz": sample.memory_clock_mhz,
        "temperature_c": round(sample.temperature_c),
        "memory_temp_c": round(sample.memory_temperature_c),
        "hotspot_temp_c": round(sample.temperature_c) + _HOTSPOT_ABOVE_C,
        "power_usage_w": round(sample.power_w, 3),
        "total_energy_mj": energy_mj(sample),
        "gpu_utilization_pct": gpu_percent(sample),
        "memory_utilization_pct": memory_percent(sample),
        "memory_free_mib": sample.fb_free_mib,
        "memory_used_mib": sample.fb_used_mib,
        "memory_total_mib": sample.gpu.hbm_mib,
        "ecc_sbe_total": counters.ecc_sbe,
        # The caches of such boards report none: errors are in the memory.
        "ecc_sbe_l1": 0,
        "ecc_sbe_l2": 0,
        "ecc_dbe_total": counters.ecc_dbe,
        "performance_state": 0,
        "sm_active_pct": round(100 * sample.sm_active, 2),
        "sm_occupancy_pct": round(100 * sample.sm_occupancy, 2),
        "tensor_active_pct": round(100 * sample.tensor_active, 2),
        "dram_active_pct": round(100 * sample.dram_active, 2),
        "pcie_tx_bytes": round(sample.pcie_tx_bytes_s),
        "pcie_rx_bytes": round(sample.pcie_rx_bytes_s),
        "nvlink_tx_bytes": round(sample.link_tx_bytes_s),
        "nvlink_rx_bytes": round(sample.link_rx_bytes_s),
        # Boards of such nodes have no fans of their own.
        "fan_speed_pct": 0,
        "throttle_reasons": sample.reasons,
        "thermal_throttle": bool(sample.reasons & (REASON_THERMAL | REASON_HARDWARE_THERMAL)),
        "power_throttle": bool(sample.reasons & REASON_POWER_CAP),
    }
    for name, field, value in (
        ("temp", "temperature_c", sample.temperature_c),
        ("power", "power_w", sample.power_w),
    ):
        for share in (0.5, 0.9, 0.99):
            seen = percentile(recent, field, share) if recent else value
            view[f"{name}_p{share * 100:.0f}"] = round(seen, 2)
    return view
