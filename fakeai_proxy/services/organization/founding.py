"""What every organization has from the start: its owner, a project, and the roles that nobody made."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fakeai_proxy.exchange import PROJECT, Reply
from fakeai_proxy.services.keyring import ORGANIZATION, PROJECT_KIND, project_key
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.organization.audit import OWNER_EMAIL, OWNER_ID
from fakeai_proxy.store import Exists, Insert, Key, Row, Store

USER, MEMBER, ROLE = "organization.user", "organization.project.user", "role"
#: Who may what, by the names of the vendor's permissions; `*` is all.
_ORGANIZATION_ROLES = {
    "owner": ("Manages everything in the organization", ("api.organization.*",)),
    "reader": ("Calls the API and reads the organization",
               ("api.organization.read", "api.model.request")),
}  # fmt: skip
_PROJECT_ROLES = {
    "owner": ("Manages the project", ("api.project.*",)),
    "member": ("Calls the API in the project", ("api.project.read", "api.model.request")),
}


def role_row(
    key: Key, name: str, description: str | None, permissions: list[str], now: float,
    *, predefined: bool = False,
) -> Row:  # fmt: skip
    of_project = key.parent != ORGANIZATION
    document = {
        "id": key.id, "object": "role", "name": name, "description": description,
        "permissions": permissions, "predefined_role": predefined,
        "resource_type": "api.project" if of_project else "api.organization",
    }  # fmt: skip
    return Row(key, document, now, tags={"name": name})


def project_roles(project: Key, now: float) -> list[Insert]:
    """Those that every project has."""
    return _roles(_PROJECT_ROLES, project.path, f"api-project-{{}}__{project.id}", now)


def _roles(
    roles: dict[str, tuple[str, tuple[str, ...]]], parent: str, ids: str, now: float
) -> list[Insert]:
    return [
        Insert(role_row(Key(ROLE, "role-" + ids.format(name), parent), name, description,
                        list(permissions), now, predefined=True))
        for name, (description, permissions) in roles.items()
    ]  # fmt: skip


def user_row(user_id: str, name: str, email: str, role: str, now: float) -> Row:
    document = {
        "id": user_id, "object": USER, "name": name, "email": email, "role": role,
        "added_at": int(now),
    }  # fmt: skip
    return Row(Key(USER, user_id, ORGANIZATION), document, now, tags={"email": email})


def project_row(key: Key, name: str, now: float, **more: Any) -> Row:
    document = {
        "id": key.id, "object": PROJECT_KIND, "name": name, "created_at": int(now),
        "archived_at": None, "status": "active", **more,
    }  # fmt: skip
    return Row(key, document, now, tags={"status": "active"})


def member_row(project: Key, user: Row, role: str, now: float) -> Row:
    document = {
        "id": user.key.id, "object": MEMBER, "name": user.document["name"],
        "email": user.document["email"], "role": role, "added_at": int(now),
    }  # fmt: skip
    tags = {"user": user.key.id}
    return Row(project.child(MEMBER, user.key.id), document, now, tags=tags)


async def found(store: Store, now: float) -> None:
    """Unless it was founded before."""
    project = project_key(PROJECT)
    if await store.get(project) is not None:
        return
    owner = user_row(OWNER_ID, "Owner", OWNER_EMAIL, "owner", now)
    organization_roles = _roles(
        _ORGANIZATION_ROLES, ORGANIZATION, f"api-organization-{{}}__{ORGANIZATION}", now
    )
    try:
        await store.commit(
            Insert(owner),
            Insert(project_row(project, "Default project", now)),
            Insert(member_row(project, owner, "owner", now)),
            *organization_roles,
            *project_roles(project, now),
        )
    except Exists:  # another process did at the same time
        return


def founded(operation: Operation) -> Operation:
    """The same, for administrators, of an organization that there is."""
    inner = operation.handler

    async def handler(call: Call) -> Reply:
        await found(call.store, call.wall())
        reply = inner(call)
        return reply if isinstance(reply, Reply) else await reply

    return replace(operation, handler=handler, admin=True)
