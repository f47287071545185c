"""Roles, of the organization and of projects, and who has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.organization.founding import ROLE, role_row
from fakeai_proxy.services.organization.listing import all_rows
from fakeai_proxy.services.organization.managed import Managed, Strict
from fakeai_proxy.services.organization.projects import PROJECTS
from fakeai_proxy.services.organization.users import ASSIGNMENT
from fakeai_proxy.store import Delete, Row

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


OPERATIONS = (*_verbs(ROLES, ""), *_verbs(PROJECT_ROLES, "project-"))
