"""Who else may use a checkpoint: a permission is a row below the model, and the model by the same name in
the other project.
"""

from __future__ import annotations

from dataclasses import replace

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply
from fakeai_proxy.services import tuned
from fakeai_proxy.services.fine_tuning.wire import CreatePermissionsRequest
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.paging import envelope, is_ascending, limit_of
from fakeai_proxy.services.wire import json_reply
from fakeai_proxy.store import Delete, Exists, Insert, Key, Missing, Row, Write

KIND = "checkpoint.permission"
_ORDERS = {"ascending": "asc", "descending": "desc"}


async def _checkpoint(call: Call) -> Row:
    """The model where it was made. Raises 404."""
    name = call.params["checkpoint"]
    found = await call.store.page(tuned.KIND, None, tags={"name": name, "made": "here"}, limit=1)
    if not found.rows:
        raise errors.no_such_checkpoint(name)
    return found.rows[0]


def _shared(model: Row, project: str) -> Insert:
    """The same model for another project."""
    key = tuned.model_key(project, model.key.id)
    return Insert(replace(model, key=key, tags={"name": model.key.id}, sequence=0, version=0))


async def create_permissions(call: Call) -> Reply:
    asked: CreatePermissionsRequest = call.body
    model = await _checkpoint(call)
    made, writes = [], list[Write]()
    for project in dict.fromkeys(asked.project_ids):
        if project == model.key.parent:
            raise errors.has_permission(project)
        # One permission a project and checkpoint, so its id follows from them.
        unique = call.dice.text_id(call.id_key, KIND, project, length=24)
        key = model.key.child(KIND, f"cp_{unique}")
        document = {
            "object": KIND, "id": key.id, "created_at": call.created, "project_id": project,
        }  # fmt: skip
        row = Row(key, document, call.wall(), tags={"project_id": project})
        writes += [Insert(row), _shared(model, project)]
        made.append(document)
    try:
        await call.store.commit(*writes)
    except Exists as error:
        raise errors.has_permission(error.key.parent) from None
    return json_reply(envelope(made))


async def list_permissions(call: Call) -> Reply:
    model = await _checkpoint(call)
    project = call.query.get("project_id", "")
    order = call.query.get("order")
    try:
        page = await call.store.page(
            KIND,
            model.key.path,
            tags={"project_id": project} if project else None,
            after=call.query.get("after", ""),
            limit=limit_of(call.query.get("limit"), 10),
            ascending=is_ascending(_ORDERS.get(order or "", order), default=False),
        )
    except Missing as error:
        raise errors.no_such_permission(error.key.id) from None
    return json_reply(envelope([row.document for row in page.rows], has_more=page.has_more))


async def delete_permission(call: Call) -> Reply:
    model = await _checkpoint(call)
    permission_id = call.params["permission_id"]
    row = await call.store.get(Key(KIND, permission_id, model.key.path))
    if row is None:
        raise errors.no_such_permission(permission_id)
    there = tuned.model_key(row.document["project_id"], model.key.id)
    try:
        await call.store.commit(Delete(row.key), Delete(there))
    except Missing:
        raise errors.no_such_permission(permission_id) from None
    return json_reply({"id": permission_id, "object": KIND, "deleted": True})
