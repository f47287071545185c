"""The kinds of profiles: where each is found, how it is told from the others, what is said of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakeai_proxy.cli.columns import Row
from fakeai_proxy.cli.fleet_figures import fleet_figures, pool_figures
from fakeai_proxy.cli.hosted_figures import hosted_figures
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.profiles import FleetProfile, HostedProfile, load_fleet, load_hosted, reading
from fakeai_proxy.profiles.architecture import Architecture, load_model
from fakeai_proxy.profiles.gpu import Gpu, load_gpu

Summary = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """`folder` is below `profiles/`; a file with the key `told_by` is of this kind. `cells` are the
    columns of a list below `heads`, between name and description."""

    folder: str
    what: str
    told_by: str
    load: Callable[[str], Any]
    summary: Callable[[Any], Summary]
    heads: Row
    cells: Callable[[Summary], Row]
    figures: Callable[[Any], Iterator[str]]

    @property
    def names(self) -> list[str]:
        return reading.names(self.folder)


def _hosted_summary(profile: HostedProfile) -> Summary:
    typical = profile.latency[-1]
    speed = typical.tokens_per_s
    return {
        "name": profile.name,
        "kind": "hosted",
        "description": profile.description,
        "ttft_p50_ms": round(typical.ttft_ms(0.5), 2),
        "tokens_per_s": round(speed, 1) if math.isfinite(speed) else None,
        "illustrative": profile.illustrative,
        "source": profile.source,
        "models": [row.model for row in profile.latency],
    }


def _fleet_summary(profile: FleetProfile) -> Summary:
    """Times are those of a lone request to the last pool, which serves all other names."""
    figures = pool_figures(profile, profile.pool[-1])
    return {
        "name": profile.name,
        "kind": "fleet",
        "description": profile.description,
        "ttft_p50_ms": round(figures.ttft_ms[0], 1),
        "tokens_per_s": round(figures.tokens_per_s, 1),
        "gpus": sum(pool.replicas * pool.gpus for pool in profile.pool),
        "workers": sum(pool.replicas for pool in profile.pool),
        "source": profile.source,
        "models": list(dict.fromkeys(pool.model for pool in profile.pool)),
    }


def _paced(summary: Summary) -> Row:
    speed = summary["tokens_per_s"]
    numbers = "simulated"
    if "illustrative" in summary:
        numbers = "illustrative" if summary["illustrative"] else "measured"
    return (
        summary["kind"],
        f"{summary['ttft_p50_ms']:.0f} ms",
        "" if speed is None else f"{speed:.0f}",
        numbers,
    )


def _gpu_summary(gpu: Gpu) -> Summary:
    return {
        "name": gpu.name,
        "description": gpu.description,
        "device_name": gpu.device_name,
        "hbm_mib": gpu.hbm_mib,
        "hbm_tb_s": gpu.hbm_tb_s,
        "bf16_tflops": gpu.bf16_tflops,
        "tdp_w": gpu.tdp_w,
        "estimated": gpu.estimated,
    }


def _gpu_cells(summary: Summary) -> Row:
    return (
        f"{summary['hbm_mib'] / 1024:.0f} GiB",
        f"{summary['hbm_tb_s']:g} TB/s",
        f"{summary['bf16_tflops']:g}",
        f"{summary['tdp_w']:g} W",
        "estimated" if summary["estimated"] else "fitted",
    )


def _gpu_figures(gpu: Gpu) -> Iterator[str]:
    share = gpu.efficiency
    yield ""
    yield f"# {gpu.device_name}: an engine reads weights at {gpu.hbm_tb_s * share.weights:.2f} TB/s, "
    yield f"# multiplies bf16 at {gpu.bf16_tflops * share.compute:.0f} TFLOP/s"


def _model_summary(model: Architecture) -> Summary:
    return {
        "name": model.name,
        "description": model.description,
        "parameters": model.parameters,
        "active_parameters": model.active_parameters,
        "context_tokens": model.context_tokens,
        "quantization": model.quantization,
        "kv_bytes_per_token": model.kv_bytes_per_token(),
        "aliases": list(model.aliases),
    }


def _model_cells(summary: Summary) -> Row:
    return (
        f"{summary['parameters'] / 1e9:.1f} B",
        f"{summary['active_parameters'] / 1e9:.1f} B",
        f"{summary['context_tokens']:,}",
        summary["quantization"],
        f"{summary['kv_bytes_per_token'] / 1024:.0f} KiB",
    )


def _model_figures(model: Architecture) -> Iterator[str]:
    yield ""
    weights = model.weight_bytes(model.quantization) / 2**30
    yield (
        f"# {model.parameters / 1e9:.1f} billion parameters, {weights:.1f} GiB in {model.quantization}; "
        f"{model.kv_bytes_per_token() / 1024:.0f} KiB of KV cache a token in 16 bits"
    )


_PACED_HEADS = ("KIND", "TTFT", "TOKENS/S", "NUMBERS")
KINDS: Mapping[str, Kind] = {
    "hosted": Kind("hosted", "a hosted back end", "latency", load_hosted, _hosted_summary,
                   _PACED_HEADS, _paced, hosted_figures),
    "fleets": Kind("fleets", "a fleet", "pool", load_fleet, _fleet_summary,
                   _PACED_HEADS, _paced, fleet_figures),
    "gpus": Kind("gpus", "a GPU", "hbm_mib", load_gpu, _gpu_summary,
                 ("MEMORY", "BANDWIDTH", "BF16 TFLOPS", "TDP", "NUMBERS"), _gpu_cells, _gpu_figures),
    "models": Kind("models", "a model", "layers", load_model, _model_summary,
                   ("PARAMETERS", "ACTIVE", "CONTEXT", "FORMAT", "KV/TOKEN"), _model_cells,
                   _model_figures),
}  # fmt: skip


def kind_of(name: str) -> Kind:
    """Of the profile of that name or file. Raises ConfigError."""
    for kind in KINDS.values():
        if name in kind.names:
            return kind
    if name == "none":
        raise ConfigError("profile none: it has no numbers; answers come at once.")
    if not Path(name).is_file():
        known = [known for kind in ("hosted", "fleets") for known in KINDS[kind].names]
        others = "; GPUs and models are listed by `profiles ls --kind`"
        raise reading.missing("profile", name, sorted(known), others)
    keys = reading.tables("", name)
    for kind in KINDS.values():
        if kind.told_by in keys:
            return kind
    raise ConfigError(
        f"profile {name}: has none of the keys that tell what it is: "
        + ", ".join(f"{kind.told_by} ({kind.what})" for kind in KINDS.values())
    )
