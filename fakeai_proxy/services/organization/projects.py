"""The projects of an organization: what keeps files, jobs and keys apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from fakeai_proxy import errors
from fakeai_proxy.exchange import PROJECT, Reply
from fakeai_proxy.services.keyring import PROJECT_KIND
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.organization.founding import project_roles, project_row
from fakeai_proxy.services.organization.managed import Managed, Strict
from fakeai_proxy.store import Row

_Name = Annotated[str, Field(min_length=1, max_length=256)]


class CreateProjectRequest(Strict):
    name: _Name
    geography: str | None = None
    residency: Any = None
    external_key_id: str | None = None


class ModifyProjectRequest(Strict):
    name: _Name | None = None
    geography: str | None = None
    external_key_id: str | None = None


def _changed(call: Call, row: Row) -> Row:
    return open_project(row).merged(**call.body.model_dump(exclude_none=True))


def open_project(row: Row) -> Row:
    """Raises 400."""
    if row.document["status"] == "archived":
        raise errors.project_is_archived(row.key.id)
    return row


def _made(call: Call, row: Row) -> Row:
    more = call.body.model_dump(exclude_none=True, exclude={"name"})
    return project_row(row.key, call.body.name, float(call.created), **more)


PROJECTS = Managed(
    kind=PROJECT_KIND,
    object=PROJECT_KIND,
    prefix="proj_",
    path="/organization/projects",
    param="project_id",
    missing=errors.no_such("project"),
    create=CreateProjectRequest,
    make=_made,
    modify=ModifyProjectRequest,
    change=_changed,
    event="project",
    told=lambda row: {"name": row.document["name"], "title": row.document["name"]},
)


async def create_project(call: Call) -> Reply:
    row = await PROJECTS.insert(
        call,
        lambda row: _made(call, row),
        lambda row: [*project_roles(row.key, row.created_at), PROJECTS.log_of(call, row)],
    )
    return PROJECTS.reply(call, row)


async def list_projects(call: Call) -> Reply:
    archived = call.query.get("include_archived", "").lower() in ("true", "1")
    page = await PROJECTS.page(call, None if archived else {"status": "active"})
    return PROJECTS.listing(call, page)


async def archive_project(call: Call) -> Reply:
    if call.params["project_id"] == PROJECT:
        raise errors.default_project_stays()

    def archived(row: Row) -> Row:
        row = open_project(row).merged(status="archived", archived_at=call.created)
        return replace(row, tags={"status": "archived"})

    row = await PROJECTS.alter(call, archived, {}, event="project.archived")
    return PROJECTS.reply(call, row)


OPERATIONS = (
    Operation("create-project", "POST", PROJECTS.path, create_project, CreateProjectRequest),
    Operation("list-projects", "GET", PROJECTS.path, list_projects),
    *PROJECTS.operations(retrieve="retrieve-project", modify="modify-project"),
    Operation("archive-project", "POST", PROJECTS.path + "/{project_id}/archive", archive_project),
)
