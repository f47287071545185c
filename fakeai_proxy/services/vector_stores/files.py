"""The files of a vector store, one by one and in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from fakeai_proxy import errors
from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.filing import FILES
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.vector_stores import pack, wire
from fakeai_proxy.services.vector_stores.chunking import Strategy
from fakeai_proxy.services.vector_stores.rows import (
    BATCHES,
    CANCELLED,
    COMPLETED,
    FILE_KIND,
    IN_PROGRESS,
    NO_FILES,
    STATUSES,
    STORE_FILES,
    STORES,
    batch_recounted,
    ended,
    is_expired,
    recounted,
    removal,
    revised,
    unchanged,
)
from fakeai_proxy.services.wire import json_reply
from fakeai_proxy.store import (
    Blobs,
    Change,
    Conflict,
    Exists,
    Insert,
    Key,
    Missing,
    Require,
    Row,
    Write,
)

#: How often a change is tried that others get in the way of.
_TRIES = 16
#: Files looked up at a time.
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file as it shall be in the vector store."""

    file_id: str
    strategy: Strategy
    attributes: Mapping[str, Any]


class Source(NamedTuple):
    """A file to attach, what it is of, and what is in its place now."""

    wanted: Wanted
    file: Row
    held: Row | None


async def sources(
    call: Call, wanted: Sequence[Wanted], path: str, store: Key | None = None
) -> list[Source]:
    """Each file once, as it was last asked for; `store` is the vector store if there is one already.
    Raises 404."""
    asked = list({each.file_id: each for each in wanted}.values())
    found: list[Source] = []
    for start in range(0, len(asked), _AT_ONCE):
        part = asked[start : start + _AT_ONCE]
        keys = [FILES.key(call, each.file_id) for each in part]
        files = await asyncio.gather(*[call.store.get(key) for key in keys])
        held: list[Row | None] = [None] * len(part)
        if store is not None:
            places = [Key(FILE_KIND, each.file_id, store.path) for each in part]
            held = list(await asyncio.gather(*[call.store.get(place) for place in places]))
        for each, file, there in zip(part, files, held, strict=True):
            if file is None:
                raise errors.no_such_file(each.file_id, path)
            found.append(Source(each, file, there))
    return found


def attachments(call: Call, store: Key, found: Sequence[Source], batch_id: str = "") -> list[Write]:
    """What makes these files of the store, to be read by jobs. A file that is there already begins
    anew."""
    writes: list[Write] = []
    for each in found:
        if each.held is not None:
            writes += removal(each.held)
        writes.append(Require(each.file.key))
        writes.append(Insert(_file(call, store, each, batch_id)))
    if found:
        writes.append(recounted(store, {IN_PROGRESS: len(found), "total": len(found)}))
    return writes


def _file(call: Call, store: Key, source: Source, batch_id: str) -> Row:
    wanted = source.wanted
    document = {
        "id": wanted.file_id, "object": STORE_FILES.object, "created_at": call.created,
        "usage_bytes": 0, "vector_store_id": store.id, "status": IN_PROGRESS, "last_error": None,
        "attributes": dict(wanted.attributes), "chunking_strategy": wanted.strategy.shown,
        "filename": source.file.document["filename"],
    }  # fmt: skip
    tags = {"file": wanted.file_id, "status": IN_PROGRESS}
    return Row(
        Key(FILE_KIND, wanted.file_id, store.path), document, float(call.created),
        tags={**tags, "batch": batch_id} if batch_id else tags, due_at=call.wall(),
    )  # fmt: skip


async def _open_store(call: Call) -> Row:
    """Raises 404 and 400."""
    store = await STORES.row(call)
    if is_expired(store, call.wall()):
        raise errors.vector_store_expired(store.key.id)
    return store


def _active(store: Row, now: float) -> Change:
    return Change(store.key, lambda row: row.merged(last_active_at=int(now)))


# --- one by one ------------------------------------------------------------------------------------


async def create_file(call: Call) -> Reply:
    asked: wire.CreateFile = call.body
    wire.check_known(asked)
    strategy = wire.strategy_of(asked.chunking_strategy, "chunking_strategy")
    store = await _open_store(call)
    wanted = [Wanted(asked.file_id, strategy, asked.attributes or {})]
    for _ in range(_TRIES):
        found = await sources(call, wanted, "file_id", store.key)
        writes = attachments(call, store.key, found)
        with suppress(Conflict, Exists):
            try:
                await call.store.commit(_active(store, call.wall()), *writes)
            except Missing as error:
                raise _gone(call, error.key, "file_id") from None
            key = STORE_FILES.key(call, asked.file_id)
            call.dispatch(key)
            return STORE_FILES.reply(call, await STORE_FILES.row(call, asked.file_id))
    raise errors.server_error()


def _gone(call: Call, key: Key, path: str) -> ApiError:
    if key.kind == FILES.kind:
        return errors.no_such_file(key.id, path)
    return errors.no_such_vector_store(call.params["vector_store_id"])


def _checked_filter(call: Call) -> None:
    given = call.query.get("filter", "")
    if given and given not in STATUSES:
        raise errors.invalid_value("filter", given, STATUSES)


async def list_files(call: Call) -> Reply:
    _checked_filter(call)
    return await STORE_FILES.list_some(call)


async def update_file(call: Call) -> Reply:
    asked: wire.UpdateFile = call.body
    wire.check_known(asked)
    store = STORES.key(call)

    def change(row: Row) -> Row:
        return row.merged(attributes=dict(asked.attributes or {}))

    try:
        found, _ = await call.store.commit(Change(STORE_FILES.key(call), change), revised(store))
    except Missing:
        raise await STORE_FILES.not_found(call, call.params["file_id"]) from None
    assert found is not None, "a change answers with its row"
    return STORE_FILES.reply(call, found)


async def delete_file(call: Call) -> Reply:
    for _ in range(_TRIES):
        file = await STORE_FILES.row(call)
        with suppress(Conflict):
            try:
                await call.store.commit(*removal(file))
            except Missing:
                raise await STORE_FILES.not_found(call, file.key.id) from None
            body = {"id": file.key.id, "object": "vector_store.file.deleted", "deleted": True}
            return json_reply(body)
    raise errors.server_error()


async def file_content(call: Call) -> Reply:
    file = await STORE_FILES.row(call)
    if file.document["status"] != COMPLETED or file.blob is None:
        raise errors.file_not_processed(file.document["status"])
    with call.clock.hold():
        texts = await asyncio.to_thread(_texts, call.store.blobs, file.blob)
    data = [{"type": "text", "text": text} for text in texts]
    page = {"object": "vector_store.file_content.page", "data": data}
    return json_reply({**page, "has_more": False, "next_page": None})


def _texts(blobs: Blobs, blob: str) -> list[str]:
    with blobs.open_file(blob) as file:
        return pack.texts(file)


# --- in batches ------------------------------------------------------------------------------------


def _wanted(asked: wire.CreateBatch) -> list[Wanted]:
    """Raises 400."""
    if asked.files is not None and asked.file_ids is not None:
        raise errors.mutually_exclusive("file_ids", "files")
    if asked.files is not None:
        return [
            Wanted(
                each.file_id,
                wire.strategy_of(each.chunking_strategy, f"files[{k}].chunking_strategy"),
                each.attributes or {},
            )
            for k, each in enumerate(asked.files)
        ]
    if asked.file_ids is None:
        raise errors.missing_parameter("file_ids")
    strategy = wire.strategy_of(asked.chunking_strategy, "chunking_strategy")
    return [Wanted(each, strategy, asked.attributes or {}) for each in asked.file_ids]


async def create_batch(call: Call) -> Reply:
    asked: wire.CreateBatch = call.body
    wire.check_known(asked)
    wanted = _wanted(asked)
    store = await _open_store(call)
    path = "file_ids" if asked.files is None else "files"
    for _ in range(_TRIES):
        found = await sources(call, wanted, path, store.key)
        with suppress(Conflict, Exists):
            batch = await _inserted(call, store, found)
            call.dispatch(Key(FILE_KIND, wanted[0].file_id, store.key.path))
            return BATCHES.reply(call, batch)
    raise errors.server_error()


async def _inserted(call: Call, store: Row, found: Sequence[Source]) -> Row:
    """A batch of these files. Raises 404, Conflict and Exists."""
    counts = {**NO_FILES, IN_PROGRESS: len(found), "total": len(found)}

    def make(row: Row) -> Row:
        return row.merged(vector_store_id=store.key.id, status=IN_PROGRESS, file_counts=counts)

    def also(row: Row) -> list[Write]:
        active = _active(store, call.wall())
        return [active, *attachments(call, store.key, found, row.key.id)]

    try:
        return await BATCHES.insert(call, make, also)
    except Missing as error:
        raise _gone(call, error.key, "file_ids") from None


async def cancel_batch(call: Call) -> Reply:
    for _ in range(_TRIES):
        batch = await BATCHES.row(call)
        status = BATCHES.show(batch, call.wall())["status"]
        if status != IN_PROGRESS:
            raise errors.batch_not_cancellable(status)
        files = await call.store.page(
            FILE_KIND, batch.key.parent, tags={"batch": batch.key.id, "status": IN_PROGRESS},
            limit=wire.BATCH_FILES_MAX,
        )  # fmt: skip
        with suppress(Conflict):
            await call.store.commit(*_cancellations(STORES.key(call), batch, files.rows))
            return BATCHES.reply(call, await BATCHES.row(call))
    raise errors.server_error()


def _cancellations(store: Key, batch: Row, files: Sequence[Row]) -> Iterable[Write]:
    """Whoever works on one of them loses it."""
    moved = {IN_PROGRESS: -len(files), CANCELLED: len(files)}
    for file in files:
        yield unchanged(file)
        yield Change(file.key, lambda row: ended(row, CANCELLED))
    yield recounted(store, moved)
    yield batch_recounted(batch.key, moved, CANCELLED)


async def list_batch_files(call: Call) -> Reply:
    _checked_filter(call)
    batch = await BATCHES.row(call)
    page = await STORE_FILES.page(call, {"batch": batch.key.id})
    return STORE_FILES.listing(call, page)


_FILE = "/vector_stores/{vector_store_id}/files/{file_id}"
_BATCH = "/vector_stores/{vector_store_id}/file_batches/{batch_id}"
OPERATIONS = (
    Operation("createVectorStoreFile", "POST", STORE_FILES.path, create_file, wire.CreateFile),
    Operation("listVectorStoreFiles", "GET", STORE_FILES.path, list_files),
    *STORE_FILES.operations(retrieve="getVectorStoreFile"),
    Operation("updateVectorStoreFileAttributes", "POST", _FILE, update_file, wire.UpdateFile),
    Operation("deleteVectorStoreFile", "DELETE", _FILE, delete_file),
    Operation("retrieveVectorStoreFileContent", "GET", f"{_FILE}/content", file_content),
    Operation("createVectorStoreFileBatch", "POST", BATCHES.path, create_batch, wire.CreateBatch),
    *BATCHES.operations(retrieve="getVectorStoreFileBatch"),
    Operation("cancelVectorStoreFileBatch", "POST", f"{_BATCH}/cancel", cancel_batch),
    Operation("listFilesInVectorStoreBatch", "GET", f"{_BATCH}/files", list_batch_files),
)
