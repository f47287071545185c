"""Files: bytes with a purpose, kept and given back exactly."""

from __future__ import annotations

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.filing import (
    FILE_BYTES_MAX,
    FILES,
    PURPOSES,
    ExpiresAfter,
    PurposeName,
    check_name,
    checked,
    content_reply,
    keep_file,
)
from fakeai_proxy.services.form import FormShape, Upload
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.wire import json_reply
from fakeai_proxy.store import Conflict, Delete, Missing, pieces_of

#: The fields and boundaries around the bytes.
_FORM_BYTES = 1 << 20
#: How often a deletion is tried that others get in the way of.
_TRIES = 16


class FormExpiresAfter(ExpiresAfter, FormShape):
    """The same, whose number is a text in a form."""


class CreateFileRequest(FormShape):
    file: Upload
    purpose: PurposeName
    expires_after: FormExpiresAfter | None = None


async def create_file(call: Call) -> Reply:
    asked: CreateFileRequest = call.body
    upload = asked.file
    check_name(asked.purpose, upload.filename, upload.size)
    expires_s = PURPOSES[asked.purpose].expires_s
    if asked.expires_after is not None:
        expires_s = asked.expires_after.seconds
    pieces = checked(asked.purpose, pieces_of(upload.file))
    row = await keep_file(call, upload.filename, asked.purpose, pieces, expires_s)
    return FILES.reply(call, row)


async def download_file(call: Call) -> Reply:
    row = await FILES.row(call)
    assert row.blob is not None, "a file has its bytes"
    return content_reply(call.store.blobs, row.blob, row.document, row.document["filename"])


async def delete_file(call: Call) -> Reply:
    """It leaves its vector stores, too."""
    from fakeai_proxy.services.vector_stores.rows import detachments

    key = FILES.key(call)
    for _ in range(_TRIES):
        try:
            left = await detachments(call.store, call.project, key.id)
            await call.store.commit(*left, Delete(key))
        except (Conflict, Missing) as error:
            if error.key == key:
                raise errors.no_such_file(key.id) from None
            continue  # somebody else changes what it leaves
        return json_reply({"id": key.id, "object": "file", "deleted": True})
    raise errors.server_error()


OPERATIONS = (
    Operation(
        "createFile", "POST", "/files", create_file, form=CreateFileRequest,
        form_bytes_max=FILE_BYTES_MAX + _FORM_BYTES,
    ),
    *FILES.operations(list="listFiles", retrieve="retrieveFile"),
    Operation("deleteFile", "DELETE", "/files/{file_id}", delete_file),
    Operation("downloadFile", "GET", "/files/{file_id}/content", download_file),
)  # fmt: skip
