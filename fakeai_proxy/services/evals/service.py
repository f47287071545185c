"""The operations on evals and runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.evals import wire
from fakeai_proxy.services.evals.record import EVALS, GOING, PRIVATE, RUNS, moved
from fakeai_proxy.services.filing import FILES
from fakeai_proxy.services.graders.checking import check_grader
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.paging import cut, envelope
from fakeai_proxy.services.tuned import tuned
from fakeai_proxy.services.wire import json_reply
from fakeai_proxy.store import Delete, Missing, Require, Row

#: Evals that are put in another order than that of their making.
_SORTED_MAX = 10_000
_NOT_CUSTOM = {
    "type": "object",
    "properties": {"item": {"type": "object"}, "sample": {"type": "object"}},
    "required": ["item", "sample"],
}


async def create_eval(call: Call) -> Reply:
    asked: wire.CreateEvalRequest = call.body
    for place, grader in enumerate(asked.testing_criteria):
        check_grader(grader, f"testing_criteria[{place}]", call.catalogue)

    def make(row: Row) -> Row:
        criteria = []
        for place, grader in enumerate(asked.testing_criteria):
            unique = call.dice.text_id(row.key.id, "criterion", place, length=12)
            given = grader.model_dump(mode="json", exclude_unset=True)
            criteria.append({**given, "id": f"{grader.name}-{unique}"})
        return row.merged(
            name=asked.name or "Untitled eval",
            metadata=asked.metadata or {},
            data_source_config=_config(asked.data_source_config),
            testing_criteria=criteria,
            updated_at=call.created,
        )

    row = await EVALS.insert(call, make)
    return json_reply(EVALS.show(row, call.wall()), status=201)


def _config(asked: wire.CustomConfig | wire.LogsConfig | wire.StoredConfig) -> dict[str, Any]:
    """With the schema of what its graders speak of."""
    if not isinstance(asked, wire.CustomConfig):
        return {"type": asked.type, "metadata": asked.metadata, "schema": _NOT_CUSTOM}
    properties: dict[str, Any] = {"item": asked.item_schema}
    if asked.include_sample_schema:
        properties["sample"] = {"type": "object"}
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "custom", "schema": schema}


async def list_evals(call: Call) -> Reply:
    order_by = call.query.get("order_by")
    if order_by in (None, "created_at"):
        return await EVALS.list_some(call)
    if order_by != "updated_at":
        raise errors.invalid_value("order_by", order_by, ["created_at", "updated_at"])
    page = await call.store.page(EVALS.kind, call.project, limit=_SORTED_MAX, ascending=True)
    rows = sorted(page.rows, key=lambda row: row.document["updated_at"])
    shown = [EVALS.show(row, call.wall()) for row in rows]
    found = cut(shown, call.query, errors.no_such_eval, ascending=True)
    return json_reply(envelope(found.items, has_more=found.has_more))


async def update_eval(call: Call) -> Reply:
    asked: wire.UpdateEvalRequest = call.body
    changes: dict[str, Any] = {"updated_at": call.created}
    if asked.name is not None:
        changes["name"] = asked.name
    if asked.metadata is not None:
        changes["metadata"] = asked.metadata
    return EVALS.reply(call, await EVALS.changed(call, lambda row: row.merged(**changes)))


async def delete_eval(call: Call) -> Reply:
    row = await EVALS.row(call)
    return await _deleted(call, row, {"object": "eval.deleted", "eval_id": row.key.id})


async def delete_run(call: Call) -> Reply:
    row = await RUNS.row(call)
    return await _deleted(call, row, {"object": "eval.run.deleted", "run_id": row.key.id})


async def _deleted(call: Call, row: Row, told: Mapping[str, str]) -> Reply:
    try:
        await call.store.commit(Delete(row.key))
    except Missing:
        raise errors.no_such_eval(row.key.id) from None
    return json_reply({**told, "deleted": True})


# --- runs -------------------------------------------------------------------------------------------


async def create_run(call: Call) -> Reply:
    asked: wire.CreateRunRequest = call.body
    data = asked.data_source
    parent = await EVALS.row(call)
    model = getattr(data, "model", None)
    if model is not None:
        await _check_model(call, model)
    elif getattr(data, "input_messages", None) is not None:
        raise errors.missing_parameter("data_source.model")
    blob, needed = await _content(call, parent, data.source)

    def make(row: Row) -> Row:
        made = row.merged(**_begun(call, asked, parent, row.key.id, model or ""))
        return replace(moved(made, "queued"), blob=blob, due_at=call.wall())

    try:
        row = await RUNS.insert(call, make, lambda row: needed)
    except Missing as error:
        raise errors.no_such_file(error.key.id, "data_source.source.id") from None
    call.dispatch(row.key)
    return json_reply(RUNS.show(row, call.wall()), status=201)


def _begun(
    call: Call, asked: wire.CreateRunRequest, parent: Row, run_id: str, model: str
) -> dict[str, Any]:
    criteria = parent.document["testing_criteria"]
    return {
        "eval_id": parent.key.id,
        "report_url": f"{call.origin}/v1/evals/{parent.key.id}/runs/{run_id}",
        "model": model,
        "name": asked.name or "Untitled run",
        "result_counts": {"total": 0, "errored": 0, "failed": 0, "passed": 0},
        "per_model_usage": [],
        "per_testing_criteria_results": [
            {"testing_criteria": one["id"], "passed": 0, "failed": 0} for one in criteria
        ],
        "data_source": asked.data_source.model_dump(mode="json", exclude_unset=True),
        "metadata": asked.metadata or {},
        "error": None,
        PRIVATE: {
            "criteria": criteria,
            "project": call.project,
            "key_id": getattr(call, "key_id", ""),
            "user_id": getattr(call, "user_id", ""),
            "offset": 0,
            "number": 0,
        },
    }


async def _check_model(call: Call, name: str) -> None:
    """Raises 400."""
    if call.catalogue.find(name) is not None:
        return
    if await tuned(call.store, call.project, name, call.catalogue) is None:
        raise errors.eval_model_unknown(name)


async def _content(call: Call, parent: Row, source: Any) -> tuple[str | None, list[Require]]:
    """The blob of the run's rows, where they are known, and what has to be there still. Raises 400
    and 404."""
    if isinstance(source, wire.FileId):
        file = await call.store.get(FILES.key(call, source.id))
        if file is None:
            raise errors.no_such_file(source.id, "data_source.source.id")
        if file.document["purpose"] != "evals":
            raise errors.not_for_evals(source.id, file.document["purpose"])
        return file.blob, [Require(file.key)]
    if not isinstance(source, wire.FileContent):
        return None, []  # what is stored is gathered by the job
    required = _required(parent)
    for number, datum in enumerate(source.content):
        for name in required:
            if name not in datum.item:
                raise errors.item_lacks(name, number)
    lines = (
        orjson.dumps(datum.model_dump(mode="json", exclude_none=True)) + b"\n"
        for datum in source.content
    )
    return (await call.store.blobs.put(lines)).name, []


def _required(parent: Row) -> list[str]:
    """What every item has, as the eval's schema says."""
    item = parent.document["data_source_config"]["schema"]["properties"]["item"]
    found = item.get("required", [])
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


async def cancel_run(call: Call) -> Reply:
    def canceled(row: Row) -> Row:
        status = row.document["status"]
        if status not in GOING:
            raise errors.eval_run_is_over(status)
        return replace(moved(row, "canceled"), due_at=None, owner="")

    key = RUNS.key(call)
    told = call.webhooks.announce(call.dice, call.project, "eval.run.canceled", key.id, call.wall())
    row = await RUNS.changed(call, canceled, also=told)
    for one in told:
        call.dispatch(one.row.key)
    return RUNS.reply(call, row)
