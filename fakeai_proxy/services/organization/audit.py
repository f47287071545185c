"""The audit log: who changed what of the organization, written in the commit of the change."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.keyring import ORGANIZATION
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.organization.listing import scanned
from fakeai_proxy.services.paging import envelope
from fakeai_proxy.services.wire import json_reply
from fakeai_proxy.store import Insert, Key, Row

#: Who owns an organization that nobody has set up.
OWNER_ID, OWNER_EMAIL = "user-fakeai", "owner@example.com"
KIND = "audit_log"
_INTEGER = re.compile(r"[0-9]{1,15}")
_BOUNDS: dict[str, Callable[[int, int], bool]] = {
    "gt": lambda at, bound: at > bound,
    "gte": lambda at, bound: at >= bound,
    "lt": lambda at, bound: at < bound,
    "lte": lambda at, bound: at <= bound,
}


def entry(
    call: Call, event: str, details: Mapping[str, Any], project: Mapping[str, Any] | None = None
) -> Insert:
    """A write that says so. `project` is its document, where the change was made in one."""
    salt = (event, str(details.get("id", "")), str(call.wall()))
    name = "audit_log-" + call.dice.text_id(call.id_key, KIND, *salt, length=24)
    return line(name, event, details, project, call.key_id, call.user_id, call.wall())


def line(
    name: str, event: str, details: Mapping[str, Any], project: Mapping[str, Any] | None,
    key_id: str, user_id: str, now: float,
) -> Insert:  # fmt: skip
    """The line under that id. Without a `key_id` it was done at a console."""
    document = {
        "id": name,
        "type": event,
        "effective_at": int(now),
        "actor": _actor(key_id, user_id),
        event: details,
    }
    if project is not None:
        document["project"] = {"id": project["id"], "name": project["name"]}
    return Insert(Row(Key(KIND, name, ORGANIZATION), document, now))


def _actor(key_id: str, user_id: str) -> dict[str, Any]:
    user = {"id": user_id or OWNER_ID, "email": OWNER_EMAIL}
    if not key_id:
        return {"type": "session", "session": {"user": user, "ip_address": None}}
    if user_id.startswith("svc_acct_"):
        key = {"type": "service_account", "service_account": {"id": user_id}}
    else:
        key = {"type": "user", "user": user}
    return {"type": "api_key", "api_key": {"id": key_id, **key}}


async def list_audit_logs(call: Call) -> Reply:
    checks = [*_ranges(call), *_lists(call)]
    page = await scanned(
        call, KIND, ORGANIZATION, errors.no_such("audit log"),
        lambda row: all(check(row.document) for check in checks),
    )  # fmt: skip
    return json_reply(envelope([row.document for row in page.rows], has_more=page.has_more))


Check = Callable[[Mapping[str, Any]], bool]


def _ranges(call: Call) -> list[Check]:
    found: list[Check] = []
    for name, holds in _BOUNDS.items():
        given = call.query.get(f"effective_at[{name}]")
        if given is None:
            continue
        if not _INTEGER.fullmatch(given):
            raise errors.invalid_type(f"effective_at[{name}]", "an integer", given)
        found.append(_bounded(holds, int(given)))
    return found


def _bounded(holds: Callable[[int, int], bool], bound: int) -> Check:
    return lambda document: holds(document["effective_at"], bound)


def _lists(call: Call) -> list[Check]:
    found: list[Check] = []
    for name, of in (
        ("event_types", lambda document: {document["type"]}),
        ("project_ids", lambda document: {document.get("project", {}).get("id")}),
        ("actor_ids", _actors),
        ("actor_emails", lambda document: {_user(document).get("email")}),
        ("resource_ids", lambda document: {document[document["type"]].get("id")}),
    ):
        wanted = {one for value in call.queried(name) for one in value.split(",") if one}
        if wanted:
            found.append(_among(of, wanted))
    return found


def _among(of: Callable[[Mapping[str, Any]], set[str | None]], wanted: set[str]) -> Check:
    return lambda document: bool(of(document) & wanted)


def _user(document: Mapping[str, Any]) -> Mapping[str, Any]:
    actor = document["actor"]
    by = actor.get("api_key") or actor.get("session") or {}
    found: Mapping[str, Any] = by.get("user") or by.get("service_account") or {}
    return found


def _actors(document: Mapping[str, Any]) -> set[str | None]:
    key = document["actor"].get("api_key") or {}
    return {key.get("id"), _user(document).get("id")}


OPERATIONS = (Operation("list-audit-logs", "GET", "/organization/audit_logs", list_audit_logs),)
