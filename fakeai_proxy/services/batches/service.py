"""The operations of the room, and its job."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.batches.record import (
    AZURE_ENDPOINTS,
    BATCHES,
    ENDPOINTS,
    CreateBatchRequest,
    begun,
    cancelled,
)
from fakeai_proxy.services.batches.work import run_batch
from fakeai_proxy.services.filing import FILES
from fakeai_proxy.services.job import Job
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.store import Missing, Require, Row, Write

#: Whose account the lines are asked on: they are the sender's, and so are these headers.
_PASSED_ON = ("openai-organization", "openai-project")
_HEADER_CHARS_MAX = 200


async def create_batch(call: Call) -> Reply:
    request: CreateBatchRequest = call.body
    for name in request.model_extra or ():
        raise errors.unknown_parameter(name[:100])
    endpoints = AZURE_ENDPOINTS if call.vendor == "azure" else ENDPOINTS
    if request.endpoint not in endpoints:
        raise errors.invalid_value("endpoint", request.endpoint, endpoints)
    file = await call.store.get(FILES.key(call, request.input_file_id))
    if file is None:
        raise errors.no_such_file(request.input_file_id, "input_file_id")
    if file.document["purpose"] != "batch":
        raise errors.not_for_batches(file.document["purpose"])

    def make(row: Row) -> Row:
        # The bytes stay, whatever becomes of the file.
        return replace(begun(row, request, _asked(call)), blob=file.blob, due_at=call.wall())

    def also(row: Row) -> Iterable[Write]:
        return (Require(file.key),)

    try:
        row = await BATCHES.insert(call, make, also)
    except Missing:
        raise errors.no_such_file(request.input_file_id, "input_file_id") from None
    call.dispatch(row.key)
    return BATCHES.reply(call, row)


def _asked(call: Call) -> dict[str, Any]:
    after = call.body.output_expires_after
    version = call.query.get("api-version", "")
    is_azure = call.vendor == "azure"
    dated = is_azure and version[:1].isdigit()
    headers = {name: call.header(name.encode())[:_HEADER_CHARS_MAX] for name in _PASSED_ON}
    return {
        "vendor": call.vendor,
        "base": "/openai/v1" if is_azure else "/v1",
        "version": version if dated else "",
        "headers": {name: value for name, value in headers.items() if value},
        "key_id": call.key_id,
        "user_id": call.user_id,
        "expires_s": None if after is None else after.seconds,
    }


async def cancel_batch(call: Call) -> Reply:
    now = call.wall()
    row = await BATCHES.changed(call, lambda row: cancelled(row, now))
    call.dispatch(row.key)
    return BATCHES.reply(call, row)


OPERATIONS = (
    Operation("createBatch", "POST", "/batches", create_batch, CreateBatchRequest),
    *BATCHES.operations(list="listBatches", retrieve="retrieveBatch"),
    Operation("cancelBatch", "POST", "/batches/{batch_id}/cancel", cancel_batch),
)
JOBS = (Job("batch", run_batch),)
