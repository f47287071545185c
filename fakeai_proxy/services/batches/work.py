"""The life of a batch: its file is checked, its lines are answered, its files are written.

Every step ends with a commit after which the next one can begin in another process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fakeai_proxy.clock import turn
from fakeai_proxy.services.batches import record
from fakeai_proxy.services.batches.checking import Checker
from fakeai_proxy.services.batches.trade import BatchTrade
from fakeai_proxy.services.bulk.chunks import assembled, cleared
from fakeai_proxy.services.bulk.desk import settle
from fakeai_proxy.services.bulk.lines import PIECE_BYTES, Line, Lines, Place
from fakeai_proxy.services.filing import FILES, file_row
from fakeai_proxy.services.job import Work
from fakeai_proxy.store import Blob, Insert, Key, Row, Write

#: Its end, by what it was when the last line had its result.
_ENDS: Mapping[str, str] = {"cancelling": "cancelled", "finalizing": "completed"}


async def run_batch(work: Work) -> None:
    """Raises LeaseLost and 503."""
    row = work.row
    if row.document["in_progress_at"] is None and row.document["status"] in record.ASKED:
        row = await _checked(work, row)
    if row.document["status"] in ("in_progress", "cancelling"):
        row = await settle(work, row, BatchTrade(work))
        row = await _committed(work, lambda row: _settled(row, work.clock.wall()))
    if row.document["status"] in ("finalizing", "cancelling", "in_progress"):
        row = await _finalized(work, row)
    if row.owner:
        await cleared(work)
        await work.store.commit(work.change(_ended))


def _ended(row: Row) -> Row:
    """Its lines were those of a file that others may keep or not."""
    return replace(row, due_at=None, owner="", blob=None)


async def _committed(work: Work, function: Any, *writes: Write) -> Row:
    rows = await work.store.commit(work.change(function), *writes)
    assert rows[0] is not None, "a change answers with its row"
    return rows[0]


# --- checking --------------------------------------------------------------------------------------


async def _checked(work: Work, row: Row) -> Row:
    checker = Checker(row.document["endpoint"], lambda name: bool(work.catalogue.find(name)))
    assert row.blob is not None, "a batch has its lines"
    lines = Lines(work.store.blobs, row.blob, work.clock, Place())
    try:
        while not checker.is_over and (piece := await lines.piece()):
            await _add(work, checker, piece)
    finally:
        lines.close()
    checker.end()
    now = work.clock.wall()

    def checked(row: Row) -> Row:
        if row.document["status"] == "cancelling":
            return row
        if checker.errors:
            return record.failed(row, checker.errors, checker.model, now)
        counts = {"total": checker.total, "completed": 0, "failed": 0}
        row = record.moved(row, "in_progress", now)
        return row.merged(model=checker.model, request_counts=counts)

    row = await _committed(work, checked)
    if row.document["status"] != "cancelling":
        return row
    # Nothing was promised yet, so there is nothing to be told line by line.
    return await _committed(work, lambda row: record.moved(row, "cancelled", now))


async def _add(work: Work, checker: Checker, piece: list[Line]) -> None:
    def add() -> None:
        for line in piece:
            checker.add(line)

    if sum(len(line.data) for line in piece) <= 2 * PIECE_BYTES:
        add()
        await turn()
        return
    with work.clock.hold():
        await asyncio.to_thread(add)


# --- the end ---------------------------------------------------------------------------------------


def _settled(row: Row, now: float) -> Row:
    """Every line has its result. Where some were not asked, it stays as it is until its files are
    there."""
    return row if row.document["progress"]["why"] else record.moved(row, "finalizing", now)


async def _finalized(work: Work, row: Row) -> Row:
    """Both files and the end in one commit."""
    document = row.document
    counts = document["request_counts"]
    now = work.clock.wall()
    inserts: list[Insert] = []
    ids: dict[str, str | None] = {}
    for name, errors_, count in (("output", False, counts["completed"]),
                                 ("error", True, counts["failed"])):  # fmt: skip
        ids[f"{name}_file_id"] = None
        if count:
            file = _file(work, name, await assembled(work, errors_), now)
            inserts.append(Insert(file))
            ids[f"{name}_file_id"] = file.key.id

    def finalized(row: Row) -> Row:
        end = _ENDS.get(row.document["status"], "expired")
        return record.moved(row, end, now).merged(**ids)

    return await _committed(work, finalized, *inserts)


def _file(work: Work, name: str, blob: Blob, now: float) -> Row:
    batch = work.row
    file_id = FILES.prefix + work.dice.text_id(batch.key.id, name, length=FILES.id_length)
    document = {"id": file_id, "object": FILES.object, "created_at": int(now)}
    row = Row(Key(FILES.kind, file_id, batch.key.parent), document, now)
    filename = f"{batch.key.id}_{name}.jsonl"
    return file_row(row, filename, "batch_output", blob, batch.document["asked"]["expires_s"])
