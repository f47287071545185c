"""The life of a batch: its file is checked, its lines are answered, its files are written.

Every step ends with a commit after which the next one can begin in another process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

from fakeai_proxy import errors
from fakeai_proxy.clock import turn
from fakeai_proxy.errors import LineError
from fakeai_proxy.services.batches import record
from fakeai_proxy.services.batches.checking import Checker
from fakeai_proxy.services.batches.trade import BatchTrade
from fakeai_proxy.services.bulk.chunks import assembled, cleared
from fakeai_proxy.services.bulk.desk import settle
from fakeai_proxy.services.bulk.lines import PIECE_BYTES, Line, Lines, Place
from fakeai_proxy.services.filing import FILES, file_row
from fakeai_proxy.services.job import Work
from fakeai_proxy.services.webhooks import EventType
from fakeai_proxy.store import Blob, Conflict, Insert, Key, Missing, Row, Write

#: Its end, by what it was when the last line had its result.
_ENDS: Mapping[str, str] = {
    "cancelling": "cancelled", "finalizing": "completed", "in_progress": "expired",
}  # fmt: skip
#: Batches that are looked at together.
_PAGE = 100
_EVENTS: Mapping[str, EventType] = {
    "cancelled": "batch.cancelled", "completed": "batch.completed", "expired": "batch.expired",
    "failed": "batch.failed",
}  # fmt: skip


async def run_batch(work: Work) -> None:
    """Raises LeaseLost and 503."""
    row = work.row
    while row.document["status"] not in _EVENTS:
        try:
            row = await _lived(work, row)
        except Conflict:  # it was cancelled just before its end
            found = await work.store.get(row.key)
            if found is None:
                raise Missing(row.key) from None
            row = found
    await cleared(work)
    await work.store.commit(work.change(_let_go))


async def _lived(work: Work, row: Row) -> Row:
    """From wherever it is to its end. Raises Conflict where it has become another."""
    if row.document["in_progress_at"] is None:
        row = await _checked(work, row)
    if row.document["status"] in ("in_progress", "cancelling"):
        row = await settle(work, row, BatchTrade(work))
        now = work.clock.wall()
        row = await _committed(work, lambda row: _settled(row, now))
    if row.document["status"] in _ENDS:
        row = await _finalized(work, row)
    return row


def _settled(row: Row, now: float) -> Row:
    """Every line has its result. Where some were not asked, it stays as it is until its files are
    there."""
    return row if row.document["progress"]["why"] else record.moved(row, "finalizing", now)


def _let_go(row: Row) -> Row:
    """Nothing is left to do, and its lines are needed no longer."""
    return replace(row, due_at=None, owner="", blob=None)


async def _committed(work: Work, function: Callable[[Row], Row], *writes: Write) -> Row:
    rows = await work.store.commit(work.change(function), *writes)
    assert rows[0] is not None, "a change answers with its row"
    return rows[0]


async def _ended(
    work: Work, row: Row, end: str, change: Callable[[Row], Row], *writes: Write
) -> Row:
    """In one commit, with which whoever wants to know is told. Raises Conflict where it was cancelled
    meanwhile."""
    before, now = row.document["status"], work.clock.wall()
    told = work.webhooks.announce(work.dice, row.key.parent, _EVENTS[end], row.key.id, now)

    def ended(row: Row) -> Row:
        if row.document["status"] != before:
            raise Conflict(row.key)
        return replace(change(record.moved(row, end, now)), tags={})

    return await _committed(work, ended, *writes, *told)


# --- checking --------------------------------------------------------------------------------------


async def _checked(work: Work, row: Row) -> Row:
    checker = Checker(row.document["endpoint"], lambda name: bool(work.catalogue.priced(name)))
    assert row.blob is not None, "a batch has its lines"
    lines = Lines(work.store.blobs, row.blob, work.clock, Place())
    try:
        while not checker.is_over and (piece := await lines.piece()):
            await _add(work, checker, piece)
    finally:
        lines.close()
    checker.end()
    if row.document["status"] == "cancelling":
        # Nothing was promised yet, so there is nothing to be told line by line.
        return await _ended(work, row, "cancelled", lambda row: row)
    checker.errors = checker.errors or await _queue_is_full(work, row, checker)
    if checker.errors:
        told = {"object": "list", "data": [one._asdict() for one in checker.errors]}
        found = {"errors": told, "model": checker.model}
        return await _ended(work, row, "failed", lambda row: row.merged(**found))
    now = work.clock.wall()

    def begun(row: Row) -> Row:
        if row.document["status"] == "cancelling":
            raise Conflict(row.key)
        return record.queued(row, checker, now)

    return await _committed(work, begun)


async def _queue_is_full(work: Work, row: Row, checker: Checker) -> list[LineError]:
    """Whether more tokens would wait for the model than may."""
    model = checker.model or ""
    limit = work.queue_limit(row.document["asked"]["vendor"], model)
    if limit is None:
        return []
    waiting, after = checker.tokens, ""
    while True:
        tags = {record.QUEUE: model}
        page = await work.store.page(row.key.kind, None, tags=tags, after=after, limit=_PAGE)
        waiting += sum(one.document["tokens"] for one in page.rows)
        if waiting > limit:
            return [errors.batch_queue_is_full(model, int(limit))]
        if not page.has_more:
            return []
        after = page.rows[-1].key.id


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


async def _finalized(work: Work, row: Row) -> Row:
    """Both files and the end in one commit."""
    document, now = row.document, work.clock.wall()
    counts = document["request_counts"]
    inserts: list[Insert] = []
    ids: dict[str, str | None] = {}
    for name, is_error, count in (
        ("output", False, counts["completed"]),
        ("error", True, counts["failed"]),
    ):
        ids[f"{name}_file_id"] = None
        if count:
            file = _file(work, name, await assembled(work, is_error), now)
            inserts.append(Insert(file))
            ids[f"{name}_file_id"] = file.key.id
    end = _ENDS[document["status"]]
    return await _ended(work, row, end, lambda row: row.merged(**ids), *inserts)


def _file(work: Work, name: str, blob: Blob, now: float) -> Row:
    batch = work.row
    file_id = FILES.prefix + work.dice.text_id(batch.key.id, name, length=FILES.id_length)
    document = {"id": file_id, "object": FILES.object, "created_at": int(now)}
    row = Row(Key(FILES.kind, file_id, batch.key.parent), document, now)
    filename = f"{batch.key.id}_{name}.jsonl"
    return file_row(row, filename, "batch_output", blob, batch.document["asked"]["expires_s"])
