"""What a turn leaves in the store: its steps, its message, and what it means for the run. Everything is
written under ids that follow from the run's, and only by who holds the run's lease, so that a turn that
is made again after a crash is the same turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fakeai_proxy.dice import Dice
from fakeai_proxy.exchange import Admission, Usage
from fakeai_proxy.services import metering
from fakeai_proxy.services.answer.task import Answer
from fakeai_proxy.services.filing import FILES, file_row
from fakeai_proxy.services.metering import tallies
from fakeai_proxy.services.threads import life
from fakeai_proxy.services.threads.kinds import MESSAGES, STEPS, THREADS
from fakeai_proxy.services.threads.turn import Step, Turn
from fakeai_proxy.services.threads.works import Drawn
from fakeai_proxy.store import Change, Insert, Key, LeaseLost, Row, Store, Write

Document = dict[str, Any]
#: platform.openai.com/docs/assistants/tools/code-interpreter: how long a thread's code runs in one
#: session.
_SESSION_S = 3600
#: Steps of one run.
STEPS_MAX = 1000


def thread_key(run: Row) -> Key:
    parent, _, thread_id = run.key.parent.rpartition("/")
    return Key(THREADS.kind, thread_id, parent)


async def known_ids(store: Store, run: Row) -> set[str]:
    """Of the steps, messages and files that the run has in the store."""
    steps = await store.page(STEPS.kind, run.key.path, limit=STEPS_MAX)
    tags = {"run_id": run.key.id}
    messages = await store.page(MESSAGES.kind, run.key.parent, tags=tags, limit=STEPS_MAX)
    known = {row.key.id for row in (*steps.rows, *messages.rows)}
    return known.union(*[_drawn_in(row.document) for row in steps.rows])


def _drawn_in(step: Mapping[str, Any]) -> set[str]:
    calls = step["step_details"].get("tool_calls", ())
    outputs = [out for call in calls for out in call.get("code_interpreter", {}).get("outputs", ())]
    return {out["image"]["file_id"] for out in outputs if out["type"] == "image"}


class Kept:
    """One turn of one run, step by step."""

    def __init__(self, dice: Dice, run: Row, turn: Turn, owner: str, known: set[str]) -> None:
        """`owner` has the lease of the run; `known` are the ids of what is in the store already."""
        self._dice = dice
        self._run = run
        self._owner = owner
        self._known = known
        self._number = run.document["_turn"]
        #: When each step began, by its place.
        self.begun: dict[int, float] = {}
        self.turn = turn

    # --- writes ------------------------------------------------------------------------------------

    def started(self, now: float) -> Change:
        return self._held(lambda row: life.started(row, now))

    def begin(self, k: int, now: float) -> list[Write]:
        """The step is in progress. Raises LeaseLost in commit."""
        self.begun[k] = now
        writes: list[Write] = [self._held(lambda row: row)]
        writes.append(self._put(self._step_key(k), self.opened(k), {}))
        if self.turn.steps[k].answer is not None:
            writes.append(self._put(self._message_key(k), self.said(k, None), self._tags))
        return writes

    def end(self, k: int, now: float) -> list[Write]:
        """The step is done. Raises LeaseLost in commit."""
        self.begun.setdefault(k, now)
        writes: list[Write] = [self._held(lambda row: row)]
        writes.append(self._put(self._step_key(k), self.closed(k, now), {}))
        step = self.turn.steps[k]
        if step.answer is not None:
            writes.append(self._put(self._message_key(k), self.said(k, now), self._tags))
        for drawn in () if step.worked is None else step.worked.files:
            if drawn.file_id not in self._known:
                writes.append(Insert(self._file(drawn, now)))
        return writes

    def _file(self, drawn: Drawn, now: float) -> Row:
        key = Key(FILES.kind, drawn.file_id, thread_key(self._run).parent)
        document = {"id": drawn.file_id, "object": FILES.object, "created_at": int(now)}
        blob = self.turn.blobs[drawn.file_id]
        return file_row(Row(key, document, float(int(now))), drawn.name, "assistants_output", blob)

    def over(self, now: float, admission: Admission) -> list[Write]:
        """What the turn comes to for the run, its thread and who pays. `admission` is what the back
        end did with it. Raises LeaseLost in commit."""
        turn, run = self.turn, self._run
        opens = bool(turn.works("code_interpreter")) and _is_over(run.document["_session_at"], now)

        def function(row: Row) -> Row:
            if life.is_expired(row, now):
                raise LeaseLost(row.key)
            row = life.used(life.started(row, now), turn.prompt_tokens, turn.completion_tokens)
            row = row.merged(_session_at=now) if opens else row
            if turn.status == "requires_action":
                k = len(turn.steps) - 1
                return life.waiting(row, self._calls(k), self._step_key(k).id)
            return life.ended(row, turn.status, now, **turn.details)

        def left(thread: Row) -> Row:
            thread = thread.merged(_session_at=now) if opens else thread
            waits = turn.status == "requires_action"
            return thread if waits else life.unlocked(thread, run.key.id)

        paid = paid_for(turn, opens)
        project, payer = thread_key(run).parent, run.document["_payer"]
        return [
            self._held(function),
            Change(thread_key(run), left),
            *tallies(paid, now, admission, project=project, **payer),
        ]

    def _held(self, function: Callable[[Row], Row]) -> Change:
        return Change(self._run.key, lambda row: function(life.held(row, self._owner)))

    def _put(self, key: Key, document: Document, tags: Mapping[str, str]) -> Write:
        if key.id in self._known:
            return Change(key, lambda row: replace(row, document=document))
        self._known.add(key.id)
        return Insert(Row(key, document, document["created_at"], tags=tags))

    # --- documents ---------------------------------------------------------------------------------

    @property
    def _tags(self) -> Mapping[str, str]:
        return {"run_id": self._run.key.id}

    def _id(self, prefix: str, *salt: str | int) -> str:
        return prefix + self._dice.text_id(self._run.key.id, prefix, self._number, *salt)

    def _step_key(self, k: int) -> Key:
        return self._run.key.child(STEPS.kind, self._id(STEPS.prefix, k))

    def _message_key(self, k: int) -> Key:
        return Key(MESSAGES.kind, self._id(MESSAGES.prefix, k), self._run.key.parent)

    def call_id(self, k: int, place: int) -> str:
        return self._id("call_", k, place)

    def opened(self, k: int) -> Document:
        """A step as it begins."""
        step, run = self.turn.steps[k], self._run.document
        details: Document = {"type": "tool_calls", "tool_calls": []}
        if step.answer is not None:
            message_id = self._message_key(k).id
            details = {"type": "message_creation", "message_creation": {"message_id": message_id}}
        return {
            "id": self._step_key(k).id, "object": STEPS.object, "created_at": int(self.begun[k]),
            "assistant_id": run["assistant_id"], "thread_id": run["thread_id"], "run_id": run["id"],
            "type": details["type"], "status": "in_progress", "step_details": details,
            "last_error": None, "cancelled_at": None, "completed_at": None, "expired_at": None,
            "failed_at": None, "metadata": {}, "usage": None,
            "_turn": self._number,
        }  # fmt: skip

    def closed(self, k: int, now: float) -> Document:
        """A step as it ends, or, with calls for the client, as it waits for what they come to."""
        step, opened = self.turn.steps[k], self.opened(k)
        usage = life.usage(step.prompt_tokens, step.completion_tokens)
        details = opened["step_details"]
        if step.worked is not None:
            call = {"id": self.call_id(k, 0), **step.worked.call}
            details = {**details, "tool_calls": [call]}
        elif step.calls:
            details = {**details, "tool_calls": self._calls(k)}
            return {**opened, "step_details": details, "_usage": usage}
        return {
            **opened, "status": "completed", "completed_at": int(now), "step_details": details,
            "usage": usage,
        }  # fmt: skip

    def _calls(self, k: int) -> list[Document]:
        return [
            {
                "id": self.call_id(k, place),
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": call.arguments.text,
                    "output": None,
                },
            }
            for place, call in enumerate(self.turn.steps[k].calls)
        ]

    def said(self, k: int, now: float | None) -> Document:
        """The step's message; while it is said without a `now`."""
        step, run = self.turn.steps[k], self._run.document
        answer = step.answer
        assert answer is not None, "a step of a message has its answer"
        cut = answer.finish_reason == "length"
        document: Document = {
            "id": self._message_key(k).id, "object": MESSAGES.object,
            "created_at": int(self.begun[k]), "thread_id": run["thread_id"], "run_id": run["id"],
            "assistant_id": run["assistant_id"], "role": "assistant", "status": "in_progress",
            "content": [], "attachments": [], "metadata": {}, "completed_at": None,
            "incomplete_at": None, "incomplete_details": None,
        }  # fmt: skip
        if now is None:
            return document
        shown = [
            {"type": "image_file", "image_file": {"file_id": file_id, "detail": "auto"}}
            for file_id in step.shown
        ]
        document["content"] = [*shown, _content(step, answer)]
        if cut:
            ended = {"incomplete_at": int(now), "incomplete_details": {"reason": "max_tokens"}}
            return {**document, **ended, "status": "incomplete"}
        return {**document, "status": "completed", "completed_at": int(now)}


def _is_over(session_at: float | None, now: float) -> bool:
    return session_at is None or now >= session_at + _SESSION_S


def paid_for(turn: Turn, opens: bool) -> list[Usage]:
    """`opens` says whether its code runs in a session of its own."""
    card = turn.card
    if card is None:
        return []
    paid = [
        metering.completion(card, step.prompt_tokens, step.completion_tokens) for step in turn.spent
    ]
    searches = turn.works("file_search")
    if searches:
        paid.append(metering.searches(metering.FILE_SEARCHES, card, searches))
    return [*paid, metering.session()] if opens else paid


def _content(step: Step, answer: Answer) -> Document:
    if answer.refusal is not None:
        return {"type": "refusal", "refusal": answer.refusal.text}
    text = {"value": answer.said.text, "annotations": list(step.annotations)}
    return {"type": "text", "text": text}


# --- what the client adds --------------------------------------------------------------------------------


def answers(
    run: Row, given: Sequence[str], outputs: Mapping[str, str], now: float, owner: str,
    due_at: float,
) -> list[Write]:  # fmt: skip
    """The run goes on with these outputs, by the ids of their calls, all of which are `given`. Raises
    400 in commit."""

    def filled(step: Row) -> Row:
        details = step.document["step_details"]
        calls = [
            {**one, "function": {**one["function"], "output": outputs[one["id"]]}}
            for one in details["tool_calls"]
        ]
        return step.merged(
            status="completed", completed_at=int(now), usage=step.document["_usage"],
            step_details={**details, "tool_calls": calls},
        )  # fmt: skip

    writes: list[Write] = [
        Change(run.key, lambda row: life.answered(row, given, now, owner, due_at))
    ]
    if "_step" in run.document:
        writes.append(Change(run.key.child(STEPS.kind, run.document["_step"]), filled))
    return writes


# --- ends that are not its own -------------------------------------------------------------------------


async def broken_off(
    store: Store, run: Row, status: str, now: float, said: Mapping[str, str] | None = None,
    owner: str | None = None, **details: Any,
) -> list[Write]:  # fmt: skip
    """A run that is cancelled, expires or fails, with what it was about. `said` are the words that
    went out already, by message. Without an `owner` whoever comes first does it."""
    steps = await store.page(STEPS.kind, run.key.path, limit=STEPS_MAX)
    tags = {"run_id": run.key.id}
    messages = await store.page(MESSAGES.kind, run.key.parent, tags=tags, limit=STEPS_MAX)

    def function(row: Row) -> Row:
        if owner is not None:
            life.held(row, owner)
        elif row.document["status"] in life.ENDED:
            raise LeaseLost(row.key)
        return life.ended(row, status, now, **details)

    writes: list[Write] = [
        Change(run.key, function),
        Change(thread_key(run), lambda row: life.unlocked(row, run.key.id)),
    ]
    at: dict[str, Any] = {f"{status}_at": int(now)}
    if status == "failed":
        at["last_error"] = details.get("last_error")
    for row in steps.rows:
        if row.document["status"] == "in_progress":
            writes.append(Change(row.key, _Closed(status, at)))
    for row in messages.rows:
        if row.document["status"] == "in_progress":
            reason = {"reason": f"run_{status}"}
            words = (said or {}).get(row.key.id, "")
            text = [{"type": "text", "text": {"value": words, "annotations": []}}]
            ended = {
                "incomplete_at": int(now), "incomplete_details": reason,
                "content": text if words else [],
            }  # fmt: skip
            writes.append(Change(row.key, _Closed("incomplete", ended)))
    return writes


class _Closed:
    """A row that is closed with these members."""

    def __init__(self, status: str, members: Mapping[str, Any]) -> None:
        self._members = {"status": status, **members}

    def __call__(self, row: Row) -> Row:
        document = row.document
        usage = {"usage": document["_usage"]} if "_usage" in document else {}
        return row.merged(**self._members, **usage)
