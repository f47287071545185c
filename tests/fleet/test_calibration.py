"""Fitting: what was put in comes out, on rows that were not used."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.fleet.calibration import (
    ClosedLoop,
    Constant,
    Observation,
    Profiles,
    Step,
    errors,
    fit,
    mape,
    predict_s,
)
from fakeai_proxy.fleet.cost import Chunk
from fakeai_proxy.fleet.measurements import gpu_name, held_out, read_observations
from fakeai_proxy.fleet.roofline import Layout

#: Excerpts of aiconfigurator-core 0.12.0 (Apache-2.0); see the README beside them.
MEASURED = Path(__file__).parent / "measured"

TRUE = {
    Constant("gpus", ("h100",), "efficiency.weights"): 0.7,
    Constant("gpus", ("h100",), "efficiency.compute"): 0.5,
    Constant("serving", ("vllm",), "host_ms"): 2.0,
}


def synthetic() -> list[Observation]:
    blank = [
        Observation("h100", "llama-3.1-8b", "vllm", Layout(tp), work, 1.0, f"{tp}")
        for tp in (1, 2)
        for work in (
            *(Step((), batch, batch * 1000) for batch in (1, 4, 16, 64, 256)),
            *(Step((Chunk(tokens, 0),), 0, 0) for tokens in (64, 256, 1024, 4096)),
        )
    ]
    true = Profiles.of(blank).changed(TRUE)
    return [replace(row, measured_s=predict_s(true.roofline(row), row.work)) for row in blank]


def test_a_fit_finds_the_constants_that_made_the_times() -> None:
    rows = synthetic()
    fitted = fit(Profiles.of(rows), rows, list(TRUE), stiffness=1e-6)
    for constant, value in TRUE.items():
        assert fitted.get(constant) == pytest.approx(value, rel=0.02)


def test_a_broken_row_does_not_bend_a_fit() -> None:
    rows = synthetic()
    rows[3] = replace(rows[3], measured_s=rows[3].measured_s * 50)
    fitted = fit(Profiles.of(rows), rows, list(TRUE), stiffness=1e-6)
    good = [row for place, row in enumerate(rows) if place != 3]
    assert mape(errors(fitted, good)) < 0.05


def test_a_constant_that_no_row_speaks_of_stays() -> None:
    rows = [row for row in synthetic() if row.layout.tp == 1]
    constant = Constant("gpus", ("h100",), "efficiency.link")
    before = Profiles.of(rows)
    after = fit(before, rows, [constant])
    assert after.get(constant) == pytest.approx(before.get(constant))


def test_gpus_that_are_named_together_have_a_value_in_common() -> None:
    rows = synthetic()
    rows += [replace(row, gpu="h200", measured_s=row.measured_s * 2) for row in rows]
    both = Constant("gpus", ("h100", "h200"), "efficiency.compute")
    fitted = fit(Profiles.of(rows), rows, [both])
    shares = {fitted.gpus[name].efficiency.compute for name in ("h100", "h200")}
    assert len(shares) == 1


def test_more_clients_wait_longer_for_each_token() -> None:
    row = synthetic()[0]
    roofline = Profiles.of([row]).roofline(row)
    for measures in ("tpot", "ttft"):
        times = [predict_s(roofline, ClosedLoop(n, 1024, 256, measures)) for n in (1, 8, 64, 256)]
        assert times == sorted(times)
        assert times[-1] > 2 * times[0]


def test_a_fit_to_measured_steps_holds_for_configurations_it_did_not_use() -> None:
    rows = read_observations(MEASURED / "steps.csv")
    used = [row for row in rows if not held_out(row)]
    kept = [row for row in rows if held_out(row)]
    assert {row.configuration for row in used}.isdisjoint(row.configuration for row in kept)
    fields = ("weights", "compute", "attention", "kv", "link", "layer_us", "half_tokens")
    start = Profiles.of(rows).changed(
        {Constant("gpus", ("h100",), f"efficiency.{name}"): 0.5 for name in fields[:5]}
    )
    fitted = fit(start, used, [Constant("gpus", ("h100",), f"efficiency.{f}") for f in fields])
    assert mape(errors(start, kept)) > 0.3
    assert mape(errors(fitted, kept)) < 0.10


def test_the_shipped_profiles_say_what_loops_measured() -> None:
    rows = [row for row in read_observations(MEASURED / "loops.csv") if not row.drafted]
    loops = [row for row in rows if row.work.measures == "tpot"]  # type: ignore[union-attr]
    assert np.median(np.abs(np.exp(errors(Profiles.of(loops), loops)) - 1)) < 0.15


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("h100_sxm", "h100"), ("a100_sxm_80g", "a100"), ("rtx_pro_6000_server", "rtx-pro-6000"),
        ("H200", "h200"), ("gb200", "gb200"), ("h100_pcie", "h100-pcie"), ("my/gpu.toml", "my/gpu.toml"),
    ],
)  # fmt: skip
def test_gpus_are_found_by_the_spellings_of_measurements(given: str, name: str) -> None:
    assert gpu_name(given) == name


LOOP = {
    "model": "openai/gpt-oss-120b", "system": "h200_sxm", "backend": "trtllm", "isl": "1024",
    "osl": "1024", "concurrency": "16", "tpot_ms": "9",
}  # fmt: skip


@pytest.mark.parametrize(
    ("sizes", "gpus", "groups", "ep", "clients"),
    [
        ((8, 1, 8, 1), 8, 1, 1, 16),
        ((64, 1, 8, 8), 8, 1, 8, 16),
        ((1, 64, 8, 8), 8, 8, 8, 128),
        ((2, 2, 1, 4), 2, 2, 2, 16),
        ((1, 8, 1, 8), 8, 8, 8, 16),
    ],
)
def test_layouts_are_read_in_each_way_they_are_written(
    tmp_path: Path, sizes: tuple[int, ...], gpus: int, groups: int, ep: int, clients: int
) -> None:
    names = ("tp_size", "attention_dp_size", "moe_tp_size", "moe_ep_size")
    row = {**LOOP, **dict(zip(names, map(str, sizes), strict=True))}
    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, row)
        writer.writeheader()
        writer.writerow(row)
    (read,) = read_observations(path)
    layout = read.layout
    assert (layout.gpus, layout.attention_dp, layout.ep) == (gpus, groups, ep)
    assert isinstance(read.work, ClosedLoop)
    assert read.work.concurrency == clients


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a,b\n1,2\n", "has columns a, b"),
        ("kind,batch,new_tokens,context,ms\ndecode,1,1,1,5\n", "line 2: there is no model"),
        ("model,system,kind,batch,new_tokens,context,ms\nqwen3-8b,h100,decode,1,1,1,0\n",
         "line 2: a time has to be positive"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_read_says_why(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match=fault):
        read_observations(path)
