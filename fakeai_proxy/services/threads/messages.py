"""Messages of a thread: what a client says, and what runs have said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply
from fakeai_proxy.services import assisting
from fakeai_proxy.services.assisting import shown
from fakeai_proxy.services.filing import FILES
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.resources import with_metadata
from fakeai_proxy.services.threads import life, wire
from fakeai_proxy.services.threads.kinds import MESSAGES, THREADS
from fakeai_proxy.services.vector_stores.making import added, made
from fakeai_proxy.services.vector_stores.wire import CreateStore, ExpiresAfter
from fakeai_proxy.services.wire import json_reply
from fakeai_proxy.store import Change, Delete, Insert, Key, Missing, Require, Row, Write

#: platform.openai.com/docs/assistants/tools/file-search: how long a vector store of attachments lasts
#: after it was used last.
_STORE_DAYS = 7


async def check(call: Call, asked: wire.CreateMessageRequest, path: str = "") -> None:
    """Raises 400, and 404 for a file that is not there. `path` leads to it in the request."""
    assisting.check_extra(asked)
    before = f"{path}." if path else ""
    if isinstance(asked.content, str):
        if not asked.content.strip():
            raise errors.message_is_empty(f"{before}content")
    else:
        ids = [part.image_file.file_id for part in _pictures(asked.content)]
        await assisting.check_files(call, ids, f"{before}content")
    ids = [attached.file_id for attached in asked.attachments or ()]
    await assisting.check_files(call, ids, f"{before}attachments")


def _pictures(parts: Sequence[wire.Part]) -> Iterable[wire.ImageFilePart]:
    return [part for part in parts if isinstance(part, wire.ImageFilePart)]


def filled(row: Row, asked: wire.CreateMessageRequest, thread_id: str) -> Row:
    now = int(row.created_at)
    return row.merged(
        thread_id=thread_id,
        role=asked.role,
        status="completed",
        content=_content(asked.content),
        attachments=shown(asked.attachments or []),
        metadata=asked.metadata or {},
        assistant_id=None,
        run_id=None,
        completed_at=now,
        incomplete_at=None,
        incomplete_details=None,
    )


def _content(content: str | Sequence[wire.Part]) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [_text(content)]
    parts = []
    for part in content:
        if isinstance(part, wire.TextPart):
            parts.append(_text(part.text))
            continue
        told = shown(part)
        told[part.type].setdefault("detail", "auto")
        parts.append(told)
    return parts


def _text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": {"value": value, "annotations": []}}


def inserted(call: Call, thread: Key, asked: Sequence[wire.CreateMessageRequest]) -> list[Write]:
    """The writes that add messages to a thread which is there, or will be by then."""
    writes: list[Write] = []
    for place, one in enumerate(asked):
        begun = MESSAGES.begun(call, place, str(call.wall()), parent=thread.path)
        writes += [Require(key) for key in _files(call, one)]
        writes.append(Insert(filled(begun, one, thread.id)))
    return writes


def _files(call: Call, asked: wire.CreateMessageRequest) -> list[Key]:
    return [FILES.key(call, attached.file_id) for attached in asked.attachments or ()]


def attached(thread: Row, asked: Sequence[wire.CreateMessageRequest], store_id: str = "") -> Row:
    """The thread, whose code interpreter may use what is attached for it, and whose searches look into
    this vector store."""
    resources = dict(thread.document["tool_resources"])
    ids = _attached_for(asked, assisting.CodeInterpreter)
    if ids:
        known = resources.get("code_interpreter", {}).get("file_ids", [])
        every = list(dict.fromkeys([*known, *ids]))
        most = assisting.CODE_FILES_MAX
        if len(every) > most:
            raise errors.wrong_length("attachments", "array", "<=", most, len(every))
        resources["code_interpreter"] = {"file_ids": every}
    if store_id and not _searched_in(resources):
        resources["file_search"] = {"vector_store_ids": [store_id]}
    return thread.merged(tool_resources=resources)


async def searched(
    call: Call, resources: Mapping[str, Any], asked: Sequence[wire.CreateMessageRequest]
) -> str:
    """Puts what is attached for searches into the thread's vector store; the id of one that is made for
    that, "" where there is no need. Raises 404."""
    ids = _attached_for(asked, wire.SearchedIn)
    if not ids:
        return ""
    known = _searched_in(resources)
    if known:
        await added(call, known[0], ids, "attachments")
        return ""
    after = ExpiresAfter(anchor="last_active_at", days=_STORE_DAYS)
    return (await made(call, CreateStore(file_ids=ids, expires_after=after))).key.id


def _attached_for(
    asked: Sequence[wire.CreateMessageRequest],
    tool: type[assisting.CodeInterpreter] | type[wire.SearchedIn],
) -> list[str]:
    ids = [
        one.file_id
        for message in asked
        for one in message.attachments or ()
        if any(isinstance(each, tool) for each in one.tools)
    ]
    return list(dict.fromkeys(ids))


def _searched_in(resources: Mapping[str, Any]) -> list[str]:
    found: list[str] = resources.get("file_search", {}).get("vector_store_ids", [])
    return found


async def create_message(call: Call) -> Reply:
    asked: wire.CreateMessageRequest = call.body
    await check(call, asked)
    thread = await THREADS.row(call)
    life.unlocked_for_messages(thread)
    store_id = await searched(call, thread.document["tool_resources"], [asked])

    def also(row: Row) -> Iterable[Write]:
        yield Change(
            thread.key, lambda row: attached(life.unlocked_for_messages(row), [asked], store_id)
        )
        yield from [Require(key) for key in _files(call, asked)]

    try:
        row = await MESSAGES.insert(call, lambda row: filled(row, asked, thread.key.id), also)
    except Missing as error:
        raise errors.no_such_file(error.key.id, "attachments") from None
    return MESSAGES.reply(call, row)


async def modify_message(call: Call) -> Reply:
    asked: wire.ModifyRequest = call.body
    assisting.check_extra(asked)
    row = await MESSAGES.changed(call, lambda row: with_metadata(row, asked.metadata))
    return MESSAGES.reply(call, row)


async def delete_message(call: Call) -> Reply:
    key = MESSAGES.key(call)

    def free(thread: Row) -> Row:
        run_id = life.active_run(thread)
        if run_id:
            raise errors.message_is_locked(key.id, run_id)
        return thread

    try:
        await call.store.commit(Change(THREADS.key(call), free), Delete(key))
    except Missing:
        raise await MESSAGES.not_found(call, key.id) from None
    return json_reply({"id": key.id, "object": f"{MESSAGES.object}.deleted", "deleted": True})


def with_resources(row: Row, resources: Mapping[str, Any] | None) -> Row:
    if resources is None:
        return row
    return replace(row, document={**row.document, "tool_resources": resources})


_ONE = "/threads/{thread_id}/messages/{message_id}"
OPERATIONS = (
    Operation("createMessage", "POST", MESSAGES.path, create_message, wire.CreateMessageRequest),
    *MESSAGES.operations(list="listMessages", retrieve="getMessage"),
    Operation("modifyMessage", "POST", _ONE, modify_message, wire.ModifyRequest),
    Operation("deleteMessage", "DELETE", _ONE, delete_message),
)
