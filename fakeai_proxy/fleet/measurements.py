"""Reads measured times from files, as observations to fit and to compare with: steps, closed loops,
and the log of one server's requests.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from math import isqrt
from pathlib import Path
from typing import NamedTuple

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.fleet.calibration import ClosedLoop, Observation, Step
from fakeai_proxy.fleet.cost import Chunk
from fakeai_proxy.fleet.roofline import Layout
from fakeai_proxy.profiles.architecture import Architecture, load_model
from fakeai_proxy.profiles.quantization import Quantization

_Row = Mapping[str, str]

#: Spellings of quantisations in measurements.
_QUANTIZATIONS: dict[str, Quantization] = {
    "": "bf16", "bf16": "bf16", "float16": "bf16", "bfloat16": "bf16", "fp8": "fp8",
    "fp8_block": "fp8_block", "nvfp4": "nvfp4", "mxfp4": "mxfp4", "w4a16_mxfp4": "mxfp4",
    "int4": "int4", "int4_wo": "int4", "int8": "int8",
}  # fmt: skip

#: Parts of a GPU's name that tell what is the usual one of its kind.
_VARIANTS = {"sxm", "server", "80g", "80gb"}

#: The last minor release of vLLM 0 without asynchronous scheduling by default.
_SYNCHRONOUS_VLLM = 13

#: Benchmarks that draw lengths uniformly between 0.8 and 1 of what they say.
_DRAWN_SOURCES = {"inferencex"}
DRAWN_MEAN, DRAWN_SPREAD = 0.9, 0.1 / 0.9


class Request(NamedTuple):
    """Of a server's log; seconds since its start."""

    arrived_at: float
    prompt_tokens: int
    output_tokens: int
    first_token_at: float
    last_token_at: float


def read_observations(
    path: Path, gpu: str | None = None, model: str | None = None, serving: str | None = None
) -> list[Observation]:
    """Of a table of steps or loops, told by its columns. `gpu`, `model` and `serving` stand in for
    columns that it lacks. Raises ConfigError."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            columns = set(reader.fieldnames or ())
            read = _reader(columns)
            if read is None:
                raise ValueError(
                    f"has columns {', '.join(sorted(columns))}; a table of steps has kind, batch, "
                    "new_tokens, context and ms, one of loops isl, osl, concurrency and tpot_ms"
                )
            given = {"system": gpu, "gpu": gpu, "model": model, "backend": serving}
            found: list[Observation] = []
            for number, row in enumerate(reader, 2):
                filled = {
                    **{k: v for k, v in given.items() if v},
                    **{k: v for k, v in row.items() if v},
                }
                try:
                    found.extend(read(filled))
                except KeyError as error:
                    raise ValueError(f"line {number}: there is no {error.args[0]}") from None
                except ValueError as error:
                    raise ValueError(f"line {number}: {error}") from None
            return found
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (ValueError, csv.Error) as error:
        raise ConfigError(f"{path}: {error}") from None


def _reader(columns: set[str]) -> Callable[[_Row], Iterator[Observation]] | None:
    for needed, read in (
        ({"kind", "batch", "new_tokens", "context", "ms"}, _step),
        ({"isl", "osl", "concurrency", "tpot_ms"}, _loop),
        ({"isl", "osl", "concurrency", "itl_ms"}, _service),
    ):
        if needed <= columns:
            return read
    return None


def gpu_name(system: str) -> str:
    """The name of a profile for h100_sxm, H100, rtx_pro_6000_server and the like; files as they
    are."""
    if "/" in system or system.endswith(".toml"):
        return system
    return "-".join(part for part in re.split("[_ -]", system.lower()) if part not in _VARIANTS)


def _step(row: _Row) -> Iterator[Observation]:
    batch, new, context = int(row["batch"]), int(row["new_tokens"]), int(row["context"])
    work = {
        "prefill": Step((Chunk(new, context),), 0, 0),
        "decode": Step((), batch, batch * context),
        "mixed": Step((Chunk(new, 0),), batch, batch * context),
    }.get(row["kind"])
    if work is None:
        raise ValueError(f"kind is {row['kind']!r}, not prefill, decode or mixed")
    model = load_model(row["model"])
    layout = Layout(int(row.get("tp", "1")), quantization=_published(row["model"], model))
    yield _observation(row, model, layout, work, float(row["ms"]))


def _published(name: str, model: Architecture) -> Quantization:
    """Of the checkpoint that a hub's name stands for."""
    if name.upper().endswith("FP8"):
        return "fp8" if name.startswith("nvidia/") else "fp8_block"
    return "nvfp4" if name.upper().endswith("FP4") else model.quantization


def _loop(row: _Row) -> Iterator[Observation]:
    model = load_model(row["model"])
    layout, clients_of = read_layout(row, model)
    drawn = row.get("source") in _DRAWN_SOURCES
    share = DRAWN_MEAN if drawn else 1.0
    work = ClosedLoop(
        int(row["concurrency"]) * clients_of,
        int(row["isl"]) * share,
        int(row["osl"]) * share,
        spread=DRAWN_SPREAD if drawn else 0.0,
    )
    yield _observation(row, model, layout, work, float(row["tpot_ms"]))
    if drawn and "ttft_ms" in row:
        first = replace(work, measures="ttft")
        yield _observation(row, model, layout, first, float(row["ttft_ms"]))


def _service(row: _Row) -> Iterator[Observation]:
    """A vendor's table of one service."""
    model = load_model(row["model"])
    quantization = _QUANTIZATIONS[row["precision"]]
    layout = Layout(int(row["n_gpus"]), 1, 1, quantization, 2.0 if quantization == "bf16" else 1.0)
    work = ClosedLoop(int(row["concurrency"]), int(row["isl"]), int(row["osl"]))
    row = {"backend": "trtllm", **row}
    for measured, column in ((work, "itl_ms"), (replace(work, measures="ttft"), "ttft_ms")):
        if column in row:
            yield _observation(row, model, layout, measured, float(row[column]))


def read_layout(row: _Row, model: Architecture) -> tuple[Layout, int]:
    """And by what the clients have to be multiplied.

    Some rows give a worker of n GPUs with expert parallelism as tp = n * n and moe_tp = moe_ep = n;
    with data-parallel attention as attention_dp = n * n, and then count clients per GPU; others as
    tp = attention_dp = n and moe_ep = n * n. The same measurements stand beside them in the plain
    form.
    """
    tp, groups = _count(row, "tp_size"), _count(row, "attention_dp_size")
    experts_tp, ep = _count(row, "moe_tp_size"), _count(row, "moe_ep_size")
    clients_of = 1
    n = isqrt(tp * groups)
    if n > 1 and n * n == tp * groups and experts_tp == ep == n:
        tp, groups, clients_of, ep = (n, 1, 1, n) if tp > 1 else (1, n, n, n)
    elif groups > 1 and tp == groups and ep == tp * groups:
        tp, ep = 1, groups
    gemm = _QUANTIZATIONS[row.get("gemm_quant", "")]
    experts = _QUANTIZATIONS[row.get("moe_quant", "")]
    quantization = "fp8_block" if experts == "fp8_block" else gemm
    if model.quantization == "mxfp4":
        quantization = "mxfp4"  # is published in no other
    narrow = quantization not in ("bf16", "mxfp4")
    return Layout(tp, groups, ep, quantization, 1.0 if narrow else 2.0), clients_of


def _count(row: _Row, name: str) -> int:
    return int(row.get(name) or 1) or 1


def _observation(
    row: _Row, model: Architecture, layout: Layout, work: Step | ClosedLoop, ms: float
) -> Observation:
    if not ms > 0:
        raise ValueError("a time has to be positive")
    gpu = gpu_name(row.get("system") or row["gpu"])
    serving = serving_name(row)
    where = f"{gpu} {model.name} {serving} {layout}"
    return Observation(
        gpu, model.name, serving, layout, work, ms / 1000, where, drafted=_drafted(row, serving)
    )


def serving_name(row: _Row) -> str:
    """The profile of an engine; vLLM's has one for the releases that waited for each step before they
    scheduled the next. Rows without a version are of 2025, and so are those."""
    backend = row.get("backend", "vllm")
    if backend != "vllm" or ("backend_version" not in row and "measured" not in row):
        return backend
    version = re.match(r"0\.(\d+)", row.get("backend_version", "0.11"))
    return "vllm-0.12" if version and int(version[1]) <= _SYNCHRONOUS_VLLM else backend


def _drafted(row: _Row, serving: str) -> bool:
    """TensorRT-LLM ran DeepSeek with multi-token prediction in the later runs: they take half the
    time per token of the same version's or its predecessor's runs with the same layout and load."""
    version = row.get("backend_version", "")
    if serving != "trtllm" or "DeepSeek" not in row["model"]:
        return False
    first = version == "1.1.0rc2.post2" and row["model"].endswith("R1")
    return first or version == "1.2.0rc6.post3"


def held_out(observation: Observation, share: float = 1 / 3) -> bool:
    """Whether its whole configuration is kept from a fit: GPU, model, engine and layout together,
    by a hash, so that every run draws the same."""
    digest = hashlib.sha256(observation.configuration.encode()).digest()
    return int.from_bytes(digest[:4], "big") < share * 2**32


def read_requests(path: Path) -> list[Request]:
    """A server's log, by arrival. Raises ConfigError."""
    names = ("arrival_s", "input_tokens", "output_tokens", "first_token_s", "last_token_s")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [[float(row[name]) for name in names] for row in csv.DictReader(file)]
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (KeyError, ValueError, TypeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    return sorted(Request(row[0], int(row[1]), int(row[2]), row[3], row[4]) for row in rows)
