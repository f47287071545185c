"""Who asks: whose key it is, and whether it opens anything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from hashlib import sha256
from hmac import compare_digest
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from fakeai_proxy import errors
from fakeai_proxy.clock import Clock
from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import PROJECT, Exchange
from fakeai_proxy.providers import credential
from fakeai_proxy.services.keyring import (
    ORGANIZATION,
    Owner,
    guest_of,
    is_guest,
    limits_of,
    may_be_ours,
    owner_of,
)
from fakeai_proxy.services.operation import Operation
from fakeai_proxy.store import Store

#: How long what a key was is taken for granted: it may have been deleted by another process.
TRUST_S = 0.5
#: The same for the limits of whoever has a key that was not made here.
STRANGERS_S = 5.0
#: Keys that are remembered; more of them are looked up again.
KNOWN_MAX = 4096
#: Names of keys that were not made here: further ones share one.
STRANGERS_MAX = 1024
_NAME_DIGITS = 16


class AuthSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    auth: Literal["open", "required"] = Field(
        "open",
        description="Whose keys our own answers are for: open takes any key that is not empty and does "
        "not contain `invalid`, required only those made here (under /v1/organization or with "
        "`fakeai-proxy keys create`).",
    )
    admin_key: SecretStr | None = Field(
        None,
        min_length=8,
        description="A key that may manage the organization from the start, where --auth required "
        "would otherwise let nobody in.",
    )


class _Known(NamedTuple):
    owner: Owner | None
    until: float


class Doorkeeper:
    """`keeper` gives the store if there is anything in it, else None."""

    def __init__(
        self,
        settings: AuthSettings,
        keeper: Callable[[], Store | None],
        clock: Clock,
        limit: Callable[[str, Mapping[str, Mapping[str, float]]], None] = lambda project, limits: (
            None
        ),
    ) -> None:
        """`limit` is told what limits a project has of its own: amounts by model."""
        self.is_required = settings.auth == "required"
        key = settings.admin_key
        self._admin_key = None if key is None else key.get_secret_value().encode()
        self._keeper = keeper
        self._clock = clock
        self._limit = limit
        self._known: dict[str, _Known] = {}
        self._strangers: set[str] = set()

    @property
    def is_closed(self) -> bool:
        """Whether nobody gets in whose key is not in the store."""
        return self.is_required and self._admin_key is None

    def identify(self, exchange: Exchange) -> Awaitable[None] | None:
        """Whose the exchange is, if its key is one that counts. What has to be waited for raises 503."""
        key = credential(exchange.request)
        if not key:
            return None
        known = self._known.get(key)
        if known is None or known.until < self._clock.now():
            if self.is_required or may_be_ours(key) or is_guest(key):
                return self._look_up(exchange, key)
            if "invalid" in key:
                return None
            if known is not None or self._keeper() is not None:
                return self._look_up(exchange, key)
            known = self._remember(key, Owner(PROJECT, self._stranger(key)), self._later)
        _assign(exchange, known.owner)
        return None

    async def _look_up(self, exchange: Exchange, key: str) -> None:
        owner = await self._owner(key)
        if owner is None and not self.is_required and "invalid" not in key:
            owner = Owner(PROJECT, self._stranger(key))
        if owner is not None:
            await self._limit_project(owner)
        is_stranger = owner is not None and owner.shown is None
        until = self._later if is_stranger else self._clock.now() + TRUST_S
        if owner is not None and owner.expires_at is not None:
            until = min(until, self._clock.now() + owner.expires_at - self._clock.wall())
        _assign(exchange, self._remember(key, owner, until).owner)

    async def _limit_project(self, owner: Owner) -> None:
        store = self._keeper()
        if store is None:
            return
        try:
            limits = await limits_of(store, owner.project)
        except ApiError:
            if owner.shown is not None:
                raise
            return  # whoever keeps nothing needs no store
        self._limit(owner.project, limits)

    @property
    def _later(self) -> float:
        """When to look again what limits strangers have."""
        return self._clock.now() + STRANGERS_S

    async def _owner(self, key: str) -> Owner | None:
        if self._admin_key is not None and compare_digest(key.encode(), self._admin_key):
            return Owner(PROJECT, "key_admin", is_admin=True)
        store = self._keeper()
        if store is None:
            return None
        if is_guest(key):
            return await guest_of(store, key, self._clock.wall())
        if not may_be_ours(key):
            return None
        return await owner_of(store, key, self._clock.wall())

    def _remember(self, key: str, owner: Owner | None, until: float) -> _Known:
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        known = self._known[key] = _Known(owner, until)
        return known

    def forget(self) -> None:
        """Keys were made or deleted here."""
        self._known.clear()

    def _stranger(self, key: str) -> str:
        """What a key that was not made here is called in accounts."""
        name = _name(key)
        if name not in self._strangers:
            if len(self._strangers) >= STRANGERS_MAX:
                return "key_others"
            self._strangers.add(name)
        return name

    def check(self, exchange: Exchange) -> None:
        """Raises 401 for who may not ask at all."""
        request = exchange.request
        if not exchange.project:
            key = credential(request)
            if not key:
                raise errors.missing_key(self.is_required)
            if self.is_required or "invalid" in key:
                raise errors.wrong_key(key)
        if exchange.is_known:
            organization = request.text_header(b"openai-organization")
            if organization and organization != ORGANIZATION:
                raise errors.mismatched("organization")
            project = request.text_header(b"openai-project")
            if project and project != exchange.project and not exchange.is_admin:
                raise errors.mismatched("project")

    def check_role(self, exchange: Exchange, operation: Operation) -> None:
        """Raises 403 for a key of the wrong kind."""
        if not self.is_required or operation.keyless:
            return
        if operation.admin != exchange.is_admin:
            raise errors.wrong_role(operation.admin)


def _assign(exchange: Exchange, owner: Owner | None) -> None:
    if owner is None:
        return
    exchange.project, exchange.key_id, exchange.user_id = (
        owner.project, owner.key_id, owner.user_id,
    )  # fmt: skip
    exchange.is_known, exchange.is_admin = owner.shown is not None, owner.is_admin


@lru_cache(maxsize=STRANGERS_MAX)
def _name(key: str) -> str:
    return "key_" + sha256(key.encode("utf-8", "replace")).hexdigest()[:_NAME_DIGITS]
