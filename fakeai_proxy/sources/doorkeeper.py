"""Who asks: whose key it is, and whether it opens anything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import lru_cache
from hashlib import sha256
from hmac import compare_digest
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from fakeai_proxy import errors
from fakeai_proxy.clock import Clock
from fakeai_proxy.exchange import PROJECT, Exchange
from fakeai_proxy.providers import credential
from fakeai_proxy.services.keyring import ORGANIZATION, Guest, Owner, may_be_ours, owner_of
from fakeai_proxy.services.operation import Operation
from fakeai_proxy.services.records import Records
from fakeai_proxy.store import Store

#: How long what a key was is taken for granted: it may have been deleted by another process.
TRUST_S = 0.5
#: Keys that are remembered; more of them are looked up again.
KNOWN_MAX = 4096
#: Names of keys that were not made here: further ones share one.
STRANGERS_MAX = 1024
_NAME_DIGITS = 16


class AuthSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

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
        records: Records,
        clock: Clock,
    ) -> None:
        self.is_required = settings.auth == "required"
        key = settings.admin_key
        self._admin_key = None if key is None else key.get_secret_value().encode()
        self._keeper = keeper
        self._records = records
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._strangers: set[str] = set()

    def identify(self, exchange: Exchange) -> Awaitable[None] | None:
        """Whose the exchange is, if its key is one that counts. What has to be waited for raises 503."""
        key = credential(exchange.request)
        if not key:
            return None
        known = self._known.get(key)
        if known is None or known.until < self._clock.now():
            if self.is_required or may_be_ours(key) or self._may_be_guests(key):
                return self._look_up(exchange, key)
            if "invalid" in key:
                return None
            known = self._remember(key, Owner(PROJECT, self._stranger(key)), float("inf"))
        _assign(exchange, known.owner)
        return None

    def _may_be_guests(self, key: str) -> bool:
        """A guest of another process's can only be asked for."""
        others = self._records.elsewhere is not None and key.startswith(Guest.PREFIX)
        return others or self._records.find(Guest.KIND, key) is not None

    async def _look_up(self, exchange: Exchange, key: str) -> None:
        owner = await self._owner(key)
        if owner is None and not self.is_required and "invalid" not in key:
            owner = Owner(PROJECT, self._stranger(key))
        until = self._clock.now() + TRUST_S
        if owner is not None and owner.expires_at is not None:
            until = min(until, self._clock.now() + owner.expires_at - self._clock.wall())
        _assign(exchange, self._remember(key, owner, until).owner)

    async def _owner(self, key: str) -> Owner | None:
        if self._admin_key is not None and compare_digest(key.encode(), self._admin_key):
            return Owner(PROJECT, "key_admin", is_admin=True)
        guest: Guest | None = await self._records.seek(Guest.KIND, key)
        if guest is not None:
            expires_at = guest.owner.expires_at
            gone = expires_at is not None and self._clock.wall() >= expires_at
            # What tells the client that it is too old is the room that it is for.
            return Owner(guest.owner.project, guest.owner.key_id) if gone else guest.owner
        store = self._keeper()
        if store is None or not may_be_ours(key):
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
