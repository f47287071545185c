"""Batches of messages: what is kept of one, how it is shown at an instant, and the operations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from pydantic import Field

from fakeai_proxy import errors
from fakeai_proxy.exchange import Chunk, Reply
from fakeai_proxy.services.bulk import desk
from fakeai_proxy.services.bulk.chunks import Result
from fakeai_proxy.services.claude import Page, limit_of
from fakeai_proxy.services.messages import wire
from fakeai_proxy.services.messages.words import invalid
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.resources import Resource
from fakeai_proxy.services.wire import json_reply
from fakeai_proxy.store import Change, Delete, Missing, Row

#: platform.claude.com/docs/en/build-with-claude/batch-processing: requests of a batch, how long it may
#: take, and after how many days its results are gone.
_REQUESTS_MAX, _EXPIRES_S, _ARCHIVED_S = 100_000, 86_400, 29 * 86_400
#: Seconds until work begins. Illustrative: the vendor promises a day and is done within an hour.
STARTS_S = 2
#: What became of a line, in the order in which they are counted.
ENDS = ("succeeded", "errored", "canceled", "expired")
#: Those of the client's headers that its lines are asked with.
_PASSED_ON = ("anthropic-version", "anthropic-beta")
_HEADER_CHARS_MAX = 1000
_LINES_HEADERS = ((b"content-type", b"application/x-jsonl"),)


class LineOfBatch(wire.Exact):
    custom_id: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    params: dict[str, Any]


class CreateBatch(wire.Exact):
    requests: Annotated[list[LineOfBatch], Field(min_length=1, max_length=_REQUESTS_MAX)]
    user_profile_id: str | None = None
    workspace_id: str | None = None


BATCHES = Resource(
    kind="message_batch",
    object="message_batch",
    prefix="msgbatch_01",
    path="/messages/batches",
    param="batch_id",
    missing=errors.message_batch_not_found,
    id_length=22,
    limit_max=1000,
)


# --- rows ------------------------------------------------------------------------------------------


def why(row: Row, now: float) -> str:
    """Why no more of its lines are asked, as their results say; "" while they are."""
    if row.document["status"] == "canceling":
        return "canceled"
    return "expired" if now >= row.document["created_at"] + _EXPIRES_S else ""


def counted(row: Row, results: Sequence[Result]) -> Row:
    counts = dict(row.document["counts"])
    for result in results:
        for name, amount in zip(ENDS, result.amounts, strict=True):
            counts[name] += amount
    return row.merged(counts=counts)


def ended(row: Row, blob: str, now: float) -> Row:
    """Its bytes are those of its results from here on."""
    return replace(row.merged(status="ended", ended_at=now), blob=blob)


def _begun(row: Row, call: Call, total: int, blob: str) -> Row:
    headers = {name: call.header(name.encode())[:_HEADER_CHARS_MAX] for name in _PASSED_ON}
    row = row.merged(
        status="in_progress", cancelled_at=None, ended_at=None, total=total,
        counts=dict.fromkeys(ENDS, 0), progress=desk.begun(),
        asked={
            "headers": {name: value for name, value in headers.items() if value},
            "key_id": call.key_id,
            "user_id": call.user_id,
        },
    )  # fmt: skip
    return replace(row, blob=blob, due_at=row.created_at + STARTS_S)


def _cancelled(row: Row, now: float) -> Row:
    """Raises 400."""
    if row.document["status"] == "ended":
        raise errors.message_batch_has_ended(row.key.id)
    if row.document["status"] == "canceling":
        return row
    row = row.merged(status="canceling", cancelled_at=int(now))
    return replace(row, due_at=row.due_at if row.owner else now)


def _require_ended(row: Row) -> Row:
    """Raises 400."""
    if row.document["status"] != "ended":
        raise errors.message_batch_has_not_ended(row.key.id)
    return row


# --- replies ---------------------------------------------------------------------------------------


def _shown(call: Call, row: Row) -> dict[str, Any]:
    kept = row.document
    has_ended = kept["status"] == "ended"
    processing = {**dict.fromkeys(ENDS, 0), "processing": kept["total"]}
    archived_at = kept["created_at"] + _ARCHIVED_S
    is_archived = call.wall() >= archived_at
    results_url = f"{call.origin}/v1/messages/batches/{row.key.id}/results"
    return {
        "id": row.key.id, "type": "message_batch", "processing_status": kept["status"],
        "request_counts": {"processing": 0, **kept["counts"]} if has_ended else processing,
        "created_at": _instant(kept["created_at"]),
        "expires_at": _instant(kept["created_at"] + _EXPIRES_S),
        "archived_at": _instant(archived_at) if is_archived else None,
        "ended_at": _instant(kept["ended_at"]) if has_ended else None,
        "cancel_initiated_at": _instant(kept["cancelled_at"]),
        "results_url": results_url if has_ended and not is_archived else None,
    }  # fmt: skip


def _instant(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


# --- operations ------------------------------------------------------------------------------------


async def create_batch(call: Call) -> Reply:
    request: CreateBatch = call.body
    blob = await call.store.blobs.put(_lines(request.requests))
    total = len(request.requests)
    row = await BATCHES.insert(call, lambda row: _begun(row, call, total, blob.name))
    call.dispatch(row.key)
    return json_reply(_shown(call, row))


def _lines(requests: Sequence[LineOfBatch]) -> Iterator[bytes]:
    """Raises 400."""
    seen: set[str] = set()
    for k, line in enumerate(requests):
        if line.custom_id in seen:
            raise invalid(f"requests.{k}.custom_id", f"'{line.custom_id}' is not unique")
        seen.add(line.custom_id)
        yield orjson.dumps({"custom_id": line.custom_id, "params": line.params}) + b"\n"


async def get_batch(call: Call) -> Reply:
    return json_reply(_shown(call, await BATCHES.row(call)))


async def list_batches(call: Call) -> Reply:
    """The newest first."""
    after, before = (call.query.get(name, "") for name in ("after_id", "before_id"))
    limit = limit_of(call.query.get("limit"))
    try:
        page = await call.store.page(
            BATCHES.kind, call.project, after=after, before=before, limit=limit
        )
    except Missing as error:
        name = "after_id" if error.key.id == after else "before_id"
        raise invalid(name, f"'{error.key.id[:100]}' is not a batch of this list") from None
    listed = Page([row.key.id for row in page.rows], page.has_more)
    return json_reply(listed.of([_shown(call, row) for row in page.rows]))


async def cancel_batch(call: Call) -> Reply:
    row = await BATCHES.changed(call, lambda row: _cancelled(row, call.wall()))
    call.dispatch(row.key)
    return json_reply(_shown(call, row))


async def delete_batch(call: Call) -> Reply:
    key = BATCHES.key(call)
    try:
        await call.store.commit(Change(key, _require_ended), Delete(key))
    except Missing:
        raise errors.message_batch_not_found(key.id) from None
    return json_reply({"id": key.id, "type": "message_batch_deleted"})


async def batch_results(call: Call) -> Reply:
    row = await BATCHES.row(call)
    shown: Mapping[str, Any] = _shown(call, row)
    if shown["results_url"] is None or row.blob is None:
        raise errors.message_batch_has_no_results(row.key.id)
    chunks = (Chunk(piece) async for piece in call.store.blobs.chunks(row.blob))
    return Reply(200, _LINES_HEADERS, chunks)
