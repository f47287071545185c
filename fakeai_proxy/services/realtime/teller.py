"""Gathers what a session says and does, in the words of its protocol and under ids of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from fakeai_proxy.dialogue import Effect, Say
from fakeai_proxy.dice import Dice
from fakeai_proxy.errors import ApiError
from fakeai_proxy.services.realtime.items import Item
from fakeai_proxy.services.realtime.protocol import Protocol
from fakeai_proxy.services.realtime.response import Response, Told


class Teller:
    def __init__(self, protocol: Protocol, dice: Dice, key: bytes) -> None:
        """`key` keys the ids."""
        self._protocol = protocol
        self._dice = dice
        self._key = key
        self._counts: dict[str, int] = {}
        self._effects: list[Effect] = []

    def do(self, effect: Effect) -> None:
        self._effects.append(effect)

    def say(self, event: str, **fields: Any) -> None:
        """Items and responses among the fields are written down as they are at this moment."""
        name = self._protocol.name(event)
        if name is None:
            return
        for key, value in fields.items():
            if isinstance(value, Item):
                fields[key] = self._protocol.item(value.shown())
            elif isinstance(value, Response):
                shown = value.shown(usage=value.is_made)
                fields[key] = self._protocol.response(shown, value.settings)
        self.do(Say(orjson.dumps({"type": name, "event_id": self.make_id("event"), **fields})))

    def tell(self, told: Iterable[Told]) -> None:
        for event, fields in told:
            self.say(event, **fields)

    def complain(self, error: ApiError, event_id: str | None) -> None:
        """`event_id` is that of the client's event, where it has one."""
        told = {
            "type": error.type, "code": error.code, "message": error.message, "param": error.param,
            "event_id": event_id,
        }  # fmt: skip
        self.say("error", error=told)

    def taken(self) -> Sequence[Effect]:
        """All since the last time."""
        effects, self._effects = self._effects, []
        return effects

    def make_id(self, prefix: str) -> str:
        serial = self._counts[prefix] = self._counts.get(prefix, 0) + 1
        return f"{prefix}_{self._dice.text_id(self._key, prefix, serial, length=21)}"
