"""A key as it is made: its secret, the row that tells whose it is, and the row that clients see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from fakeai_proxy.exchange import PROJECT
from fakeai_proxy.services.keyring import (
    ADMIN_KEY,
    ORGANIZATION,
    PROJECT_KEY,
    kept,
    redacted,
    secret_for,
)
from fakeai_proxy.store import Insert, Key, Row, Write


class Made(NamedTuple):
    row: Row
    secret: str
    writes: list[Write]


def expiring(row: Row, seconds: int | None, now: float) -> Row:
    expires_at = None if seconds is None else int(now) + seconds
    return replace(row.merged(expires_at=expires_at), expires_at=expires_at)


def admin_key(
    key_id: str, name: str, owner: Mapping[str, Any], seconds: int | None, now: float
) -> Made:
    """`owner` is the document of a user."""
    whose = {
        "type": "user", "object": "organization.user", "id": owner["id"], "name": owner["name"],
        "created_at": owner["added_at"], "role": "owner",
    }  # fmt: skip
    key = Key(ADMIN_KEY, key_id, ORGANIZATION)
    return _made(key, PROJECT, "admin", name, {"owner": whose}, owner["id"], seconds, now)


def user_key(
    key_id: str, project: Key, name: str, owner: Mapping[str, Any], seconds: int | None, now: float
) -> Made:
    """`owner` is the document of a member of the project."""
    whose = {
        "type": "user",
        "user": {
            "object": "organization.project.user", "id": owner["id"], "name": owner["name"],
            "email": owner["email"], "role": owner["role"], "created_at": owner["added_at"],
            "added_at": owner["added_at"],
        },
    }  # fmt: skip
    more = {"owner": whose, "owner_project_access": "active"}
    key = project.child(PROJECT_KEY, key_id)
    return _made(key, project.id, "user", name, more, owner["id"], seconds, now)


def account_key(
    key_id: str, project: Key, name: str, owner: Mapping[str, Any], seconds: int | None, now: float
) -> Made:
    """`owner` is the document of a service account."""
    shown = ("id", "object", "name", "created_at", "role")
    whose = {
        "type": "service_account",
        "service_account": {member: owner[member] for member in shown},
    }
    more = {"owner": whose, "owner_project_access": "active"}
    key = project.child(PROJECT_KEY, key_id)
    return _made(key, project.id, "service_account", name, more, owner["id"], seconds, now)


def _made(
    key: Key, project: str, kind: str, name: str, more: Mapping[str, Any], owner_id: str,
    seconds: int | None, now: float,
) -> Made:  # fmt: skip
    secret = secret_for(kind)
    document = {
        "id": key.id, "object": key.kind, "name": name, "created_at": int(now),
        "last_used_at": None, "redacted_value": redacted(secret), **more,
    }  # fmt: skip
    row = expiring(Row(key, document, float(int(now)), tags={"owner": owner_id}), seconds, now)
    whose = {
        "project": project, "key_id": key.id, "user_id": owner_id, "is_admin": kind == "admin",
    }  # fmt: skip
    row, look_up = kept(secret, row, whose)
    return Made(row, secret, [Insert(row), look_up])
