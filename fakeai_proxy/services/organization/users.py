"""The users of an organization, who come by invitation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.keyring import dropped
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.organization.audit import OWNER_ID
from fakeai_proxy.services.organization.founding import MEMBER, USER
from fakeai_proxy.services.organization.listing import all_rows, scanned
from fakeai_proxy.services.organization.managed import Managed, Strict
from fakeai_proxy.store import Delete, Row, Write

#: Who is in a group, and what a user owns: rows that go with the user.
GROUP_USER = "group.user"
ASSIGNMENT = "role.assignment"


class ModifyUserRequest(Strict):
    role: Literal["owner", "reader"] | None = None
    role_id: str | None = None
    technical_level: Annotated[str, Field(max_length=256)] | None = None
    developer_persona: Annotated[str, Field(max_length=256)] | None = None


def _changed(call: Call, row: Row) -> Row:
    asked = call.body.model_dump(exclude_none=True, exclude={"role_id"})
    if call.body.role_id is not None:
        name = call.body.role_id.partition("__")[0].rpartition("-")[2]
        asked["role"] = name if name in ("owner", "reader") else row.document["role"]
    return row.merged(**asked)


USERS = Managed(
    kind=USER,
    object=USER,
    prefix="user-",
    path="/organization/users",
    param="user_id",
    missing=errors.no_such("user"),
    created="added_at",
    modify=ModifyUserRequest,
    change=_changed,
    event="user",
    made="added",
    told=lambda row: {"role": row.document["role"]},
)


async def list_users(call: Call) -> Reply:
    emails = {one for value in call.queried("emails") for one in value.split(",") if one}
    if not emails:
        return await USERS.list_some(call)
    page = await scanned(
        call, USERS.kind, USERS.parent(call), USERS.missing,
        lambda row: row.document["email"] in emails,
    )  # fmt: skip
    return USERS.listing(call, page)


async def delete_user(call: Call) -> Reply:
    row = await USERS.row(call)
    if row.key.id == OWNER_ID:
        raise errors.last_owner_stays()
    await USERS.remove(call, *await belongings(call, row.key.id))
    return USERS.gone(call)


async def belongings(call: Call, owner_id: str, parent: str | None = None) -> list[Write]:
    """The end of all memberships and keys of who leaves the organization, or one project."""
    gone: list[Write] = []
    kinds = (MEMBER, GROUP_USER) if parent is None else ()
    for kind in kinds:
        gone += [Delete(row.key) for row in await all_rows(call, kind, None, {"user": owner_id})]
    for row in await all_rows(call, "organization.project.api_key", parent, {"owner": owner_id}):
        gone += dropped(row)
    return gone


OPERATIONS = (
    Operation("list-users", "GET", USERS.path, list_users),
    *USERS.operations(retrieve="retrieve-user", modify="modify-user"),
    Operation("delete-user", "DELETE", USERS.path + "/{user_id}", delete_user),
)
