"""Who has which role: users and groups, in the organization and in its projects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.organization.audit import entry
from fakeai_proxy.services.organization.groups import GROUPS
from fakeai_proxy.services.organization.listing import all_rows, next_listing
from fakeai_proxy.services.organization.managed import Managed, Strict
from fakeai_proxy.services.organization.members import MEMBERS, PROJECT_GROUPS
from fakeai_proxy.services.organization.roles import PROJECT_ROLES, ROLES
from fakeai_proxy.services.organization.users import ASSIGNMENT, USERS
from fakeai_proxy.services.wire import json_reply
from fakeai_proxy.store import Delete, Exists, Insert, Require, Row, Write

_EVENT = "role.assignment"


class AssignRequest(Strict):
    role_id: str


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


@dataclass(frozen=True)
class Assignments:
    """`holders` may have `roles`; `word` is what they are called in answers, `name` in the names of
    operations."""

    path: str
    name: str
    word: str
    holders: Managed
    roles: Managed
    show: Callable[[Row], dict[str, Any]]

    def log(self, call: Call, verb: str, role_id: str) -> Write:
        project = call.params.get("project_id")
        details = {
            "id": role_id,
            "principal_id": self.holders.key(call).id,
            "principal_type": self.word,
            "resource_id": project or self.roles.parent(call),
            "resource_type": "api.organization" if project is None else "api.project",
        }
        return entry(call, f"{_EVENT}.{verb}", details)

    async def assign(self, call: Call) -> Reply:
        holder = await self.holders.row(call)
        role = await self.roles.row(call, call.body.role_id)
        key = holder.key.child(ASSIGNMENT, role.key.id)
        row = Row(key, {"created_at": call.created}, float(call.created), tags={"role": key.id})
        try:
            await call.store.commit(
                Require(holder.key), Insert(row), self.log(call, "created", key.id)
            )
        except Exists as error:
            if error.key != key:
                raise
            raise errors.already_there("role", role.document["name"]) from None
        body = {self.word: self.show(holder), "role": role.document}
        return json_reply({"object": f"{self.word}.role", **body})

    async def listed(self, call: Call) -> Reply:
        holder = await self.holders.row(call)
        held = await all_rows(call, ASSIGNMENT, holder.key.path)
        found = [await self._shown(call, row) for row in held]
        return next_listing([one for one in found if one is not None], None)

    async def retrieve(self, call: Call) -> Reply:
        shown = await self._shown(call, await self._held(call))
        if shown is None:
            raise self.roles.missing(call.params["role_id"])
        return json_reply(shown)

    async def unassign(self, call: Call) -> Reply:
        held = await self._held(call)
        await call.store.commit(Delete(held.key), self.log(call, "deleted", held.key.id))
        return json_reply({"object": f"{self.word}.role.deleted", "deleted": True})

    async def _held(self, call: Call) -> Row:
        """Raises 404."""
        holder, role_id = await self.holders.row(call), call.params["role_id"]
        held = await call.store.get(holder.key.child(ASSIGNMENT, role_id))
        if held is None:
            raise self.roles.missing(role_id)
        return held

    async def _shown(self, call: Call, held: Row) -> dict[str, Any] | None:
        role = await call.store.get(self.roles.key(call, held.key.id))
        if role is None:
            return None
        more = {
            "created_at": held.document["created_at"], "updated_at": None, "created_by": None,
            "created_by_user_obj": None, "metadata": {},
        }  # fmt: skip
        return {**role.document, **more}

    def operations(self) -> tuple[Operation, ...]:
        name, one = self.name, self.path + "/{role_id}"
        return (
            Operation(f"assign-{name}-role", "POST", self.path, self.assign, AssignRequest),
            Operation(f"list-{name}-role-assignments", "GET", self.path, self.listed),
            Operation(f"retrieve-{name}-role", "GET", one, self.retrieve),
            Operation(f"unassign-{name}-role", "DELETE", one, self.unassign),
        )


_ALL = (
    Assignments("/organization/users/{user_id}/roles", "user", "user", USERS, ROLES, _as_user),
    Assignments("/organization/groups/{group_id}/roles", "group", "group", GROUPS, ROLES,
                _as_group),
    Assignments("/projects/{project_id}/users/{user_id}/roles", "project-user", "user", MEMBERS,
                PROJECT_ROLES, _as_user),
    Assignments("/projects/{project_id}/groups/{group_id}/roles", "project-group", "group",
                PROJECT_GROUPS, PROJECT_ROLES, _as_group),
)  # fmt: skip
OPERATIONS = tuple(operation for one in _ALL for operation in one.operations())
