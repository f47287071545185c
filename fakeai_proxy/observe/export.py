"""The journal as a file, oldest first: JSON Lines, CSV or Parquet. A row has the entry's fields, of which
those within fields are flat in tables.
"""

from __future__ import annotations

import asyncio
import csv
import heapq
import importlib.util
import io
import tempfile
from bisect import bisect_right
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from itertools import islice
from typing import Any, Literal

import orjson

from fakeai_proxy import errors
from fakeai_proxy.observe.entry import Moment, Row, entry_of, moment_of
from fakeai_proxy.observe.journal import Journal
from fakeai_proxy.observe.journal_routes import (
    FILTERS,
    passes,
    tests_of,
)
from fakeai_proxy.observe.pages import CONTROL, Answer, Call, Parameter, Route
from fakeai_proxy.shared.commons import Commons

#: Entries that are rendered together.
PIECE_MAX = 1_000
_FILE_PIECE_BYTES = 1 << 16

Kind = Literal["text", "instant", "number", "count"]
#: The columns of a table. `itl_p50_ms` is what an entry has as p50 in `itl_ms`.
COLUMNS: tuple[tuple[str, Kind], ...] = (
    ("id", "text"), ("arrived", "instant"), ("method", "text"), ("host", "text"),
    ("path", "text"), ("route", "text"), ("project", "text"), ("key_id", "text"),
    ("model", "text"), ("status", "count"), ("source", "text"), ("worker", "text"),
    ("prompt_tokens", "count"), ("cached_tokens", "count"), ("output_tokens", "count"),
    ("cost_usd", "number"), ("queue_ms", "number"), ("ttft_ms", "number"),
    ("itl_p50_ms", "number"), ("itl_p90_ms", "number"), ("itl_p99_ms", "number"),
    ("itl_max_ms", "number"), ("total_ms", "number"), ("bytes", "count"), ("finish", "text"),
    ("end", "text"), ("error", "text"), ("faults", "text"), ("phase", "text"),
)  # fmt: skip

Entries = list[dict[str, Any]]


def export_route(journal: Journal, commons: Commons) -> Route:
    async def after(query: Mapping[str, Any], last: Moment) -> list[Row]:
        """The next entries of this process that fit."""
        await journal.settle()
        newest, tests = journal.newest_first(), tests_of(query)

        def found() -> list[Row]:
            rows = list(newest)[::-1]
            start = bisect_right(rows, last, key=moment_of)
            fitting = (row for row in rows[start:] if passes(entry_of(row), tests))
            return list(islice(fitting, PIECE_MAX))

        with journal.clock.hold():
            return await asyncio.to_thread(found)

    commons.offer("journal.after", after)

    async def pieces(query: Mapping[str, Any]) -> AsyncGenerator[Entries]:
        last: Moment = (-1.0, 0, "")
        until = journal.clock.now()
        while True:
            shelves = await commons.gather("journal.after", query, last)
            rows = list(islice(heapq.merge(*shelves, key=moment_of), PIECE_MAX))
            rows = rows[: bisect_right(rows, until, key=lambda row: moment_of(row)[0])]
            if not rows:
                return
            last = moment_of(rows[-1])
            with journal.clock.hold():
                entries = await asyncio.to_thread(_told, journal, rows)
            yield entries

    def export(call: Call) -> Answer:
        tests_of(call.query)
        form = call.query["format"]
        if form == "parquet" and importlib.util.find_spec("pyarrow") is None:
            raise errors.parquet_missing()
        write, content_type = _FORMATS[form]
        name = f'attachment; filename="journal.{form}"'.encode()
        headers = ((b"cache-control", b"no-store"), (b"content-disposition", name))
        return Answer(write(pieces(call.query)), content_type=content_type, headers=headers)

    return Route(
        "GET", f"{CONTROL}journal/export", export,
        "All finished exchanges as a file, oldest first.",
        (Parameter("format", "What to write.", default="jsonl", choices=tuple(_FORMATS)), *FILTERS),
    )  # fmt: skip


Pieces = AsyncGenerator[Entries]


def _told(journal: Journal, rows: Sequence[Row]) -> Entries:
    return [journal.as_json(entry_of(row)) for row in rows]


async def _json_lines(pieces: Pieces) -> AsyncGenerator[bytes]:
    async with aclosing(pieces):
        async for entries in pieces:
            lines = [orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE) for entry in entries]
            yield b"".join(lines)


async def _csv(pieces: Pieces) -> AsyncGenerator[bytes]:
    yield (",".join([name for name, _ in COLUMNS]) + "\r\n").encode()
    async with aclosing(pieces):
        async for entries in pieces:
            text = io.StringIO()
            csv.writer(text).writerows([flat(entry) for entry in entries])
            yield text.getvalue().encode()


async def _parquet(pieces: Pieces) -> AsyncGenerator[bytes]:
    import pyarrow as pa
    from pyarrow import parquet

    kinds: dict[Kind, Any] = {
        "text": pa.string(),
        "instant": pa.timestamp("us", "UTC"),
        "number": pa.float64(),
        "count": pa.int64(),
    }
    schema = pa.schema([(name, kinds[kind]) for name, kind in COLUMNS])
    with tempfile.TemporaryFile() as file:
        with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
            async with aclosing(pieces):
                async for entries in pieces:
                    columns = _columns(entries)
                    await asyncio.to_thread(writer.write_table, pa.table(columns, schema=schema))
        file.seek(0)
        while piece := file.read(_FILE_PIECE_BYTES):
            yield piece


def _columns(entries: Entries) -> list[list[Any]]:
    rows = [flat(entry) for entry in entries]
    columns = [list(column) for column in zip(*rows, strict=True)]
    for place, (_, kind) in enumerate(COLUMNS):
        if kind == "instant":
            columns[place] = [datetime.fromisoformat(text) for text in columns[place]]
    return columns


def flat(entry: Mapping[str, Any]) -> list[Any]:
    """As `COLUMNS` are."""
    gaps = entry["itl_ms"] or {}
    values = {
        **entry,
        "faults": " ".join(entry["faults"]) or None,
        **{f"itl_{name}_ms": gaps.get(name) for name in ("p50", "p90", "p99", "max")},
    }
    return [values[name] for name, _ in COLUMNS]


_FORMATS: dict[str, tuple[Callable[[Pieces], AsyncGenerator[bytes]], str]] = {
    "jsonl": (_json_lines, "application/x-ndjson"),
    "csv": (_csv, "text/csv; charset=utf-8"),
    "parquet": (_parquet, "application/vnd.apache.parquet"),
}
