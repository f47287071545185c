"""The life of a run, as functions from its row as it is to the row as it shall be. Pure: whoever commits
them decides when; what may not happen raises.

    queued -> in_progress -> completed | failed | incomplete
                   |  requires_action -> queued
    any of these -> cancelling -> cancelled,   and after ten minutes -> expired

A run that has not ended is work that is due: at once, when somebody's lease on it ends, or, while it
waits for a client, when it expires.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.store import LeaseLost, Row

#: platform.openai.com/docs/assistants/deep-dive#runs-and-run-steps: after this a run expires.
EXPIRES_S = 600
#: What the name of an owner that is a stream begins with, and how long it may take to see that it has
#: lost its run: twice as long as it goes between looks.
STREAM, STREAM_NOTICES_S = "stream-", 4.0
ENDED = ("completed", "failed", "incomplete", "cancelled", "expired")
#: What may be cancelled.
_UNDER_WAY = ("queued", "in_progress", "requires_action")
#: When a run came to that end, by the member that says so.
_ENDED_AT = {"completed": "completed_at", "failed": "failed_at", "cancelled": "cancelled_at"}

BEGUN: Mapping[str, Any] = {
    "status": "queued", "started_at": None, "expires_at": None, "cancelled_at": None,
    "failed_at": None, "completed_at": None, "required_action": None, "last_error": None,
    "incomplete_details": None, "usage": None, "_turn": 0,
    "_usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
}  # fmt: skip


def is_expired(row: Row, now: float) -> bool:
    expires_at = row.document["_expires_at"]
    return row.document["status"] not in ENDED and now >= expires_at


def status_of(row: Row, now: float) -> str:
    """Time alone expires a run; whoever works on it writes that down."""
    return "expired" if is_expired(row, now) else str(row.document["status"])


def held(row: Row, owner: str) -> Row:
    """Raises LeaseLost where somebody else works on it."""
    if row.owner != owner:
        raise LeaseLost(row.key)
    return row


def started(row: Row, now: float) -> Row:
    document = row.document
    if document["status"] != "queued":
        return row
    first = document["started_at"]
    return row.merged(status="in_progress", started_at=int(now) if first is None else first)


def waiting(row: Row, calls: Sequence[Mapping[str, Any]], step_id: str) -> Row:
    """For the outputs of these calls, which are in that step."""
    asked = [
        {"id": call["id"], "type": "function",
         "function": {name: call["function"][name] for name in ("name", "arguments")}}
        for call in calls
    ]  # fmt: skip
    row = row.merged(
        status="requires_action",
        required_action={
            "type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": asked},
        },
        _step=step_id,
        _turn=row.document["_turn"] + 1,
    )  # fmt: skip
    return replace(row, due_at=row.document["_expires_at"], owner="")


def answered(row: Row, given: Sequence[str], now: float, owner: str, due_at: float) -> Row:
    """`given` are the ids of the calls that have outputs. Raises 400."""
    status = status_of(row, now)
    if status != "requires_action":
        raise errors.no_outputs_wanted(status)
    calls = row.document["required_action"]["submit_tool_outputs"]["tool_calls"]
    expected = [call["id"] for call in calls]
    if sorted(given) != sorted(expected):
        raise errors.wrong_outputs(expected, given)
    row = row.merged(status="queued", required_action=None)
    return replace(row, due_at=due_at, owner=owner)


def cancelling(row: Row, now: float) -> Row:
    """Whoever works on it has lost it. A stream is left to notice, for it knows what it has said. Raises
    400."""
    status = status_of(row, now)
    if status not in _UNDER_WAY:
        raise errors.cannot_cancel_run(status)
    due_at = now + STREAM_NOTICES_S if row.owner.startswith(STREAM) else now
    return replace(row.merged(status="cancelling", required_action=None), due_at=due_at, owner="")


def used(row: Row, prompt_tokens: int, completion_tokens: int) -> Row:
    before = row.document["_usage"]
    return row.merged(_usage=usage(
        before["prompt_tokens"] + prompt_tokens, before["completion_tokens"] + completion_tokens
    ))  # fmt: skip


def ended(row: Row, status: str, now: float, **details: Any) -> Row:
    """`details` are last_error or incomplete_details."""
    at = {_ENDED_AT[status]: int(now)} if status in _ENDED_AT else {}
    document = row.document
    row = row.merged(
        status=status,
        required_action=None,
        expires_at=document["expires_at"] if status == "expired" else None,
        usage=document["_usage"],
        **at,
        **details,
    )
    return replace(row, due_at=None, owner="")


def usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }  # fmt: skip


# --- the thread of a run -------------------------------------------------------------------------------


def active_run(thread: Row) -> str:
    """Its id, "" where there is none."""
    return str(thread.document.get("_active_run") or "")


def locked(thread: Row, run_id: str) -> Row:
    """Raises 400 where another run has it."""
    other = active_run(thread)
    if other:
        raise errors.run_is_active(thread.key.id, other)
    return thread.merged(_active_run=run_id)


def unlocked(thread: Row, run_id: str) -> Row:
    return thread.merged(_active_run=None) if active_run(thread) == run_id else thread


def unlocked_for_messages(thread: Row) -> Row:
    """Raises 400 where a run is active."""
    run_id = active_run(thread)
    if run_id:
        raise errors.thread_is_locked(thread.key.id, run_id)
    return thread
