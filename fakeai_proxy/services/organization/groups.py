"""Groups of users."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.organization.audit import entry
from fakeai_proxy.services.organization.listing import all_rows
from fakeai_proxy.services.organization.managed import Managed, Strict
from fakeai_proxy.services.organization.users import GROUP_USER, USERS
from fakeai_proxy.services.wire import json_reply
from fakeai_proxy.store import Delete, Exists, Insert, Require, Row

_LIMIT, _LIMIT_MAX = 100, 1000


class GroupRequest(Strict):
    name: Annotated[str, Field(min_length=1, max_length=255)]


class AddUserRequest(Strict):
    user_id: str


def _made(call: Call, row: Row) -> Row:
    return row.merged(name=call.body.name, group_type="group", is_scim_managed=False)


GROUPS = Managed(
    kind="group",
    object="group",
    prefix="group_",
    path="/organization/groups",
    param="group_id",
    missing=errors.no_such("group"),
    create=GroupRequest,
    make=_made,
    modify=GroupRequest,
    event="group",
    told=lambda row: {"group_name": row.document["name"]},
    has_next=True,
    limit_default=_LIMIT,
    limit_max=_LIMIT_MAX,
    ascending=True,
)
GROUP_USERS = Managed(
    kind=GROUP_USER,
    object=GROUP_USER,
    prefix="user-",
    path="/organization/groups/{group_id}/users",
    param="user_id",
    missing=errors.no_such("user"),
    within=GROUPS,
    event="group",
    has_next=True,
    limit_default=_LIMIT,
    limit_max=_LIMIT_MAX,
    ascending=True,
)


async def update_group(call: Call) -> Reply:
    name = call.body.name
    row = await GROUPS.alter(call, lambda row: row.merged(name=name), {"group_name": name})
    shown = ("id", "name", "created_at", "is_scim_managed")
    return json_reply({member: row.document[member] for member in shown})


async def delete_group(call: Call) -> Reply:
    """It leaves its projects, too."""
    group_id = call.params["group_id"]
    places = await all_rows(call, "project.group", None, {"group": group_id})
    await GROUPS.remove(call, *[Delete(row.key) for row in places])
    return GROUPS.gone(call)


async def add_user(call: Call) -> Reply:
    group = await GROUPS.row(call)
    user = await USERS.row(call, call.body.user_id)
    document = {
        "id": user.key.id, "name": user.document["name"], "email": user.document["email"],
    }  # fmt: skip
    key = group.key.child(GROUP_USER, user.key.id)
    row = Row(key, document, float(call.created), tags={"user": user.key.id})
    told = {"id": group.key.id, "changes_requested": {"group_name": group.document["name"]}}
    try:
        await call.store.commit(Require(group.key), Insert(row), entry(call, "group.updated", told))
    except Exists as error:
        if error.key != key:
            raise
        raise errors.already_there("user", user.key.id) from None
    return json_reply({"object": GROUP_USER, "user_id": user.key.id, "group_id": group.key.id})


async def retrieve_user(call: Call) -> Reply:
    row = await GROUP_USERS.row(call)
    more = {"picture": None, "is_service_account": False, "user_type": "user"}
    return json_reply({**row.document, **more})


async def remove_user(call: Call) -> Reply:
    key = GROUP_USERS.key(call)
    await GROUP_USERS.row(call)
    told = entry(call, "group.updated", {"id": call.params["group_id"]})
    await call.store.commit(Delete(key), told)
    return json_reply({"object": "group.user.deleted", "deleted": True})


_ONE = GROUPS.path + "/{group_id}"
_USER = GROUP_USERS.path + "/{user_id}"
OPERATIONS = (
    *GROUPS.operations(create="create-group", list="list-groups", retrieve="retrieve-group"),
    Operation("update-group", "POST", _ONE, update_group, GroupRequest),
    Operation("delete-group", "DELETE", _ONE, delete_group),
    *GROUP_USERS.operations(list="list-group-users"),
    Operation("add-group-user", "POST", GROUP_USERS.path, add_user, AddUserRequest),
    Operation("retrieve-group-user", "GET", _USER, retrieve_user),
    Operation("remove-group-user", "DELETE", _USER, remove_user),
)
