"""Prefill and decode workers apart, as the fleet's profile has them. Rows that do not say how many
workers there were tell nothing of a load and are not read."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from measured.loops import play

from fakeai_proxy.dice import Dice
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.fleet.calibration import ClosedLoop
from fakeai_proxy.fleet.cluster import Cluster
from fakeai_proxy.fleet.measurements import (
    DRAWN_MEAN,
    DRAWN_SPREAD,
    gpu_name,
    read_layout,
    serving_name,
)
from fakeai_proxy.profiles.architecture import load_model
from fakeai_proxy.profiles.fleet import FleetProfile

_ROLES = ("prefill", "decode")
#: Larger loops take minutes to simulate.
_CLIENTS_MAX = 2048


class Apart(NamedTuple):
    """Measured and said; nan where the model does not fit."""

    server: str
    is_first_scored: bool
    ttft_s: float
    tpot_s: float
    said_ttft_s: float
    said_tpot_s: float


def run(path: Path, told: Callable[[int, int], None]) -> list[Apart]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["decode_num_workers"]]
    found = []
    for done, row in enumerate(rows, 1):
        if _clients(row) <= _CLIENTS_MAX:
            found.append(_run(row))
        told(done, len(rows))
    return found


def _clients(row: Mapping[str, str]) -> int:
    return int(row["decode_batch_size"]) * int(row["decode_num_workers"])


def _run(row: Mapping[str, str]) -> Apart:
    drawn = row["source"] == "inferencex"
    mean, spread = (DRAWN_MEAN, DRAWN_SPREAD) if drawn else (1.0, 0.0)
    work = ClosedLoop(_clients(row), int(row["isl"]) * mean, int(row["osl"]) * mean, spread=spread)
    model = load_model(row["model"]).name
    try:
        cluster = Cluster(FleetProfile.model_validate(_profile(row, model)), Dice(7))
        said = play(cluster, model, work)
    except ConfigError:
        said = None
    return Apart(
        row["backend"],
        drawn,
        float(row["ttft_ms"]) / 1e3,
        float(row["tpot_ms"]) / 1e3,
        math.nan if said is None else said.ttft_s,
        math.nan if said is None else said.tpot_s,
    )


def _profile(row: Mapping[str, str], model: str) -> dict[str, Any]:
    return {
        "name": "apart",
        "description": row["config"],
        "source": "a measured configuration",
        "kv_event_blocks": 0,
        "pool": [_pool(row, model, role) for role in _ROLES],
    }


def _pool(row: Mapping[str, str], model: str, role: str) -> dict[str, Any]:
    own = {
        name.removeprefix(f"{role}_"): value
        for name, value in row.items()
        if not name.startswith(tuple(other for other in _ROLES if other != role))
    }
    layout, _ = read_layout(own, load_model(model))
    return {
        "name": role, "role": role, "model": model, "gpu": gpu_name(row["system"]),
        "serving": serving_name(row), "replicas": int(own["num_workers"]), "tp": layout.tp,
        "attention_dp": layout.attention_dp, "ep": layout.ep, "quantization": layout.quantization,
        "kv_cache_dtype": "bf16" if layout.kv_bytes_per_value == 2 else "fp8",
        "engine": {"max_num_seqs": 1024, "enable_prefix_caching": False},
    }  # fmt: skip
