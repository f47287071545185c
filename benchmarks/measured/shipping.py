"""Writes fitted constants into the shipped profiles, in place; all else in the files stays."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from measured.fitting import HOPPER, LOOPED, STEPPED

from fakeai_proxy.fleet.calibration import Profiles

_STEPS = "least squares on step times of aiconfigurator-core 0.12.0"
_LOOPS = (
    "on times of closed loops against vLLM, TensorRT-LLM and SGLang "
    "(InferenceX and others, as aiconfigurator-core 0.12.0 has them)"
)
#: GPUs and models that were not measured, and whose constants they have.
_ALIKE = {"h100-pcie": "h100", "b300": "b200", "gb200": "b200", "l4": "l40s"}
_ALIKE_EXPERTS = {
    "gpt-oss-20b": "gpt-oss-120b", "qwen3-235b-a22b": "qwen3-30b-a3b",
    "mixtral-8x7b": "qwen3-30b-a3b", "mixtral-8x22b": "qwen3-30b-a3b",
}  # fmt: skip
_SERVING = (
    "host_ms", "sequence_us", "layer_share", "time_share", "prefill_share", "collective_us",
    "link_share", "launch_us", "front_end_ms", "front_end_us_per_token", "stream_interval",
)  # fmt: skip


def ship(profiles: Profiles, scale: float, folder: Path) -> None:
    """`scale` is that of the RTX PRO 6000, from its log."""
    for name in (*STEPPED, *LOOPED):
        source = f"{_STEPS}, and {_LOOPS}" if name in LOOPED else _STEPS
        if name in HOPPER:
            source += "; H100 and H200 have all but the memory's shares in common"
        values = profiles.gpus[name].efficiency.model_dump(exclude_none=True)
        _replace(folder / "gpus" / f"{name}.toml", "efficiency", values, source)
        for other in (other for other, like in _ALIKE.items() if like == name):
            source = f"those of {name}, of the same architecture; not measured"
            if other == "h100-pcie":  # without NVLink
                links = profiles.gpus["l40s"].efficiency
                values = {**values, "link": links.link, "link_latency_us": links.link_latency_us}
                source += "; the link as of L40S"
            _replace(folder / "gpus" / f"{other}.toml", "efficiency", values, source)
    board = folder / "gpus" / "rtx-pro-6000.toml"
    note = (
        "median answer of the first 100 requests of a vLLM 0.19 log, Llama 3.1 8B (LLMServingSim)"
    )
    _scalar(board, "calibration_scale", scale, note)
    for name, like in {m: m for m, a in profiles.models.items() if a.experts}.items():
        _experts(folder, profiles, name, like)
    for name, like in _ALIKE_EXPERTS.items():
        _experts(folder, profiles, name, like)
    for name, serving in profiles.serving.items():
        path = folder / "serving" / f"{name}.toml"
        text = path.read_text("utf-8")
        for field in _SERVING:
            value = getattr(serving, field)
            if field == "stream_interval":
                value = round(value)
            text = re.sub(rf"(?m)^{field} = [\d.]+$", f"{field} = {value:.3g}", text)
        path.write_text(text, "utf-8")


def _experts(folder: Path, profiles: Profiles, name: str, like: str) -> None:
    experts = profiles.models[like].experts
    assert experts is not None
    path = folder / "models" / f"{name}.toml"
    text = path.read_text("utf-8")
    for field in ("weights_share", "compute_share", "layer_us"):
        text = re.sub(rf"(?m)^{field} = .*$", f"{field} = {getattr(experts, field):.3g}", text)
    path.write_text(text, "utf-8")


def _replace(path: Path, table: str, values: Mapping[str, float], source: str) -> None:
    lines = "".join(f"{key} = {value:.4g}\n" for key, value in values.items())
    text = path.read_text("utf-8")
    text = re.sub(rf"(?ms)^\[{table}\]\n.*?(?=^\[|\Z)", f"[{table}]\n{lines}\n", text)
    path.write_text(re.sub(rf'(?m)^{table} = ".*"$', f'{table} = "{source}"', text), "utf-8")


def _scalar(path: Path, key: str, value: float, source: str) -> None:
    text = re.sub(rf"(?m)^{key} = .*\n", "", path.read_text("utf-8"))
    text = re.sub(r"(?m)^(memory_clock_mhz = \d+)$", rf"\1\n{key} = {value:.4g}", text, count=1)
    path.write_text(text.rstrip("\n") + f'\n{key} = "{source}"\n', "utf-8")
