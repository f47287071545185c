"""Uploads: a file in parts, sent in any order and put together in the one that its completion names."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.filing import (
    FILES,
    PURPOSES,
    ExpiresAfter,
    PurposeName,
    check_name,
    checked,
    file_row,
)
from fakeai_proxy.services.form import FormShape, Upload
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.resources import Resource
from fakeai_proxy.services.wire import Shape
from fakeai_proxy.store import Blob, Blobs, Change, Delete, Row, Write, pieces_of

#: platform.openai.com/docs/api-reference/uploads: all parts, one part, and how long parts may come.
UPLOAD_BYTES_MAX, PART_BYTES_MAX, PENDING_S = 8 << 30, 64 << 20, 3600
#: So many parts at most make a file; a limit of ours.
PARTS_MAX = 10_000
_FORM_BYTES = 1 << 20


class CreateUploadRequest(Shape):
    filename: Annotated[str, Field(min_length=1)]
    purpose: PurposeName
    bytes: Annotated[int, Field(ge=1, le=UPLOAD_BYTES_MAX)]
    mime_type: str
    expires_after: ExpiresAfter | None = None


class AddPartRequest(FormShape):
    data: Upload


class CompleteUploadRequest(Shape):
    part_ids: Annotated[list[str], Field(min_length=1, max_length=PARTS_MAX)]
    md5: str | None = None


def _status(row: Row, now: float) -> str:
    status: str = row.document["status"]
    expired = status == "pending" and now >= row.document["expires_at"]
    return "expired" if expired else status


def _show(row: Row, now: float) -> Mapping[str, Any]:
    shown = {name: value for name, value in row.document.items() if name not in _HIDDEN}
    return {**shown, "status": _status(row, now)}


#: What the completion needs to know of the creation.
_HIDDEN = ("expires_s", "mime_type")


def _make(call: Call, row: Row) -> Row:
    asked: CreateUploadRequest = call.body
    check_name(asked.purpose, asked.filename, 1)
    after = asked.expires_after
    return row.merged(
        bytes=asked.bytes,
        filename=asked.filename,
        purpose=asked.purpose,
        status="pending",
        expires_at=call.created + PENDING_S,
        file=None,
        mime_type=asked.mime_type,
        expires_s=PURPOSES[asked.purpose].expires_s if after is None else after.seconds,
    )


UPLOADS = Resource(
    kind="upload",
    object="upload",
    prefix="upload_",
    path="/uploads",
    param="upload_id",
    missing=errors.no_such_upload,
    show=_show,
    create=CreateUploadRequest,
    make=_make,
)
PARTS = Resource(
    kind="upload.part",
    object="upload.part",
    prefix="part_",
    path="/uploads/{upload_id}/parts",
    param="part_id",
    missing=errors.no_such_part,
    within=UPLOADS,
    show=lambda row, now: {k: v for k, v in row.document.items() if k != "bytes"},
)


def _pending(row: Row, now: float) -> Row:
    """Raises 400."""
    status = _status(row, now)
    if status != "pending":
        raise errors.upload_not_pending(status)
    return row


async def add_part(call: Call) -> Reply:
    asked: AddPartRequest = call.body
    upload = await UPLOADS.row(call)
    _pending(upload, call.wall())
    if asked.data.size > PART_BYTES_MAX:
        raise errors.file_too_large(PART_BYTES_MAX, asked.data.size)
    blob = await call.store.blobs.put(pieces_of(asked.data.file))
    now = call.wall()

    def make(row: Row) -> Row:
        row = row.merged(upload_id=upload.key.id, bytes=blob.size_bytes)
        return replace(row, blob=blob.name)

    def also(row: Row) -> list[Write]:
        return [Change(upload.key, lambda row: _pending(row, now))]

    return PARTS.reply(call, await PARTS.insert(call, make, also))


async def cancel_upload(call: Call) -> Reply:
    now = call.wall()
    row = await UPLOADS.changed(call, lambda row: _pending(row, now).merged(status="cancelled"))
    return UPLOADS.reply(call, row)


async def complete_upload(call: Call) -> Reply:
    asked: CompleteUploadRequest = call.body
    upload = _pending(await UPLOADS.row(call), call.wall())
    document = upload.document
    parts = await _parts(call, asked.part_ids)
    size = sum(part.document["bytes"] for part in parts)
    if size != document["bytes"]:
        raise errors.upload_incomplete(document["bytes"], size)
    check_name(document["purpose"], document["filename"], size)
    joined = _joined(call.store.blobs, parts)
    blob = await call.store.blobs.put(checked(document["purpose"], joined))
    if asked.md5 is not None and asked.md5.lower() != blob.md5:
        raise errors.wrong_md5(asked.md5, blob.md5)
    return UPLOADS.reply(call, await _completed(call, upload, blob))


async def _completed(call: Call, upload: Row, blob: Blob) -> Row:
    """One completion wins; the parts are needed no longer."""
    document, now = upload.document, call.wall()
    parts = await call.store.page(PARTS.kind, PARTS.parent(call), limit=PARTS_MAX)

    def make(row: Row) -> Row:
        return file_row(row, document["filename"], document["purpose"], blob, document["expires_s"])

    def also(file: Row) -> list[Write]:
        def complete(row: Row) -> Row:
            return _pending(row, now).merged(status="completed", file=file.document)

        return [Change(upload.key, complete), *[Delete(part.key) for part in parts.rows]]

    await FILES.insert(call, make, also)
    return await UPLOADS.row(call)


async def _parts(call: Call, part_ids: list[str]) -> list[Row]:
    """In this order. Raises 400, for a part that comes twice as well."""
    twice = next((one for one, count in Counter(part_ids).items() if count > 1), None)
    if twice is not None:
        raise errors.no_such_part(twice)
    keys = [PARTS.key(call, part_id) for part_id in part_ids]
    rows = await asyncio.gather(*[call.store.get(key) for key in keys])
    parts = [row for row in rows if row is not None]
    if len(parts) < len(rows):
        raise errors.no_such_part(part_ids[rows.index(None)])
    return parts


def _joined(blobs: Blobs, parts: list[Row]) -> Iterator[bytes]:
    for part in parts:
        assert part.blob is not None, "a part has its bytes"
        with blobs.open_file(part.blob) as file:
            yield from pieces_of(file)


OPERATIONS = (
    *UPLOADS.operations(create="createUpload"),
    Operation(
        "addUploadPart", "POST", PARTS.path, add_part, form=AddPartRequest,
        form_bytes_max=PART_BYTES_MAX + _FORM_BYTES,
    ),
    Operation("completeUpload", "POST", "/uploads/{upload_id}/complete", complete_upload,
              CompleteUploadRequest),
    Operation("cancelUpload", "POST", "/uploads/{upload_id}/cancel", cancel_upload),
)  # fmt: skip
