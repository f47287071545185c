"""Batches of messages: what is remembered of one, its status at an instant, and its lines, each answered
as a message of its own when somebody first asks for them.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from pydantic import Field, ValidationError

from fakeai_proxy import errors
from fakeai_proxy.errors import ApiError
from fakeai_proxy.services.messages import rules, wire
from fakeai_proxy.services.messages.plan import plan
from fakeai_proxy.services.messages.speech import batched
from fakeai_proxy.services.messages.words import complain, invalid
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.records import Records

#: Fewer than the vendor's 100,000: they are answered while a client waits for the results.
_REQUESTS_MAX = 10_000
#: Seconds until work begins, lines a second afterwards, and seconds until a cancellation has its
#: effect. Illustrative: the vendor promises a day and is done within an hour.
STARTS_S, LINES_PER_S, CANCELS_S = 2, 20, 1
_EXPIRES_S = 24 * 3600
_OVERHEAD_BYTES = 512
#: What a line of results holds besides what was asked, roughly.
_LINE_BYTES = 4096
_BATCH, _INDEX = "message batch", "message batches"
#: Errors that are not in this vendor's words.
_WORDS = {
    "model_not_found": "model: {model}",
    "context_length": "prompt is too long: {tokens} tokens > {limit_tokens} maximum",
}


class LineOfBatch(wire.Exact):
    custom_id: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    params: dict[str, Any]


class CreateBatch(wire.Exact):
    requests: Annotated[list[LineOfBatch], Field(min_length=1, max_length=_REQUESTS_MAX)]
    user_profile_id: str | None = None
    workspace_id: str | None = None


@dataclass(slots=True)
class Batch:
    """Times in whole seconds since the epoch. `results` are its lines, once they have been asked for."""

    id: str
    created: int
    version: str
    requests: Sequence[LineOfBatch]
    cancelled_at: int | None = None
    results: list[bytes] | None = None
    counts: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def ends_at(self) -> float:
        if self.cancelled_at is not None:
            return self.cancelled_at + CANCELS_S
        return self.created + STARTS_S + len(self.requests) / LINES_PER_S

    @property
    def answered(self) -> int:
        """How many lines were answered before somebody cancelled the rest."""
        if self.cancelled_at is None:
            return len(self.requests)
        worked_s = max(self.cancelled_at - self.created - STARTS_S, 0)
        return min(int(worked_s * LINES_PER_S), len(self.requests))

    def status_at(self, now: float) -> str:
        if now >= self.ends_at:
            return "ended"
        return "in_progress" if self.cancelled_at is None else "canceling"


class Shelf:
    """Where batches are remembered."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def find(self, batch_id: str) -> Batch:
        """Raises 404."""
        found: Batch | None = self._records.find(_BATCH, batch_id)
        if found is None:
            raise errors.message_batch_not_found(batch_id)
        return found

    def add(self, batch: Batch, weight: int) -> None:
        weight += _OVERHEAD_BYTES + _LINE_BYTES * len(batch.requests)
        self._records.keep(_BATCH, batch.id, batch, weight)
        self._list((batch.id, *self._ids()))

    def forget(self, batch: Batch) -> None:
        self._records.forget(_BATCH, batch.id)
        self._list(self._ids())

    def all(self) -> list[Batch]:
        """The newest first."""
        found = [self._records.find(_BATCH, name) for name in self._ids()]
        return [batch for batch in found if batch is not None]

    def _ids(self) -> tuple[str, ...]:
        return tuple(self._records.find(_INDEX, "") or ())

    def _list(self, ids: tuple[str, ...]) -> None:
        held = tuple(name for name in ids if self._records.find(_BATCH, name) is not None)
        self._records.keep(_INDEX, "", held, _OVERHEAD_BYTES * len(held))


def check(request: CreateBatch) -> None:
    """Raises 400."""
    seen: set[str] = set()
    for k, line in enumerate(request.requests):
        if line.custom_id in seen:
            raise invalid(f"requests.{k}.custom_id", f"'{line.custom_id}' is not unique")
        seen.add(line.custom_id)


def shown(call: Call, batch: Batch) -> dict[str, Any]:
    """As it is now. Answers the lines of one that has ended."""
    status = batch.status_at(call.wall())
    ended = status == "ended"
    counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
    if ended:
        results(call, batch)
        counts |= batch.counts
    else:
        counts["processing"] = len(batch.requests)
    return {
        "id": batch.id, "type": "message_batch", "processing_status": status,
        "request_counts": counts, "created_at": _instant(batch.created),
        "expires_at": _instant(batch.created + _EXPIRES_S), "archived_at": None,
        "ended_at": _instant(batch.ends_at) if ended else None,
        "cancel_initiated_at": None if batch.cancelled_at is None else _instant(batch.cancelled_at),
        "results_url": (
            f"{call.origin}/v1/messages/batches/{batch.id}/results" if ended else None
        ),
    }  # fmt: skip


def results(call: Call, batch: Batch) -> list[bytes]:
    """A line for each request, in their order."""
    with batch.lock:
        if batch.results is None:
            lines = []
            for k, line in enumerate(batch.requests):
                kind, result = "canceled", b'{"type":"canceled"}'
                if k < batch.answered:
                    kind, result = _answered(call, batch, k)
                batch.counts[kind] += 1
                name = orjson.dumps(line.custom_id)
                lines.append(b'{"custom_id":%b,"result":%b}\n' % (name, result))
            batch.results = lines
        return batch.results


def _answered(call: Call, batch: Batch, k: int) -> tuple[str, bytes]:
    params = batch.requests[k].params
    try:
        request = wire.MessagesRequest.model_validate(params)
        if request.stream:
            raise invalid("stream", "streaming is not supported in batches")
        one = replace(call, body=request, id_key=f"{batch.id}/{k}".encode(), created=batch.created)
        planned = plan(one)
        rules.check_for_version(request, batch.version)
    except ValidationError as error:
        return "errored", _error(complain(error, params, wire.MessagesRequest))
    except ApiError as error:
        return "errored", _error(error)
    return "succeeded", b'{"type":"succeeded","message":%b}' % batched(one, planned)


def _error(error: ApiError) -> bytes:
    words = _WORDS.get(error.kind)
    message = words.format(**error.facts) if words and error.facts else error.message
    kind = "not_found_error" if error.status == 404 else "invalid_request_error"
    inner = {"type": "error", "error": {"type": kind, "message": message}}
    return orjson.dumps({"type": "errored", "error": inner})


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
