"""Runs: an assistant's work on a thread, begun, listed, answered and cancelled by clients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply
from fakeai_proxy.services import assisting
from fakeai_proxy.services.assisting import ASSISTANTS, shown
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.resources import with_metadata
from fakeai_proxy.services.threads import life, messages, wire
from fakeai_proxy.services.threads.keeping import Kept, answers, known_ids
from fakeai_proxy.services.threads.kinds import RUNS, THREADS, step_shown
from fakeai_proxy.services.threads.making import Means
from fakeai_proxy.services.threads.running import refusal_of
from fakeai_proxy.services.threads.steps import with_content
from fakeai_proxy.services.threads.stream import LEASE_S, Event, Stream, stream_reply
from fakeai_proxy.services.threads.turn import failed
from fakeai_proxy.store import Change, Insert, Missing, Row, Write

_TRUNCATION = {"type": "auto", "last_messages": None}


#: Where a key may be.
_CREDENTIALS = (b"authorization", b"api-key", b"x-api-key")


@dataclass(slots=True)
class Begun:
    """A run that is about to be made. A streamed one is its stream's to work on, any other the jobs'."""

    call: Call
    document: Mapping[str, Any]
    resources: Mapping[str, Any]
    with_content: bool
    #: Who works on it first, "" for whichever job comes.
    owner: str = ""
    row: Row | None = field(default=None, init=False)

    def filled(self, row: Row, thread: Row) -> Row:
        now = self.call.wall()
        row = row.merged(
            thread_id=thread.key.id, **life.BEGUN, **self.document,
            _vector_store_ids=_stores(thread.document["tool_resources"], self.resources),
            _session_at=thread.document["_session_at"], _payer=_payer(self.call),
        )  # fmt: skip
        expires_at = int(row.created_at) + life.EXPIRES_S
        row = row.merged(expires_at=expires_at, _expires_at=expires_at)
        return replace(row, due_at=now + LEASE_S if self.owner else now, owner=self.owner)

    def writes(self, thread: Row) -> list[Write]:
        """For a thread that is made with it."""
        begun = RUNS.begun(self.call, str(self.call.wall()), parent=thread.key.path)
        self.row = self.filled(begun, thread)
        run_id = begun.key.id
        return [Change(thread.key, lambda row: life.locked(row, run_id)), Insert(self.row)]


def _payer(call: Call) -> dict[str, str]:
    return {"key_id": call.key_id, "user_id": call.user_id}


def _stores(*resources: Mapping[str, Any]) -> list[str]:
    """The vector stores that a run searches: the thread's and the assistant's."""
    named = [one.get("file_search", {}).get("vector_store_ids", []) for one in resources]
    return list(dict.fromkeys([store_id for ids in named for store_id in ids]))


async def prepared(call: Call, asked: wire.RunRequest) -> Begun:
    """Raises 400 and 404."""
    assisting.check_extra(asked)
    wanted = with_content(call)
    assistant = (await ASSISTANTS.row(call, asked.assistant_id)).document
    model = asked.model or assistant["model"]
    await call.find_own(model)
    card = call.catalogue.asked_for(call.params.get("deployment"), model, "chat")
    assisting.check_tools(asked.tools)
    assisting.check_format(asked.response_format)
    assisting.check_effort(asked.reasoning_effort, card)
    tools = assistant["tools"] if asked.tools is None else assisting.shown_tools(asked.tools)
    choice = "auto" if asked.tool_choice is None else shown(asked.tool_choice)
    _check_choice(choice, tools)
    strategy = asked.truncation_strategy
    document = {
        "assistant_id": assistant["id"], "model": model, "tools": tools, "tool_choice": choice,
        "instructions": _instructions(asked, assistant), "metadata": asked.metadata or {},
        "max_prompt_tokens": asked.max_prompt_tokens,
        "max_completion_tokens": asked.max_completion_tokens,
        "truncation_strategy": _TRUNCATION if strategy is None else {**_TRUNCATION, **shown(strategy)},
        "parallel_tool_calls": asked.parallel_tool_calls is not False,
        **{name: _given(asked, assistant, name) for name in _OVERRIDDEN},
    }  # fmt: skip
    owner = ""
    if asked.stream:
        owner = life.STREAM + call.dice.text_id(call.id_key, "stream", str(call.wall()))
    return Begun(call, document, assistant["tool_resources"], wanted, owner)


#: What a run may have otherwise than its assistant.
_OVERRIDDEN = ("temperature", "top_p", "response_format", "reasoning_effort")


def _given(asked: wire.RunRequest, assistant: Mapping[str, Any], name: str) -> Any:
    value = getattr(asked, name)
    return assistant[name] if value is None else shown(value)


def _instructions(asked: wire.RunRequest, assistant: Mapping[str, Any]) -> str:
    own = asked.instructions
    more = asked.additional_instructions if isinstance(asked, wire.CreateRunRequest) else None
    parts = [assistant["instructions"] if own is None else own, more]
    return "\n".join([part for part in parts if part])


def _check_choice(choice: Any, tools: Sequence[Mapping[str, Any]]) -> None:
    """Raises 400."""
    if choice == "required" and not tools:
        raise errors.only_allowed_when("tool_choice", "'tools' are specified")
    if not isinstance(choice, dict):
        return
    names = {
        tool["function"]["name"] if tool["type"] == "function" else tool["type"] for tool in tools
    }
    name = choice["function"]["name"] if choice["type"] == "function" else choice["type"]
    if name not in names:
        raise errors.no_such_tool(name)


async def create_run(call: Call) -> Reply:
    asked: wire.CreateRunRequest = call.body
    thread = await THREADS.row(call)
    more = asked.additional_messages or ()
    for k, message in enumerate(more):
        await messages.check(call, message, f"additional_messages[{k}]")
    begun = await prepared(call, asked)
    store_id = await messages.searched(call, thread.document["tool_resources"], more)
    thread = messages.attached(thread, more, store_id)

    def also(row: Row) -> Iterable[Write]:
        run_id = row.key.id
        yield Change(
            thread.key, lambda row: messages.attached(life.locked(row, run_id), more, store_id)
        )
        yield from messages.inserted(call, thread.key, more)

    try:
        begun.row = await RUNS.insert(call, lambda row: begun.filled(row, thread), also)
    except Missing as error:
        raise errors.no_such_file(error.key.id, "additional_messages") from None
    return await answered(call, begun)


async def answered(call: Call, begun: Begun, before: Sequence[Event] = ()) -> Reply:
    """What a client is told of a run that is in the store. `before` are events before the run's own."""
    row = begun.row
    assert row is not None, "it is in the store"
    if not begun.owner:
        call.dispatch(row.key)
        return RUNS.reply(call, row)
    told = RUNS.show(row, call.wall())
    created = (*before, ("thread.run.created", told), ("thread.run.queued", told))
    return await _streamed(call, row, begun.owner, created, begun.with_content)


async def _streamed(
    call: Call, row: Row, owner: str, before: Sequence[Event], wanted: bool
) -> Reply:
    means = Means(call.store, call.dice, call.catalogue, call.embedder, call.responder, call.clock)
    await means.ready(row)
    turn = await means.turn(row)
    if turn.workload is not None and call.ask is not None:
        # The credential that the request came with, for whoever limits keys.
        headers = tuple((name, call.header(name).encode("latin-1")) for name in _CREDENTIALS)
        refusal = await refusal_of(call.ask, row, turn, tuple(pair for pair in headers if pair[1]))
        turn = turn if refusal is None else failed(turn.model, refusal)
    kept = Kept(call.dice, row, turn, owner, await known_ids(call.store, row))
    return stream_reply(call, Stream(call, row, turn, kept, owner, before, with_content=wanted))


async def submit_outputs(call: Call) -> Reply:
    asked: wire.SubmitOutputsRequest = call.body
    assisting.check_extra(asked)
    wanted = with_content(call)
    run = await RUNS.row(call)
    now = call.wall()
    given = [output.tool_call_id or "" for output in asked.tool_outputs]
    outputs = {output.tool_call_id or "": output.output or "" for output in asked.tool_outputs}
    owner = ""
    if asked.stream:
        owner = life.STREAM + call.dice.text_id(call.id_key, "stream", str(now))
    writes = answers(run, given, outputs, now, owner, now + LEASE_S if owner else now)
    try:
        row, *steps = await call.store.commit(*writes)
    except Missing as error:
        raise await RUNS.not_found(call, error.key.id) from None
    assert row is not None, "a change answers with its row"
    if not owner:
        call.dispatch(row.key)
        return RUNS.reply(call, row)
    before = [
        ("thread.run.step.completed", step_shown(step.document, wanted))
        for step in steps
        if step is not None
    ]
    queued = ("thread.run.queued", RUNS.show(row, now))
    return await _streamed(call, row, owner, [*before, queued], wanted)


async def cancel_run(call: Call) -> Reply:
    now = call.wall()
    row = await RUNS.changed(call, lambda row: life.cancelling(row, now))
    call.dispatch(row.key)
    return RUNS.reply(call, row)


async def modify_run(call: Call) -> Reply:
    asked: wire.ModifyRequest = call.body
    assisting.check_extra(asked)
    return RUNS.reply(
        call, await RUNS.changed(call, lambda row: with_metadata(row, asked.metadata))
    )


_ONE = "/threads/{thread_id}/runs/{run_id}"
OPERATIONS = (
    Operation("createRun", "POST", RUNS.path, create_run, wire.CreateRunRequest),
    *RUNS.operations(list="listRuns", retrieve="getRun"),
    Operation("modifyRun", "POST", _ONE, modify_run, wire.ModifyRequest),
    Operation("submitToolOuputsToRun", "POST", f"{_ONE}/submit_tool_outputs", submit_outputs,
              wire.SubmitOutputsRequest),
    Operation("cancelRun", "POST", f"{_ONE}/cancel", cancel_run),
)  # fmt: skip
