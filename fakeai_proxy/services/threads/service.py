"""Threads, and what the room offers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply
from fakeai_proxy.services import assisting
from fakeai_proxy.services.job import Job
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.resources import with_metadata
from fakeai_proxy.services.threads import messages, running, runs, steps, wire
from fakeai_proxy.services.threads.kinds import RUNS, THREADS
from fakeai_proxy.services.threads.messages import with_resources
from fakeai_proxy.store import Missing, Row, Write


async def create_thread(call: Call) -> Reply:
    asked: wire.CreateThreadRequest = call.body
    resources = await checked(call, asked)
    try:
        row = await THREADS.insert(
            call,
            lambda row: filled(row, asked, resources),
            lambda row: messages.inserted(call, row.key, asked.messages or ()),
        )
    except Missing as error:
        raise errors.no_such_file(error.key.id, "messages") from None
    return THREADS.reply(call, row)


async def checked(call: Call, asked: wire.CreateThreadRequest, path: str = "") -> dict[str, Any]:
    """The resources of a thread to be made. Raises 400 and 404."""
    assisting.check_extra(asked)
    for k, message in enumerate(asked.messages or ()):
        await messages.check(call, message, f"{path}messages[{k}]")
    resources = await assisting.shown_resources(call, asked.tool_resources, f"{path}tool_resources")
    store_id = await messages.searched(call, resources, asked.messages or ())
    if store_id:
        resources["file_search"] = {"vector_store_ids": [store_id]}
    return resources


def filled(row: Row, asked: wire.CreateThreadRequest, resources: dict[str, Any]) -> Row:
    row = row.merged(
        metadata=asked.metadata or {}, tool_resources=resources, _active_run=None, _session_at=None
    )
    return messages.attached(row, asked.messages or ())


async def modify_thread(call: Call) -> Reply:
    asked: wire.ModifyThreadRequest = call.body
    assisting.check_extra(asked)
    given = asked.tool_resources
    resources = None if given is None else await assisting.shown_resources(call, given)

    def change(row: Row) -> Row:
        return with_resources(with_metadata(row, asked.metadata), resources)

    return THREADS.reply(call, await THREADS.changed(call, change))


async def create_thread_and_run(call: Call) -> Reply:
    asked: wire.CreateThreadAndRunRequest = call.body
    new = asked.thread or wire.CreateThreadRequest()
    resources = await checked(call, new, "thread.")
    if asked.tool_resources is not None:
        resources |= await assisting.shown_resources(call, asked.tool_resources)
    begun = await runs.prepared(call, asked)

    def also(thread: Row) -> Iterable[Write]:
        yield from messages.inserted(call, thread.key, new.messages or ())
        yield from begun.writes(thread)

    try:
        thread = await THREADS.insert(call, lambda row: filled(row, new, resources), also)
    except Missing as error:
        raise errors.no_such_file(error.key.id, "thread.messages") from None
    created = ("thread.created", THREADS.show(thread, call.wall()))
    return await runs.answered(call, begun, (created,))


_ONE = "/threads/{thread_id}"
OPERATIONS = assisting.entered(
    (
        Operation("createThread", "POST", "/threads", create_thread, wire.CreateThreadRequest),
        *THREADS.operations(retrieve="getThread", delete="deleteThread"),
        Operation("modifyThread", "POST", _ONE, modify_thread, wire.ModifyThreadRequest),
        Operation("createThreadAndRun", "POST", "/threads/runs", create_thread_and_run,
                  wire.CreateThreadAndRunRequest),
        *messages.OPERATIONS,
        *runs.OPERATIONS,
        *steps.OPERATIONS,
    )
)  # fmt: skip
#: Of one process; the back end has its own limits.
_RUNS_AT_ONCE = 256
JOBS = (Job(RUNS.kind, running.run, _RUNS_AT_ONCE),)
