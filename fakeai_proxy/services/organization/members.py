"""The users and groups of a project."""

from __future__ import annotations

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.organization.founding import MEMBER, member_row
from fakeai_proxy.services.organization.groups import GROUPS
from fakeai_proxy.services.organization.managed import Managed, Strict
from fakeai_proxy.services.organization.projects import PROJECTS, open_project
from fakeai_proxy.services.organization.users import USERS, belongings
from fakeai_proxy.services.wire import json_reply
from fakeai_proxy.store import Exists, Insert, Row


class AddMemberRequest(Strict):
    role: str
    user_id: str | None = None
    email: str | None = None


class ModifyMemberRequest(Strict):
    role: str | None = None


class AddGroupRequest(Strict):
    group_id: str
    role: str


def role_name(given: str, param: str = "role") -> str:
    """`owner`, `member`, or the id of one of these roles. Raises 400."""
    name = given.partition("__")[0].removeprefix("role-api-project-")
    if name not in ("owner", "member"):
        raise errors.invalid_value(param, given, ("owner", "member"))
    return name


def _changed(call: Call, row: Row) -> Row:
    role = call.body.role
    return row if role is None else row.merged(role=role_name(role))


MEMBERS = Managed(
    kind=MEMBER,
    object=MEMBER,
    prefix="user-",
    path="/organization/projects/{project_id}/users",
    param="user_id",
    missing=errors.no_such("user"),
    within=PROJECTS,
    created="added_at",
    modify=ModifyMemberRequest,
    change=_changed,
    event="user",
    made="added",
    told=lambda row: {"role": row.document["role"]},
)


async def add_member(call: Call) -> Reply:
    asked: AddMemberRequest = call.body
    role = role_name(asked.role)
    project = open_project(await PROJECTS.row(call))
    row = member_row(project.key, await _user(call, asked), role, call.wall())
    try:
        await call.store.commit(Insert(row), MEMBERS.log_of(call, row, project.document))
    except Exists as error:
        if error.key != row.key:
            raise
        raise errors.already_there("user", row.key.id) from None
    return MEMBERS.reply(call, row)


async def _user(call: Call, asked: AddMemberRequest) -> Row:
    """Raises 400 and 404."""
    if asked.user_id is not None:
        return await USERS.row(call, asked.user_id)
    if asked.email is None:
        raise errors.missing_parameter("user_id")
    page = await call.store.page(
        USERS.kind, USERS.parent(call), tags={"email": asked.email}, limit=1
    )
    if not page.rows:
        raise errors.no_such("user")(asked.email)
    return page.rows[0]


async def remove_member(call: Call) -> Reply:
    project = PROJECTS.key(call)
    owned = await belongings(call, call.params["user_id"], project.path)
    await MEMBERS.remove(call, *owned)
    return MEMBERS.gone(call)


# --- groups ----------------------------------------------------------------------------------------


PROJECT_GROUPS = Managed(
    kind="project.group",
    object="project.group",
    prefix="group_",
    path="/organization/projects/{project_id}/groups",
    param="group_id",
    missing=errors.no_such("group"),
    within=PROJECTS,
    event="role.assignment",
    has_next=True,
    ascending=True,
)


async def add_group(call: Call) -> Reply:
    asked: AddGroupRequest = call.body
    project = open_project(await PROJECTS.row(call))
    group = await GROUPS.row(call, asked.group_id)
    document = {
        "object": "project.group", "project_id": project.key.id, "group_id": group.key.id,
        "group_name": group.document["name"], "group_type": "group", "created_at": call.created,
        "id": group.key.id, "role": role_name(asked.role),
    }  # fmt: skip
    key = project.key.child(PROJECT_GROUPS.kind, group.key.id)
    row = Row(key, document, float(call.created), tags={"group": group.key.id})
    try:
        await call.store.commit(Insert(row), PROJECT_GROUPS.log_of(call, row, project.document))
    except Exists as error:
        if error.key != key:
            raise
        raise errors.already_there("group", group.key.id) from None
    return PROJECT_GROUPS.reply(call, row)


async def remove_group(call: Call) -> Reply:
    await PROJECT_GROUPS.remove(call)
    return json_reply({"object": "project.group.deleted", "deleted": True})


_ONE_GROUP = PROJECT_GROUPS.path + "/{group_id}"
OPERATIONS = (
    Operation("create-project-user", "POST", MEMBERS.path, add_member, AddMemberRequest),
    *MEMBERS.operations(
        list="list-project-users", retrieve="retrieve-project-user",
        modify="modify-project-user",
    ),
    Operation("delete-project-user", "DELETE", MEMBERS.path + "/{user_id}", remove_member),
    Operation("add-project-group", "POST", PROJECT_GROUPS.path, add_group, AddGroupRequest),
    *PROJECT_GROUPS.operations(list="list-project-groups", retrieve="retrieve-project-group"),
    Operation("remove-project-group", "DELETE", _ONE_GROUP, remove_group),
)  # fmt: skip
