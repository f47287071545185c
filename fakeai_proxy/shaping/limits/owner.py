"""Whose account a request belongs to: its key, its project, its organization."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

from fakeai_proxy.exchange import Request
from fakeai_proxy.profiles.limits import Scope
from fakeai_proxy.providers import credential

ORGANIZATION = "org-fakeai"
PROJECT = "default"
#: Longer names are cut.
NAME_CHARS_MAX = 128
#: Hex digits by which a key is called.
KEY_NAME_DIGITS = 8

_ORGANIZATION = ORGANIZATION.encode()


def organization_of(request: Request) -> str:
    """By the header, or on Azure by the resource that is addressed; one for all the rest."""
    return _organization(request).decode("latin-1")


def _organization(request: Request) -> bytes:
    named = request.header(b"openai-organization")
    if named is not None:
        return named[:NAME_CHARS_MAX]
    if request.origin is not None and request.origin.host.endswith(".azure.com"):
        return request.origin.host.partition(".")[0].encode("latin-1", "replace")
    return _ORGANIZATION


def _project(request: Request) -> bytes:
    project = request.header(b"openai-project") or PROJECT.encode()
    return b"%b/%b" % (_organization(request), project[:NAME_CHARS_MAX])


def _key(request: Request) -> bytes:
    """Never the key itself."""
    return _digest(credential(request))


def _digest(key: str) -> bytes:
    return blake2b(key.encode("utf-8", "replace"), digest_size=16, person=b"limits").digest()


OWNERS: dict[Scope, Callable[[Request], bytes]] = {
    "organization": _organization,
    "project": _project,
    "key": _key,
}


def key_name(key: str) -> str:
    """What a key is called where people see it. `*`, for every key, and names are names already."""
    if key == "*" or (key.startswith("key-") and len(key) == 4 + KEY_NAME_DIGITS):
        return key
    return _name(_digest(key))


def shown_owner(scope: Scope, owner: bytes) -> str:
    return _name(owner) if scope == "key" else owner.decode("latin-1")


def _name(digest: bytes) -> str:
    return "key-" + digest.hex()[:KEY_NAME_DIGITS]
