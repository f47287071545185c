"""The job of a run: what is due for it, be that a turn of the model, the end of its time, or of what was
cancelled.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import Admission, Chunk, Exchange, Headers, Reply
from fakeai_proxy.services.job import Answered, Asked, Work
from fakeai_proxy.services.threads import life
from fakeai_proxy.services.threads.keeping import Kept, broken_off, known_ids, thread_key
from fakeai_proxy.services.threads.making import Means
from fakeai_proxy.services.threads.turn import Turn
from fakeai_proxy.services.wire import JSON_HEADERS
from fakeai_proxy.store import Row

Content = Callable[[Exchange], Awaitable[Reply]]

#: Of an answer by HTTP, what a run tells of it.
_CODES = {429: "rate_limit_exceeded"}


async def run(work: Work) -> None:
    row, now = work.row, work.clock.wall()
    if row.document["status"] == "cancelling":
        await _break_off(work, row, "cancelled")
    elif life.is_expired(row, now):
        await _break_off(work, row, "expired")
    else:
        await _turn(work)


async def _turn(work: Work) -> None:
    (row,) = await work.store.commit(work.change(lambda row: life.started(row, work.clock.wall())))
    assert row is not None, "a change answers with its row"
    means = Means(work.store, work.dice, work.catalogue, work.embedder, work.responder, work.clock)
    await means.ready(row)
    turn = await means.turn(row)
    admission = Admission()
    if turn.workload is not None:
        answered, admission = await _worked(work, row, turn)
        if answered.status != 200 or answered.body != _body(row):
            error = {
                "code": _CODES.get(answered.status, "server_error"),
                "message": _said(answered),
            }
            await _break_off(work, row, "failed", last_error=error)
            return
    now = work.clock.wall()
    if life.is_expired(row, now):
        await _break_off(work, row, "expired")
        return
    kept = Kept(work.dice, row, turn, work.owner, await known_ids(work.store, row))
    ends = [write for k in range(len(turn.steps)) for write in kept.end(k, now)]
    await work.store.commit(*ends, *kept.over(now, admission))


async def _worked(work: Work, row: Row, turn: Turn) -> tuple[Answered, Admission]:
    """The turn's work, done by the back end in its own time."""
    document = row.document
    admission = Admission()

    async def content(exchange: Exchange) -> Reply:
        nonlocal admission
        admission = exchange.admission
        exchange.dice_key = f"{document['id']} {document['_turn']}".encode()
        workload = turn.workload
        assert workload is not None, "only work takes time"
        chunk = Chunk(_body(row), workload.output_tokens)
        return Reply(200, JSON_HEADERS, [chunk], workload=workload)

    return await work.ask(asked_for(row, turn, content)), admission


def asked_for(row: Row, turn: Turn, content: Content, headers: Headers = ()) -> Asked:
    """No operation of the API: what faults and limits know a run's work by."""
    document = row.document
    body = orjson.dumps(
        {
            "model": turn.model,
            "prompt": list(turn.prompt),
            "max_tokens": turn.completion_tokens,
        }
    )
    return Asked(
        "POST", f"/v1/threads/{document['thread_id']}/runs/{document['id']}/turns",
        (*JSON_HEADERS, *headers), body, tier="", project=thread_key(row).parent,
        content=content, **document["_payer"],
    )  # fmt: skip


async def refusal_of(
    ask: Callable[[Asked], Awaitable[Answered]], row: Row, turn: Turn, headers: Headers
) -> ApiError | None:
    """Why a turn that is streamed may not be worked on. It takes its time as it is streamed, not here."""

    async def content(exchange: Exchange) -> Reply:
        return Reply(200, JSON_HEADERS, [Chunk(_body(row))])

    answered = await ask(asked_for(row, turn, content, headers))
    if answered.status == 200 and answered.body == _body(row):
        return None
    return ApiError(429 if answered.status == 429 else 500, _said(answered))


def _body(row: Row) -> bytes:
    """What the back end says when it is done; a fault makes something else of it."""
    return orjson.dumps({"run_id": row.key.id})


def _said(answered: Answered) -> str:
    """What is wrong, in the words of whoever answered."""
    try:
        told = orjson.loads(answered.body)
        return str(told["error"]["message"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return "The server had an error while processing your request. Sorry about that!"


async def _break_off(work: Work, row: Row, status: str, **details: Any) -> None:
    now = work.clock.wall()
    writes = await broken_off(work.store, row, status, now, owner=work.owner, **details)
    await work.store.commit(*writes)
