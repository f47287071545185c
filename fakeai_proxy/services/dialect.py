"""What a vendor does around the rooms: refuse a request before it is planned, add to what is said.

Rooms say the same to everybody. A dialect sees the call before the room and the room's reply after it,
and knows no room's plans. `DIALECTS` names those that do something; the others are `Dialect` itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Protocol

from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.azure.settings import AzureSettings
from fakeai_proxy.services.operation import Call


class Dialect:
    """One that does nothing. `silent` ones are not asked."""

    silent = True

    def enter(self, call: Call, path: str) -> None:
        """Before the body is read; `path` is the request's. Raises ApiError."""

    def admit(self, call: Call) -> None:
        """When the body has its shape, in any thread. Raises ApiError."""

    def finish(self, call: Call, reply: Reply) -> Reply:
        """The reply as this vendor gives it, in any thread."""
        return reply


class DialectModule(Protocol):
    """What a dialect's module has."""

    def dialect(self, settings: AzureSettings) -> Dialect: ...


PLAIN = Dialect()
#: Vendor -> module of this package, imported by the first request that needs it.
DIALECTS: Mapping[str, str] = {"azure": "azure.dialect"}


class Dialects:
    def __init__(self, settings: AzureSettings) -> None:
        self._settings = settings
        self._made: dict[str, Dialect] = {}

    def of(self, vendor: str) -> Dialect:
        if vendor not in DIALECTS:
            return PLAIN
        made = self._made.get(vendor)
        if made is None:
            name = f"{__package__}.{DIALECTS[vendor]}"
            module: DialectModule = import_module(name)
            made = self._made[vendor] = module.dialect(self._settings)
        return made
