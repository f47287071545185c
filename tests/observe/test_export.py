"""The journal as a file, whole and as it was."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from pyarrow import parquet

from fakeai_proxy.app import App
from fakeai_proxy.observe import export
from tests.conftest import Serve
from tests.observe.asking import ask
from tests.observe.test_journal import entries, exchange

EXPORT = "/_fakeai/v1/journal/export"
COUNT = 25


@pytest.fixture
async def app(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> App:
    monkeypatch.setattr(export, "PIECE_MAX", 4)
    made = await serve()
    for number in range(COUNT):
        one = exchange(number, status=429 if number % 5 == 0 else 200, faults=("cut:after=2",))
        one.finished_at = made.clock.now()  # several at one instant
        made.journal.finished(one)
    return made


async def test_json_lines_are_the_entries_oldest_first(app: App) -> None:
    got = await ask(app, EXPORT)
    assert got.headers["content-disposition"] == 'attachment; filename="journal.jsonl"'
    told = [json.loads(line) for line in got.data.splitlines()]
    assert [entry["id"] for entry in told] == [f"req_{number}" for number in range(COUNT)]
    assert told[::-1] == await entries(app)


async def test_filters_choose(app: App) -> None:
    lines = (await ask(app, f"{EXPORT}?status=4xx")).data.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [f"req_{n}" for n in range(0, COUNT, 5)]
    assert (await ask(app, f"{EXPORT}?format=xml")).status == 400
    assert (await ask(app, f"{EXPORT}?status=ok")).status == 400


async def test_csv_has_a_head_and_a_row_for_each(app: App) -> None:
    got = await ask(app, f"{EXPORT}?format=csv")
    rows = list(csv.DictReader(io.StringIO(got.data.decode())))
    assert len(rows) == COUNT
    assert rows[3]["model"] == "gpt-4o"
    assert (rows[3]["ttft_ms"], rows[3]["faults"], rows[3]["itl_p50_ms"]) == (
        "250.0", "cut:after=2", ""
    )  # fmt: skip


async def test_parquet_has_typed_columns(app: App) -> None:
    got = await ask(app, f"{EXPORT}?format=parquet")
    table = parquet.read_table(pa.BufferReader(got.data))
    assert table.num_rows == COUNT
    assert [str(table.schema.field(name).type) for name in ("arrived", "status", "cost_usd")] == [
        "timestamp[us, tz=UTC]", "int64", "double"
    ]  # fmt: skip
    row = table.slice(3, 1).to_pylist()[0]
    assert (row["id"], row["status"], row["cost_usd"]) == ("req_3", 200, None)
    told = (await entries(app, "?limit=1000"))[::-1][3]
    assert row["arrived"] == datetime.fromisoformat(told["arrived"]).astimezone(UTC)


async def test_without_its_library_parquet_says_what_to_install(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    got = await ask(app, f"{EXPORT}?format=parquet")
    assert (got.status, got.code) == (501, "extra_missing")
    assert "fakeai-proxy[parquet]" in got.message


async def test_an_empty_journal_is_an_empty_file(serve: Serve) -> None:
    app = await serve()
    assert (await ask(app, EXPORT)).data == b""
    got = await ask(app, f"{EXPORT}?format=parquet")
    assert parquet.read_table(pa.BufferReader(got.data)).num_rows == 0
