"""Vector stores, their files and batches of these as rows, and what keeps their counts right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.services.resources import Resource
from fakeai_proxy.store import Change, Conflict, Delete, Document, Key, Row, Store, Write

DAY_S = 86_400
IN_PROGRESS, COMPLETED, FAILED, CANCELLED = "in_progress", "completed", "failed", "cancelled"
STATUSES = (IN_PROGRESS, COMPLETED, FAILED, CANCELLED)
#: Vector stores that one file is taken out of.
_STORES_MAX = 10_000
FILE_KIND, BATCH_KIND = "vector_store.file", "vector_store.file_batch"


# --- as clients see them ---------------------------------------------------------------------------


def expires_at(document: Document) -> int | None:
    after = document["expires_after"]
    return None if after is None else document["last_active_at"] + after["days"] * DAY_S


def is_expired(row: Row, now: float) -> bool:
    end_at = expires_at(row.document)
    return end_at is not None and now >= end_at


def _show_store(row: Row, now: float) -> Mapping[str, Any]:
    shown = {name: value for name, value in row.document.items() if name != "revision"}
    busy = row.document["file_counts"][IN_PROGRESS]
    status = "expired" if is_expired(row, now) else IN_PROGRESS if busy else COMPLETED
    return {**shown, "status": status, "expires_at": expires_at(row.document)}


def _show_file(row: Row, now: float) -> Mapping[str, Any]:
    return {name: value for name, value in row.document.items() if name != "filename"}


def _show_batch(row: Row, now: float) -> Mapping[str, Any]:
    counts = row.document["file_counts"]
    status = row.document["status"]
    if status == IN_PROGRESS and not counts[IN_PROGRESS]:
        status = FAILED if counts[FAILED] == counts["total"] else COMPLETED
    return {**row.document, "status": status}


STORES = Resource(
    kind="vector_store",
    object="vector_store",
    prefix="vs_",
    path="/vector_stores",
    param="vector_store_id",
    missing=errors.no_such_vector_store,
    show=_show_store,
)
STORE_FILES = Resource(
    kind=FILE_KIND,
    object="vector_store.file",
    prefix="",
    path="/vector_stores/{vector_store_id}/files",
    param="file_id",
    missing=errors.no_such_vector_store_file,
    within=STORES,
    show=_show_file,
    filters={"filter": "status"},
)
BATCHES = Resource(
    kind=BATCH_KIND,
    object="vector_store.files_batch",
    prefix="vsfb_",
    path="/vector_stores/{vector_store_id}/file_batches",
    param="batch_id",
    missing=errors.no_such_file_batch,
    within=STORES,
    show=_show_batch,
)


# --- counts ----------------------------------------------------------------------------------------

NO_FILES = {**dict.fromkeys(STATUSES, 0), "total": 0}


def _counted(row: Row, changes: Mapping[str, int]) -> dict[str, int]:
    counts = dict(row.document["file_counts"])
    for status, change in changes.items():
        counts[status] += change
    return counts


def recounted(key: Key, changes: Mapping[str, int], usage_bytes: int = 0) -> Change:
    """Of a store, whose files have changed in this way."""

    def function(row: Row) -> Row:
        return row.merged(
            file_counts=_counted(row, changes),
            usage_bytes=row.document["usage_bytes"] + usage_bytes,
            revision=row.document["revision"] + 1,
        )

    return Change(key, function)


def batch_recounted(key: Key, changes: Mapping[str, int], status: str | None = None) -> Change:
    def function(row: Row) -> Row:
        row = row.merged(file_counts=_counted(row, changes))
        return row if status is None else row.merged(status=status)

    return Change(key, function)


def revised(key: Key) -> Change:
    """Of a store: whoever has it in memory reads its files again."""
    return Change(key, lambda row: row.merged(revision=row.document["revision"] + 1))


def store_key(file: Key) -> Key:
    project, _, store_id = file.parent.rpartition("/")
    return Key(STORES.kind, store_id, project)


def batch_key(file: Row) -> Key | None:
    batch_id = file.tags.get("batch")
    return None if batch_id is None else Key(BATCH_KIND, batch_id, file.key.parent)


def unchanged(file: Row) -> Change:
    """Holds while the file has the status with which it was read. Raises Conflict."""

    def function(row: Row) -> Row:
        if row.document["status"] != file.document["status"] or row.blob != file.blob:
            raise Conflict(row.key)
        return row

    return Change(file.key, function)


def ended(row: Row, status: str, **changes: Any) -> Row:
    """A file on which nobody works any longer."""
    tags = {**row.tags, "status": status}
    return replace(row.merged(status=status, **changes), tags=tags, due_at=None, owner="")


def removal(file: Row) -> list[Write]:
    """Of a file from its store; as long as it is as it was read. Raises Conflict and Missing."""
    status, batch = file.document["status"], batch_key(file)
    writes: list[Write] = [
        unchanged(file),
        Delete(file.key),
        recounted(
            store_key(file.key), {status: -1, "total": -1}, -file.document["usage_bytes"]
        ),
    ]  # fmt: skip
    if batch is not None and status == IN_PROGRESS:
        writes.append(batch_recounted(batch, {IN_PROGRESS: -1, CANCELLED: 1}))
    return writes


async def detachments(store: Store, project: str, file_id: str) -> list[Write]:
    """What takes a file out of all vector stores of its project."""
    held = await store.page(FILE_KIND, None, tags={"file": file_id}, limit=_STORES_MAX)
    mine = [row for row in held.rows if store_key(row.key).parent == project]
    return [write for row in mine for write in removal(row)]
