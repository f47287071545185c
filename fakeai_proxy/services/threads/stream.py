"""A turn that is streamed: its events go out at the pace of the model, and the store goes along with
them. While it lasts, the stream works on the run as a job would, under a lease; whatever ends it early
gives the run to the jobs.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import Admission, Chunk, Reply
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.threads import events, life
from fakeai_proxy.services.threads.keeping import Kept, broken_off
from fakeai_proxy.services.threads.kinds import MESSAGES, RUNS, STEPS, step_shown
from fakeai_proxy.services.threads.turn import Turn
from fakeai_proxy.services.wire import SSE_HEADERS
from fakeai_proxy.store import Change, Key, LeaseLost, Missing, Row, StoreError, Write

#: How long a stream that has died keeps a run from the jobs, and how often one that lives looks whether
#: somebody has cancelled the run.
LEASE_S, LOOK_S = 10.0, 2.0

Event = tuple[str, Mapping[str, Any]]


def stream_reply(call: Call, stream: Stream) -> Reply:
    return Reply(200, SSE_HEADERS, stream.chunks(), workload=stream.turn.workload)


class Stream:
    """`before` are the events that are told first; `with_content` says whether the client asked for
    what searches have read."""

    def __init__(
        self, call: Call, run: Row, turn: Turn, kept: Kept, owner: str, before: Sequence[Event],
        *, with_content: bool,
    ) -> None:  # fmt: skip
        self.turn = turn
        self._call = call
        self._run = run
        self._kept = kept
        self._owner = owner
        self._before = before
        self._with_content = with_content
        self._look_at = call.wall() + LOOK_S
        self._is_over = False
        #: What the back end has done with the prompt.
        self._admission = Admission()
        #: What of each message has gone out.
        self._said: dict[str, int] = {}

    async def chunks(self) -> AsyncGenerator[Chunk]:
        try:
            for event, data in self._before:
                yield Chunk(events.frame(event, data))
            try:
                async for chunk in self._told():
                    yield chunk
            except (LeaseLost, Missing):
                async for chunk in self._taken_away():
                    yield chunk
            except ApiError as error:  # the store cannot be used
                yield _error(error)
            yield Chunk(events.DONE)
        finally:
            if not self._is_over:
                await self._give_up()

    # --- what goes as planned ----------------------------------------------------------------------

    async def _told(self) -> AsyncGenerator[Chunk]:
        kept, turn = self._kept, self.turn
        run = await self._commit(kept.started(self._call.wall()))
        yield Chunk(partial(self._admitted, self._run_frame("in_progress", run)))
        for k in range(len(turn.steps)):
            async for chunk in self._step(k):
                yield chunk
        if not turn.steps:
            run = await self._commit(*kept.over(self._call.wall(), self._admission))
            yield self._run_event(turn.status, run, turn.lost_tokens)

    async def _step(self, k: int) -> AsyncGenerator[Chunk]:
        kept, step = self._kept, self.turn.steps[k]
        await self._commit(*kept.begin(k, self._call.wall()))
        opened = self._shown(kept.opened(k))
        hidden = 0 if step.answer is None else step.answer.reasoning_tokens
        yield _event("thread.run.step.created", opened, hidden)
        yield _event("thread.run.step.in_progress", opened)
        message_id = ""
        if step.answer is not None:
            message = kept.said(k, None)
            message_id = message["id"]
            yield _event("thread.message.created", message)
            yield _event("thread.message.in_progress", message)
        call_ids = [kept.call_id(k, place) for place in range(max(len(step.calls), 1))]
        for chunk in events.deltas(step, opened["id"], message_id, call_ids):
            yield chunk
            self._said[message_id] = self._said.get(message_id, 0) + chunk.tokens
            await self._look()
        now = self._call.wall()
        is_last = k == len(self.turn.steps) - 1
        run = await self._commit(
            *kept.end(k, now), *(kept.over(now, self._admission) if is_last else ())
        )
        if step.answer is not None:
            message = kept.said(k, now)
            yield _event(f"thread.message.{message['status']}", message)
        closed = self._shown(kept.closed(k, now))
        if closed["status"] == "completed":
            yield _event("thread.run.step.completed", closed)
        if is_last:
            yield self._run_event(str(run.document["status"]), run, self.turn.lost_tokens)

    def _admitted(self, data: bytes, admission: Admission) -> bytes:
        self._admission = admission
        return data

    async def _commit(self, *writes: Write) -> Row:
        """The run as it is afterwards. Raises LeaseLost."""
        rows = await self._call.store.commit(*writes)
        run = next(row for row in rows[::-1] if row is not None and row.key == self._run.key)
        self._is_over = run.owner != self._owner
        return run

    async def _look(self) -> None:
        """Whether the run is ours still, from time to time. Raises LeaseLost."""
        now = self._call.wall()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_S
        if life.is_expired(self._run, now):
            raise LeaseLost(self._run.key)
        if not await self._call.store.renew(self._run.key, self._owner, now + LEASE_S):
            raise LeaseLost(self._run.key)

    # --- what does not -----------------------------------------------------------------------------

    async def _taken_away(self) -> AsyncGenerator[Chunk]:
        """Somebody has cancelled the run, or deleted its thread, or taken it over from a stream that
        stood still for too long."""
        self._is_over = True
        run = await self._call.store.get(self._run.key)
        now = self._call.wall()
        status = "" if run is None else _ending(run, now)
        if run is not None and status:
            if status == "cancelled":
                yield self._run_event("cancelling", run)
            writes = await broken_off(self._call.store, run, status, now, self._words())
            with suppress(StoreError):  # who works on it now may be quicker
                await self._call.store.commit(*writes)
            run = await self._call.store.get(self._run.key)
        if run is None or run.document["status"] not in life.ENDED:
            yield _error(
                errors.no_such_run(self._run.key.id) if run is None else errors.server_error()
            )
            return
        async for chunk in self._as_kept(run):
            yield chunk

    async def _as_kept(self, run: Row) -> AsyncGenerator[Chunk]:
        """What has become of what was begun."""
        store = self._call.store
        for message_id in self._said:
            key = Key(MESSAGES.kind, message_id, self._run.key.parent)
            message = await store.get(key) if message_id else None
            if message is not None:
                yield _event(f"thread.message.{message.document['status']}", message.document)
        for k in self._kept.begun:
            step = await store.get(self._run.key.child(STEPS.kind, self._kept.opened(k)["id"]))
            if step is not None and step.document["status"] == run.document["status"]:
                shown = self._shown(step.document)
                yield _event(f"thread.run.step.{shown['status']}", shown)
        yield self._run_event(str(run.document["status"]), run)

    def _words(self) -> dict[str, str]:
        """What has gone out of each message."""
        words = {}
        for k in self._kept.begun:
            answer = self.turn.steps[k].answer
            if answer is not None and answer.refusal is None:
                message_id = self._kept.said(k, None)["id"]
                count = self._said.get(message_id, 0)
                words[message_id] = "".join(answer.said.pieces[:count])
        return words

    async def _give_up(self) -> None:
        """The client has gone, or the back end has; the run has not."""
        now, owner = self._call.wall(), self._owner

        def given_up(row: Row) -> Row:
            return replace(life.held(row, owner), due_at=now, owner="")

        with suppress(ApiError, StoreError):
            await self._call.store.commit(Change(self._run.key, given_up))
        self._call.dispatch(self._run.key)

    # --- frames ------------------------------------------------------------------------------------

    def _run_frame(self, status: str, run: Row) -> bytes:
        return events.frame(f"thread.run.{status}", RUNS.show(run, self._call.wall()))

    def _run_event(self, status: str, run: Row, tokens: int = 0) -> Chunk:
        return Chunk(self._run_frame(status, run), tokens)

    def _shown(self, step: Mapping[str, Any]) -> dict[str, Any]:
        return step_shown(step, self._with_content)


def _ending(run: Row, now: float) -> str:
    """How a run ends that is not to go on, "" where it is."""
    if run.document["status"] == "cancelling":
        return "cancelled"
    return "expired" if life.is_expired(run, now) else ""


def _event(name: str, data: Mapping[str, Any], tokens: int = 0) -> Chunk:
    return Chunk(events.frame(name, data), tokens)


def _error(error: ApiError) -> Chunk:
    told = {
        "message": error.message, "type": error.type, "param": error.param, "code": error.code,
    }  # fmt: skip
    # In its envelope, by which the SDK knows it.
    return Chunk(events.frame("error", {"error": told}))
