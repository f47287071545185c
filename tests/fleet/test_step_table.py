"""Measured steps in place of the closed form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fakeai_proxy.errors import ConfigError
from fakeai_proxy.fleet.cost import Chunk
from fakeai_proxy.fleet.roofline import Layout, Roofline
from fakeai_proxy.fleet.step_model import step_model
from fakeai_proxy.fleet.step_table import StepTable, load_step_table
from fakeai_proxy.profiles.architecture import load_model
from fakeai_proxy.profiles.fleet import Pool
from fakeai_proxy.profiles.gpu import load_gpu
from fakeai_proxy.profiles.serving import load_serving

ROWS = """kind,batch,new_tokens,context,ms
prefill,1,256,0,12
prefill,1,1024,0,24
prefill,1,256,4096,15
prefill,1,1024,4096,30
decode,1,1,1024,8
decode,16,16,1024,10
decode,1,1,8192,9
decode,16,16,8192,16
mixed,16,256,1024,14
mixed,64,256,1024,20
mixed,16,1024,1024,28
mixed,64,1024,1024,33
"""


def form() -> Roofline:
    return Roofline(load_gpu("h100"), load_model("llama-3.1-8b"), Layout(), load_serving("vllm"))


def table(tmp_path: Path, rows: str = ROWS, scale: float = 1.0) -> StepTable:
    path = tmp_path / "steps.csv"
    path.write_text(rows)
    return load_step_table(path, form(), scale)


def ms(model: StepTable, chunks: tuple[Chunk, ...], decodes: int, context: int) -> float:
    return model.cost(chunks, decodes, decodes * context).seconds * 1000


def test_a_table_is_exact_at_its_nodes(tmp_path: Path) -> None:
    model = table(tmp_path)
    assert ms(model, (Chunk(256, 4096),), 0, 0) == pytest.approx(15)
    assert ms(model, (), 16, 8192) == pytest.approx(16)
    assert ms(model, (Chunk(1024, 0),), 64, 1024) == pytest.approx(33)


def test_between_nodes_logarithms_are_linear(tmp_path: Path) -> None:
    batch = round(float(np.expm1((np.log1p(1) + np.log1p(16)) / 2)))
    context = round(float(np.expm1((np.log1p(1024) + np.log1p(8192)) / 2)))
    said = ms(table(tmp_path), (), batch, context)
    assert said == pytest.approx((8 * 10 * 9 * 16) ** 0.25, rel=0.01)


def test_prompts_of_one_step_are_taken_together(tmp_path: Path) -> None:
    chunks = (Chunk(512, 0), Chunk(512, 0))
    assert ms(table(tmp_path), chunks, 0, 0) == pytest.approx(24)


def test_without_mixed_rows_decodes_join_the_prompt(tmp_path: Path) -> None:
    plain = "\n".join(row for row in ROWS.splitlines() if not row.startswith("mixed"))
    model = table(tmp_path, plain)
    alone = ms(model, (Chunk(256, 0),), 0, 0)
    assert alone < ms(model, (Chunk(256, 0),), 8, 1024) < ms(model, (Chunk(256, 0),), 8, 8000)


def test_a_scale_stretches_the_table(tmp_path: Path) -> None:
    assert ms(table(tmp_path, scale=1.5), (), 16, 8192) == pytest.approx(24)


def test_bytes_and_memory_come_from_the_closed_form(tmp_path: Path) -> None:
    model = table(tmp_path)
    assert model.kv_capacity_tokens == form().kv_capacity_tokens
    assert model.kv_bytes_per_token == form().kv_bytes_per_token
    said, formed = model.cost((), 4, 4096), form().cost((), 4, 4096)
    assert said[2:] == formed[2:]
    assert said.busy_s < said.seconds


@pytest.mark.parametrize("two_dimensional", [True, False])
def test_arrays_of_dynamos_profiler_are_read(tmp_path: Path, two_dimensional: bool) -> None:
    active, context = np.array([1024.0, 65_536.0]), np.array([512.0, 4096.0])
    itl_ms = np.array([[7.0, 8.0], [15.0, 12.0]])
    if not two_dimensional:
        active, context = np.repeat(active, 2), np.tile(context, 2)
        itl_ms = itl_ms.ravel()
    path = tmp_path / "profile.npz"
    np.savez(
        path, prefill_isl=np.array([128.0, 4096.0]), prefill_ttft_ms=np.array([10.0, 150.0]),
        decode_active_kv_tokens=active, decode_context_length=context, decode_itl=itl_ms,
    )  # fmt: skip
    model = load_step_table(path, form())
    assert ms(model, (Chunk(4096, 0),), 0, 0) == pytest.approx(150)
    assert ms(model, (), 16, 4096) == pytest.approx(12)
    assert ms(model, (), 2, 512) == pytest.approx(7)


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ("kind,ms\nprefill,1\n", "no column batch, new_tokens, context"),
        (ROWS + "idle,1,1,1,1\n", "line 14: kind is 'idle'"),
        (ROWS + "decode,1,1,many,1\n", "line 14: is not all numbers"),
        (ROWS + "decode,1,1,1,0\n", "line 14: a time has to be positive"),
        ("kind,batch,new_tokens,context,ms\ndecode,1,1,1,1\n", "both prefill and decode"),
    ],
)
def test_a_faulty_table_is_an_error_that_says_where(tmp_path: Path, rows: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        table(tmp_path, rows)


def test_a_pool_takes_its_times_from_its_table(tmp_path: Path) -> None:
    path = tmp_path / "steps.csv"
    path.write_text(ROWS)
    pool = Pool(model="llama-3.1-8b", gpu="h100", step_table=str(path), calibration_scale=2.0)
    assert step_model(pool, "vllm").cost((), 16, 16 * 8192).seconds == pytest.approx(0.032)
    with pytest.raises(ConfigError, match="No such file"):
        step_model(pool.model_copy(update={"step_table": str(tmp_path / "none.csv")}), "vllm")
