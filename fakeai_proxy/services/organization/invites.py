"""Invitations to the organization. A mail is never sent: `accept` stands for the click in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from fakeai_proxy import errors
from fakeai_proxy.exchange import PROJECT, Reply
from fakeai_proxy.services.keyring import project_key
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.organization.audit import entry
from fakeai_proxy.services.organization.founding import member_row, user_row
from fakeai_proxy.services.organization.managed import Managed, Strict
from fakeai_proxy.services.organization.users import USERS
from fakeai_proxy.store import Insert, Row, Write

#: platform.openai.com/docs/api-reference/invite: an invite is good for a week.
_LIFE_S = 7 * 86_400


class InviteProject(Strict):
    id: str
    role: Literal["member", "owner"]


class InviteRequest(Strict):
    email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$", max_length=320)]
    role: Literal["reader", "owner"]
    projects: Annotated[list[InviteProject], Field(max_length=100)] | None = None


def _show(row: Row, now: float) -> Mapping[str, Any]:
    document = row.document
    if document["status"] == "pending" and now >= document["expires_at"]:
        return {**document, "status": "expired"}
    return document


def _made(call: Call, row: Row) -> Row:
    asked: InviteRequest = call.body
    projects = (
        [{"id": PROJECT, "role": "member"}]
        if asked.projects is None
        else [one.model_dump() for one in asked.projects]
    )
    return row.merged(
        email=asked.email, role=asked.role, status="pending", projects=projects,
        expires_at=call.created + _LIFE_S, accepted_at=None,
    )  # fmt: skip


INVITES = Managed(
    kind="organization.invite",
    object="organization.invite",
    prefix="invite-",
    path="/organization/invites",
    param="invite_id",
    missing=errors.no_such("invite"),
    show=_show,
    create=InviteRequest,
    make=_made,
    event="invite",
    made="sent",
    told=lambda row: {"email": row.document["email"], "role": row.document["role"]},
)


async def send_invite(call: Call) -> Reply:
    asked: InviteRequest = call.body
    page = await call.store.page(
        USERS.kind, USERS.parent(call), tags={"email": asked.email}, limit=1
    )
    if page.rows:
        raise errors.already_there("user", asked.email)
    for project in asked.projects or ():
        if await call.store.get(project_key(project.id)) is None:
            raise errors.no_such("project")(project.id)
    return await INVITES.create_one(call)


def _pending(row: Row, now: float) -> Row:
    """Raises 400."""
    status = _show(row, now)["status"]
    if status == "accepted":
        raise errors.invite_is_over(status)
    return row


async def delete_invite(call: Call) -> Reply:
    _pending(await INVITES.row(call), call.wall())
    return await INVITES.delete_one(call)


async def accept_invite(call: Call) -> Reply:
    now = call.wall()
    invite = await INVITES.row(call)
    begun = USERS.begun(call)
    document = invite.document
    name = document["email"].partition("@")[0]
    user = user_row(begun.key.id, name, document["email"], document["role"], now)
    also: list[Write] = [
        Insert(user),
        entry(call, "user.added", {"id": user.key.id, "data": {"role": document["role"]}}),
    ]
    for project in document["projects"]:
        key = project_key(project["id"])
        if await call.store.get(key) is not None:
            also.append(Insert(member_row(key, user, project["role"], now)))

    def accepted(row: Row) -> Row:
        if _show(row, now)["status"] != "pending":
            raise errors.invite_is_over(_show(row, now)["status"])
        return row.merged(status="accepted", accepted_at=int(now))

    row = await INVITES.alter(call, accepted, {}, *also, event="invite.accepted")
    return INVITES.reply(call, row)


_ONE = INVITES.path + "/{invite_id}"
OPERATIONS = (
    Operation("inviteUser", "POST", INVITES.path, send_invite, InviteRequest),
    *INVITES.operations(list="list-invites", retrieve="retrieve-invite"),
    Operation("delete-invite", "DELETE", _ONE, delete_invite),
    Operation("acceptInvite", "POST", _ONE + "/accept", accept_invite),
)
