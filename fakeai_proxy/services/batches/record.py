"""What is asked for and what is kept of a batch; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from fakeai_proxy import errors
from fakeai_proxy.services.batches.checking import Checker
from fakeai_proxy.services.bulk import desk
from fakeai_proxy.services.bulk.chunks import Result
from fakeai_proxy.services.filing import ExpiresAfter
from fakeai_proxy.services.resources import Resource
from fakeai_proxy.services.wire import Metadata, Shape
from fakeai_proxy.store import Row

#: platform.openai.com/docs/api-reference/batch/create: the one window there is.
WINDOW_S = 86_400
ENDPOINTS = (
    "/v1/responses", "/v1/chat/completions", "/v1/embeddings", "/v1/completions", "/v1/moderations",
    "/v1/images/generations", "/v1/images/edits", "/v1/videos",
)  # fmt: skip
#: As Azure writes them, too.
AZURE_ENDPOINTS = (*ENDPOINTS, *(endpoint.removeprefix("/v1") for endpoint in ENDPOINTS))
#: Amounts of a result, in the order in which they are counted.
AMOUNTS = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")
#: Members that clients do not see: how far the work has come, and what it needs to know.
_OURS = ("progress", "asked", "tokens")
_INSTANTS = (
    "in_progress_at", "finalizing_at", "completed_at", "failed_at", "expired_at", "cancelling_at",
    "cancelled_at",
)  # fmt: skip
#: The tag of a batch that is worked on: for which model its tokens wait.
QUEUE = "queue"
#: Statuses of work that goes on.
GOING = ("validating", "in_progress", "finalizing")


class CreateBatchRequest(Shape):
    input_file_id: str
    endpoint: str
    completion_window: Literal["24h"]
    metadata: Metadata | None = None
    output_expires_after: ExpiresAfter | None = None


def _show(row: Row, now: float) -> Mapping[str, Any]:
    return {name: value for name, value in row.document.items() if name not in _OURS}


BATCHES = Resource(
    kind="batch",
    object="batch",
    prefix="batch_",
    path="/batches",
    param="batch_id",
    missing=errors.no_such_batch,
    show=_show,
    id_length=32,
)


def begun(row: Row, request: CreateBatchRequest, asked: Mapping[str, Any]) -> Row:
    """`asked` is what the work needs to know of the request."""
    created = int(row.created_at)
    return row.merged(
        endpoint=request.endpoint, model=None, errors=None, input_file_id=request.input_file_id,
        completion_window=request.completion_window, status="validating", output_file_id=None,
        error_file_id=None, expires_at=created + WINDOW_S, **dict.fromkeys(_INSTANTS),
        request_counts={"total": 0, "completed": 0, "failed": 0}, usage=_usage(dict.fromkeys(AMOUNTS, 0)),
        metadata=request.metadata, progress=desk.begun(), asked=asked,
    )  # fmt: skip


def queued(row: Row, checker: Checker, now: float) -> Row:
    """Checked: its tokens wait for its model."""
    row = moved(row, "in_progress", now)
    counts = {"total": checker.total, "completed": 0, "failed": 0}
    row = row.merged(model=checker.model, request_counts=counts, tokens=checker.tokens)
    return replace(row, tags={QUEUE: checker.model or ""})


def moved(row: Row, status: str, now: float) -> Row:
    """To another status, whose instant is `now`."""
    return row.merged(**{"status": status, f"{status}_at": int(now)})


def cancelled(row: Row, now: float) -> Row:
    """Asked to be. Raises 409."""
    status = row.document["status"]
    if status == "cancelling":
        return row
    if status not in GOING:
        raise errors.batch_is_over(status)
    # Nobody works on it, perhaps not for a while: then it is due.
    return replace(moved(row, "cancelling", now), due_at=row.due_at if row.owner else now)


def why(row: Row, now: float) -> str:
    """Why no more of its lines are asked, as their errors say; "" while they are."""
    if row.document["status"] == "cancelling":
        return "batch_cancelled"
    return "batch_expired" if now >= row.document["expires_at"] else ""


def counted(row: Row, results: Sequence[Result]) -> Row:
    counts, usage = dict(row.document["request_counts"]), _amounts(row.document["usage"])
    for result in results:
        counts["failed" if result.is_error else "completed"] += 1
        for name, amount in zip(AMOUNTS, result.amounts, strict=False):
            usage[name] += amount
    return row.merged(request_counts=counts, usage=_usage(usage))


def _usage(amounts: Mapping[str, int]) -> dict[str, Any]:
    return {
        "input_tokens": amounts["input_tokens"],
        "input_tokens_details": {"cached_tokens": amounts["cached_tokens"]},
        "output_tokens": amounts["output_tokens"],
        "output_tokens_details": {"reasoning_tokens": amounts["reasoning_tokens"]},
        "total_tokens": amounts["input_tokens"] + amounts["output_tokens"],
    }


def _amounts(usage: Mapping[str, Any]) -> dict[str, int]:
    return {
        "input_tokens": usage["input_tokens"],
        "cached_tokens": usage["input_tokens_details"]["cached_tokens"],
        "output_tokens": usage["output_tokens"],
        "reasoning_tokens": usage["output_tokens_details"]["reasoning_tokens"],
    }
