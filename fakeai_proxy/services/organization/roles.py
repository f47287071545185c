"""Roles, of the organization and of projects, and who has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.organization.audit import entry
from fakeai_proxy.services.organization.founding import ROLE, role_row
from fakeai_proxy.services.organization.groups import GROUPS
from fakeai_proxy.services.organization.listing import all_rows, next_listing
from fakeai_proxy.services.organization.managed import Managed, Strict
from fakeai_proxy.services.organization.members import MEMBERS, PROJECT_GROUPS
from fakeai_proxy.services.organization.projects import PROJECTS
from fakeai_proxy.services.organization.users import ASSIGNMENT, USERS
from fakeai_proxy.services.wire import json_reply
from fakeai_proxy.store import Delete, Exists, Insert, Require, Row

_LIMIT_MAX = 1000
_Permissions = Annotated[list[Annotated[str, Field(max_length=256)]], Field(max_length=1000)]
_Name = Annotated[str, Field(min_length=1, max_length=256)]


class CreateRoleRequest(Strict):
    role_name: _Name
    permissions: _Permissions
    description: Annotated[str, Field(max_length=2048)] | None = None


class UpdateRoleRequest(Strict):
    role_name: _Name | None = None
    permissions: _Permissions | None = None
    description: Annotated[str, Field(max_length=2048)] | None = None


class AssignRequest(Strict):
    role_id: str


def _made(call: Call, row: Row) -> Row:
    asked: CreateRoleRequest = call.body
    return role_row(row.key, asked.role_name, asked.description, asked.permissions, row.created_at)


def own(row: Row) -> Row:
    """Raises 400 for a role that nobody here made."""
    if row.document["predefined_role"]:
        raise errors.role_is_predefined(row.document["name"])
    return row


def _changed(call: Call, row: Row) -> Row:
    asked = call.body.model_dump(exclude_none=True)
    name = asked.pop("role_name", row.document["name"])
    return replace(own(row).merged(**asked, name=name), tags={"name": name})


def _roles(path: str, within: Managed | None) -> Managed:
    return Managed(
        kind=ROLE,
        object="role",
        prefix="role_",
        path=path,
        param="role_id",
        missing=errors.no_such("role"),
        within=within,
        create=CreateRoleRequest,
        make=_made,
        modify=UpdateRoleRequest,
        change=_changed,
        event="role",
        has_next=True,
        limit_default=_LIMIT_MAX,
        limit_max=_LIMIT_MAX,
        ascending=True,
    )


ROLES = _roles("/organization/roles", None)
PROJECT_ROLES = _roles("/projects/{project_id}/roles", PROJECTS)


def _verbs(roles: Managed, infix: str) -> Iterator[Operation]:
    async def create(call: Call) -> Reply:
        await _unnamed(call, roles, call.body.role_name)
        return await roles.create_one(call)

    async def modify(call: Call) -> Reply:
        if call.body.role_name is not None:
            await _unnamed(call, roles, call.body.role_name, call.params["role_id"])
        return await roles.modify_one(call)

    async def delete(call: Call) -> Reply:
        own(await roles.row(call))
        held = await all_rows(call, ASSIGNMENT, None, {"role": call.params["role_id"]})
        await roles.remove(call, *[Delete(row.key) for row in held])
        return roles.gone(call)

    one = roles.path + "/{role_id}"
    yield Operation(f"create-{infix}role", "POST", roles.path, create, CreateRoleRequest)
    yield from roles.operations(list=f"list-{infix}roles", retrieve=f"retrieve-{infix}role")
    yield Operation(f"update-{infix}role", "POST", one, modify, UpdateRoleRequest)
    yield Operation(f"delete-{infix}role", "DELETE", one, delete)


async def _unnamed(call: Call, roles: Managed, name: str, but: str = "") -> None:
    """Names are unique. Raises 409."""
    page = await call.store.page(roles.kind, roles.parent(call), tags={"name": name}, limit=2)
    if any(row.key.id != but for row in page.rows):
        raise errors.already_there("role", name)


# --- who has them ----------------------------------------------------------------------------------


def _as_user(row: Row) -> dict[str, Any]:
    document = row.document
    return {
        "object": "organization.user", "id": row.key.id, "name": document["name"],
        "email": document["email"], "role": document["role"], "added_at": document["added_at"],
    }  # fmt: skip


def _as_group(row: Row) -> dict[str, Any]:
    return {
        "object": "group", "id": row.key.id, "created_at": int(row.created_at),
        "name": row.document.get("group_name") or row.document.get("name"), "scim_managed": False,
    }  # fmt: skip


def _assignments(
    holders: Managed,
    roles: Managed,
    word: str,
    show: Callable[[Row], dict[str, Any]],
    infix: str,
    path: str,
) -> Iterator[Operation]:
    """`holders` may have `roles`; `word` is what they are called in answers."""
    event = "role.assignment"

    def details(call: Call, role_id: str) -> dict[str, str]:
        project = call.params.get("project_id")
        return {
            "id": role_id, "principal_id": holders.key(call).id, "principal_type": word,
            "resource_id": project or roles.parent(call),
            "resource_type": "api.organization" if project is None else "api.project",
        }  # fmt: skip

    async def assign(call: Call) -> Reply:
        holder = await holders.row(call)
        role = await roles.row(call, call.body.role_id)
        key = holder.key.child(ASSIGNMENT, role.key.id)
        row = Row(key, {"created_at": call.created}, float(call.created), tags={"role": key.id})
        told = entry(call, f"{event}.created", details(call, key.id))
        try:
            await call.store.commit(Require(holder.key), Insert(row), told)
        except Exists as error:
            if error.key != key:
                raise
            raise errors.already_there("role", role.document["name"]) from None
        return json_reply({"object": f"{word}.role", word: show(holder), "role": role.document})

    async def shown(call: Call, held: Row) -> dict[str, Any] | None:
        role = await call.store.get(roles.key(call, held.key.id))
        if role is None:
            return None
        more = {
            "created_at": held.document["created_at"], "updated_at": None, "created_by": None,
            "created_by_user_obj": None, "metadata": {},
        }  # fmt: skip
        return {**role.document, **more}

    async def listed(call: Call) -> Reply:
        holder = await holders.row(call)
        held = await all_rows(call, ASSIGNMENT, holder.key.path)
        found = [await shown(call, row) for row in held]
        return next_listing([one for one in found if one is not None], None)

    async def retrieve(call: Call) -> Reply:
        holder = await holders.row(call)
        role_id = call.params["role_id"]
        held = await call.store.get(holder.key.child(ASSIGNMENT, role_id))
        one = None if held is None else await shown(call, held)
        if one is None:
            raise roles.missing(role_id)
        return json_reply(one)

    async def unassign(call: Call) -> Reply:
        holder = await holders.row(call)
        key = holder.key.child(ASSIGNMENT, call.params["role_id"])
        if await call.store.get(key) is None:
            raise roles.missing(key.id)
        await call.store.commit(Delete(key), entry(call, f"{event}.deleted", details(call, key.id)))
        return json_reply({"object": f"{word}.role.deleted", "deleted": True})

    one = path + "/{role_id}"
    yield Operation(f"assign-{infix}-role", "POST", path, assign, AssignRequest)
    yield Operation(f"list-{infix}-role-assignments", "GET", path, listed)
    yield Operation(f"retrieve-{infix}-role", "GET", one, retrieve)
    yield Operation(f"unassign-{infix}-role", "DELETE", one, unassign)


OPERATIONS = (
    *_verbs(ROLES, ""),
    *_verbs(PROJECT_ROLES, "project-"),
    *_assignments(USERS, ROLES, "user", _as_user, "user",
                  "/organization/users/{user_id}/roles"),
    *_assignments(GROUPS, ROLES, "group", _as_group, "group",
                  "/organization/groups/{group_id}/roles"),
    *_assignments(MEMBERS, PROJECT_ROLES, "user", _as_user, "project-user",
                  "/projects/{project_id}/users/{user_id}/roles"),
    *_assignments(PROJECT_GROUPS, PROJECT_ROLES, "group", _as_group, "project-group",
                  "/projects/{project_id}/groups/{group_id}/roles"),
)  # fmt: skip
