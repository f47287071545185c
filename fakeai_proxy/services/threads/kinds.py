"""The four resources of the room, and how each of them is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.services.assisting import visible
from fakeai_proxy.services.resources import Resource
from fakeai_proxy.services.threads import life
from fakeai_proxy.services.threads.wire import ModifyRequest
from fakeai_proxy.store import Row

THREADS = Resource(
    kind="thread",
    object="thread",
    prefix="thread_",
    path="/threads",
    param="thread_id",
    missing=errors.no_such_thread,
    show=visible,
)
MESSAGES = Resource(
    kind="thread.message",
    object="thread.message",
    prefix="msg_",
    path="/threads/{thread_id}/messages",
    param="message_id",
    missing=errors.no_such_message,
    within=THREADS,
    show=visible,
    modify=ModifyRequest,
    filters={"run_id": "run_id"},
)


def _run_shown(row: Row, now: float) -> Mapping[str, Any]:
    shown = {**visible(row, now), "status": life.status_of(row, now)}
    return {**shown, "required_action": None} if shown["status"] == "expired" else shown


RUNS = Resource(
    kind="thread.run",
    object="thread.run",
    prefix="run_",
    path="/threads/{thread_id}/runs",
    param="run_id",
    missing=errors.no_such_run,
    within=THREADS,
    show=_run_shown,
    modify=ModifyRequest,
)


def step_shown(document: Mapping[str, Any], with_content: bool) -> dict[str, Any]:
    """What a search has read is told to who asks for it."""
    shown = {name: value for name, value in document.items() if not name.startswith("_")}
    details = shown["step_details"]
    if details["type"] == "tool_calls":
        calls = [_call_shown(call, with_content) for call in details["tool_calls"]]
        shown["step_details"] = {**details, "tool_calls": calls}
    return shown


def _call_shown(call: Mapping[str, Any], with_content: bool) -> dict[str, Any]:
    call = {name: value for name, value in call.items() if not name.startswith("_")}
    if call["type"] == "file_search" and not with_content:
        search = call["file_search"]
        results = [
            {name: value for name, value in hit.items() if name != "content"}
            for hit in search["results"]
        ]
        call = {**call, "file_search": {**search, "results": results}}
    return call


STEPS = Resource(
    kind="thread.run.step",
    object="thread.run.step",
    prefix="step_",
    path="/threads/{thread_id}/runs/{run_id}/steps",
    param="step_id",
    missing=errors.no_such_run_step,
    within=RUNS,
    show=lambda row, now: step_shown(row.document, False),
)
