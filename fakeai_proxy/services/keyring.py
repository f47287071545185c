"""Keys that were made here: how they are kept, and whose they are.

A key is shown once. What is kept is its digest, in a row of its own that names its owner, so that
whoever reads the store cannot ask with it, and one look tells whose it is.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from fakeai_proxy.store import Change, Delete, Insert, Key, Missing, Row, Store, Write

#: The one organization: what projects, users and the like lie within.
ORGANIZATION = "org-fakeai"
KEY, ADMIN_KEY, PROJECT_KIND = "key", "organization.admin_api_key", "organization.project"
PROJECT_KEY = "organization.project.api_key"
#: A limit of a project's own, and what its amounts are called where limits are kept.
LIMIT = "project.rate_limit"
LIMIT_AMOUNTS = {
    "max_requests_per_1_minute": "rpm",
    "max_tokens_per_1_minute": "tpm",
    "max_images_per_1_minute": "ipm",
    "max_requests_per_1_day": "rpd",
}
_LIMITS_MAX = 1000
#: How long it may be until a key's last use is told, so that use is no write.
USE_S = 60.0
_SECRET_BYTES = 48
_SHOWN_CHARS = 4
#: What keys that are made here begin with, and no key made up by hand is as long.
PREFIXES = {"admin": "sk-admin-", "user": "sk-proj-", "service_account": "sk-svcacct-"}
_LENGTH_MIN = 40
#: What keys begin with that somebody made for a short while, in their own name, and the kind of their rows.
GUEST_PREFIX, _GUEST = "ek_", "guest"
#: How long one that is too old is known as such.
_REMEMBERED_S = 3600


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a key is. `shown` is the row that clients see of it."""

    project: str
    key_id: str
    user_id: str = ""
    is_admin: bool = False
    shown: Key | None = None
    expires_at: float | None = None


def secret_for(kind: str) -> str:
    return PREFIXES[kind] + secrets.token_urlsafe(_SECRET_BYTES)


def redacted(secret: str) -> str:
    prefix = next((one for one in PREFIXES.values() if secret.startswith(one)), "")
    return f"{prefix}...{secret[-_SHOWN_CHARS:]}"


def may_be_ours(secret: str) -> bool:
    return len(secret) >= _LENGTH_MIN and secret.startswith(tuple(PREFIXES.values()))


def is_guest(secret: str) -> bool:
    return secret.startswith(GUEST_PREFIX)


def place_of(secret: str) -> Key:
    return Key(KEY, sha256(secret.encode("utf-8", "replace")).hexdigest(), "")


def kept(secret: str, shown: Row, owner: Mapping[str, Any]) -> tuple[Row, Insert]:
    """The row that clients see, which can find the key's, and that. `owner` has what `Owner` has."""
    key = place_of(secret)
    document = {**owner, "shown": list(shown.key)}
    row = Row(key, document, shown.created_at, expires_at=shown.expires_at)
    return replace(shown, tags={**shown.tags, "digest": key.id}), Insert(row)


def dropped(shown: Row) -> list[Write]:
    """The end of a key, and of what clients see of it."""
    return [Delete(shown.key), Delete(Key(KEY, shown.tags["digest"], ""))]


def guest_key(secret: str) -> Key:
    return place_of(secret)._replace(kind=_GUEST)


def guest_row(secret: str, owner: Owner, now: float) -> Row:
    """Of a key that ends when `owner` says."""
    assert owner.expires_at is not None, "a guest leaves"
    document = {
        "project": owner.project, "key_id": owner.key_id, "user_id": owner.user_id,
        "expires_at": int(owner.expires_at),
    }  # fmt: skip
    return Row(guest_key(secret), document, now, expires_at=owner.expires_at + _REMEMBERED_S)


async def guest_of(store: Store, secret: str, now: float) -> Owner | None:
    """In whose name a guest asks. One who has stayed too long is nobody's: the room that the key is for
    tells the client."""
    row = await store.get(guest_key(secret))
    if row is None:
        return None
    document = row.document
    if now >= document["expires_at"]:
        return Owner(document["project"], document["key_id"])
    return Owner(
        document["project"], document["key_id"], document["user_id"],
        expires_at=float(document["expires_at"]),
    )  # fmt: skip


def project_key(project: str) -> Key:
    return Key(PROJECT_KIND, project, ORGANIZATION)


async def owner_of(store: Store, secret: str, now: float) -> Owner | None:
    """None for a key that was not made here, or does not count any more: it expired, was deleted, or
    its project is archived."""
    row = await store.get(place_of(secret))
    if row is None:
        return None
    document = row.document
    owner = Owner(
        document["project"], document["key_id"], document["user_id"], document["is_admin"],
        Key(*document["shown"]), row.expires_at,
    )  # fmt: skip
    if not owner.is_admin:
        project = await store.get(project_key(owner.project))
        if project is None or project.document["status"] == "archived":
            return None
    await _note_use(store, owner, now)
    return owner


async def limits_of(store: Store, project: str) -> dict[str, dict[str, int]]:
    """What was set for the project: amounts by model."""
    page = await store.page(LIMIT, project_key(project).path, limit=_LIMITS_MAX)
    return {
        row.document["model"]: {
            LIMIT_AMOUNTS[name]: amount for name, amount in row.document["amounts"].items()
        }
        for row in page.rows
    }


async def _note_use(store: Store, owner: Owner, now: float) -> None:
    if owner.shown is None:
        return
    shown = await store.get(owner.shown)
    if shown is None or now - (shown.document.get("last_used_at") or 0) < USE_S:
        return
    try:
        await store.commit(Change(owner.shown, lambda row: row.merged(last_used_at=int(now))))
    except Missing:  # deleted in this moment
        return
