"""Keys: of administrators, and of a project's users and service accounts, which are shown once."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.keyring import (
    ADMIN_KEY,
    PROJECT_KEY,
    dropped,
)
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.organization.audit import OWNER_ID
from fakeai_proxy.services.organization.key_rows import account_key, admin_key, expiring
from fakeai_proxy.services.organization.listing import all_rows
from fakeai_proxy.services.organization.managed import Managed, Strict
from fakeai_proxy.services.organization.projects import PROJECTS, open_project
from fakeai_proxy.services.organization.users import USERS
from fakeai_proxy.services.wire import json_reply
from fakeai_proxy.store import Change, Insert, Key, Missing, Require, Row, Write

_Name = Annotated[str, Field(min_length=1, max_length=256)]
_Seconds = Annotated[int, Field(ge=1, le=10 * 365 * 86_400)]


class CreateAdminKeyRequest(Strict):
    name: _Name
    expires_in_seconds: _Seconds | None = None


class CreateAccountRequest(Strict):
    name: _Name
    create_service_account_only: bool | None = None
    expires_in_seconds: _Seconds | None = None


class ModifyAccountRequest(Strict):
    name: _Name | None = None
    role: Literal["member", "owner"] | None = None


class CreateAccountKeyRequest(Strict):
    name: _Name | None = None
    scopes: list[str] | None = None
    expires_in_seconds: _Seconds | None = None


class ModifyKeyRequest(Strict):
    expires_in_seconds: _Seconds | None = None
    scopes: list[str] | None = None


# --- of administrators -----------------------------------------------------------------------------

ADMIN_KEYS = Managed(
    kind=ADMIN_KEY,
    object=ADMIN_KEY,
    prefix="key_",
    path="/organization/admin_api_keys",
    param="key_id",
    missing=errors.no_such("admin API key"),
    event="api_key",
    told=lambda row: {"scopes": ["api.management.read", "api.management.write"]},
    ascending=True,
)


async def create_admin_key(call: Call) -> Reply:
    asked: CreateAdminKeyRequest = call.body
    owner = (await USERS.row(call, OWNER_ID)).document
    key_id = ADMIN_KEYS.begun(call, str(call.wall())).key.id
    made = admin_key(key_id, asked.name, owner, asked.expires_in_seconds, call.wall())
    await call.store.commit(*made.writes, ADMIN_KEYS.log_of(call, made.row))
    return json_reply({**made.row.document, "value": made.secret})


async def delete_admin_key(call: Call) -> Reply:
    row = await ADMIN_KEYS.row(call)
    _, *others = dropped(row)
    await ADMIN_KEYS.remove(call, *others)
    return ADMIN_KEYS.gone(call)


# --- of projects -----------------------------------------------------------------------------------

ACCOUNTS = Managed(
    kind="organization.project.service_account",
    object="organization.project.service_account",
    prefix="svc_acct_",
    path="/organization/projects/{project_id}/service_accounts",
    param="service_account_id",
    missing=errors.no_such("service account"),
    within=PROJECTS,
    modify=ModifyAccountRequest,
    event="service_account",
    told=lambda row: {"role": row.document["role"]},
)
PROJECT_KEYS = Managed(
    kind=PROJECT_KEY,
    object=PROJECT_KEY,
    prefix="key_",
    path="/organization/projects/{project_id}/api_keys",
    param="api_key_id",
    missing=errors.no_such("API key"),
    within=PROJECTS,
    event="api_key",
    told=lambda row: {"scopes": []},
)


async def create_account(call: Call) -> Reply:
    asked: CreateAccountRequest = call.body
    project = open_project(await PROJECTS.row(call))
    alone = bool(asked.create_service_account_only)
    begun = ACCOUNTS.begun(call, str(call.wall()))
    account = begun.merged(name=asked.name, role="none" if alone else "member")
    writes: list[Write] = [Require(project.key), Insert(account)]
    shown: dict[str, Any] | None = None
    if not alone:
        more, shown = _account_key(call, project, account, "Secret Key", asked.expires_in_seconds)
        writes += more
    await call.store.commit(*writes, ACCOUNTS.log_of(call, account, project.document))
    return json_reply({**account.document, "api_key": shown})


def _account_key(
    call: Call, project: Row, account: Row, name: str, seconds: int | None
) -> tuple[list[Write], dict[str, Any]]:
    """The writes that make a key of the account, and what clients see of it, once."""
    begun = PROJECT_KEYS.begun(call, account.key.id, str(call.wall()), parent=project.key.path)
    made = account_key(begun.key.id, project.key, name, account.document, seconds, call.wall())
    shown = {
        "object": "organization.project.service_account.api_key", "value": made.secret,
        "name": name, "created_at": call.created, "id": made.row.key.id,
        "expires_at": made.row.document["expires_at"],
    }  # fmt: skip
    return [*made.writes, PROJECT_KEYS.log_of(call, made.row, project.document)], shown


async def create_account_key(call: Call) -> Reply:
    asked: CreateAccountKeyRequest = call.body
    project = open_project(await PROJECTS.row(call))
    account = await ACCOUNTS.row(call)
    name = asked.name or "Secret Key"
    writes, shown = _account_key(call, project, account, name, asked.expires_in_seconds)
    await call.store.commit(Require(account.key), *writes)
    return json_reply(shown)


async def delete_account(call: Call) -> Reply:
    """Its keys stop with it."""
    account_id = call.params["service_account_id"]
    gone: list[Write] = []
    for row in await all_rows(call, PROJECT_KEY, PROJECTS.key(call).path, {"owner": account_id}):
        gone += dropped(row)
    await ACCOUNTS.remove(call, *gone)
    return ACCOUNTS.gone(call)


async def modify_key(call: Call) -> Reply:
    asked: ModifyKeyRequest = call.body
    now = call.wall()
    requested = asked.model_dump(exclude_none=True)
    row = await PROJECT_KEYS.row(call)
    seconds = asked.expires_in_seconds
    also: list[Write] = []
    if seconds is not None:
        look_up = Key("key", row.tags["digest"], "")
        also.append(Change(look_up, lambda row: replace(row, expires_at=int(now) + seconds)))

    def changed(row: Row) -> Row:
        return row if seconds is None else expiring(row, seconds, now)

    return PROJECT_KEYS.reply(call, await PROJECT_KEYS.alter(call, changed, requested, *also))


async def delete_key(call: Call) -> Reply:
    row = await PROJECT_KEYS.row(call)
    if row.document["owner"]["type"] == "service_account":
        raise errors.key_has_service_account()
    _, *others = dropped(row)
    try:
        await PROJECT_KEYS.remove(call, *others)
    except Missing:  # it expired in this moment
        raise PROJECT_KEYS.missing(row.key.id) from None
    return PROJECT_KEYS.gone(call)


_ACCOUNT = ACCOUNTS.path + "/{service_account_id}"
_KEY = PROJECT_KEYS.path + "/{api_key_id}"
OPERATIONS = (
    Operation(
        "admin-api-keys-create", "POST", ADMIN_KEYS.path, create_admin_key, CreateAdminKeyRequest
    ),
    *ADMIN_KEYS.operations(list="admin-api-keys-list", retrieve="admin-api-keys-get"),
    Operation("admin-api-keys-delete", "DELETE", ADMIN_KEYS.path + "/{key_id}", delete_admin_key),
    Operation(
        "create-project-service-account", "POST", ACCOUNTS.path, create_account,
        CreateAccountRequest,
    ),
    *ACCOUNTS.operations(
        list="list-project-service-accounts", retrieve="retrieve-project-service-account",
        modify="update-project-service-account",
    ),
    Operation("delete-project-service-account", "DELETE", _ACCOUNT, delete_account),
    Operation(
        "CreateanAPIkeyforaserviceaccount", "POST", _ACCOUNT + "/api_keys", create_account_key,
        CreateAccountKeyRequest,
    ),
    *PROJECT_KEYS.operations(
        list="list-project-api-keys", retrieve="retrieve-project-api-key"
    ),
    Operation("modify-project-api-key", "POST", _KEY, modify_key, ModifyKeyRequest),
    Operation("delete-project-api-key", "DELETE", _KEY, delete_key),
)  # fmt: skip
