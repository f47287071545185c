"""Drives the core of a realtime session without socket or clock."""

from __future__ import annotations

from base64 import b64encode
from collections import deque
from typing import Any

import numpy as np
import orjson

from fakeai_proxy.dialogue import (
    Begin,
    Close,
    Effect,
    Say,
    Stop,
    Turn,
)
from fakeai_proxy.dice import Dice
from fakeai_proxy.exchange import (
    Admission,
)
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.realtime.protocol import GA, Protocol
from fakeai_proxy.services.realtime.session import Opening, Session
from fakeai_proxy.services.realtime.settings import Settings

CARD = ModelCard(
    id="gpt-realtime",
    kind="realtime",
    owned_by="system",
    context_tokens=32_000,
    output_tokens_max=4096,
)
TEXT = {
    "type": "realtime",
    "output_modalities": ["text"],
    "audio": {"input": {"turn_detection": None}},
}
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


class Driven:
    """A session whose turns get on when they are told to."""

    def __init__(
        self, protocol: Protocol = GA, settings: Settings | None = None, card: ModelCard = CARD
    ) -> None:
        settings = settings or Settings(model=CARD.id)
        self.session = Session(Opening(protocol, settings, card, Dice(1), b"key", 1_750_000_000))
        self.events: list[dict[str, Any]] = []
        self.turns: dict[str, deque[tuple[Turn, int]]] = {}
        self.closed: Close | None = None
        self.now = 0.0
        self._do(self.session.open(0.0))

    def send(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        """The events that come of it at once."""
        before = len(self.events)
        event = self.session.read(orjson.dumps({"type": kind, **fields}))
        self._do(self.session.receive(event, self.now))
        return self.events[before:]

    def say(self, text: str, **fields: Any) -> list[dict[str, Any]]:
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content, **fields}
        return self.send("conversation.item.create", item=item)

    def append(self, sound: bytes) -> list[dict[str, Any]]:
        return self.send("input_audio_buffer.append", audio=b64encode(sound).decode())

    def step(self, key: str | None = None) -> list[dict[str, Any]]:
        """One step of a turn, the first there is."""
        before = len(self.events)
        key = key or next(iter(self.turns), None)
        if key in self.turns:
            _, place = self.turns[key].popleft()
            if not self.turns[key]:
                del self.turns[key]
            self._do(self.session.advance(key, place, Admission(), (), self.now))
        return self.events[before:]

    def finish(self) -> list[dict[str, Any]]:
        before = len(self.events)
        while self.turns:
            self.step()
        return self.events[before:]

    def wake(self) -> list[dict[str, Any]]:
        """Let time pass until the session wants something."""
        due_at = self.session.due_at()
        assert due_at is not None
        before, self.now = len(self.events), due_at
        self._do(self.session.wake(due_at))
        return self.events[before:]

    def _do(self, effects: Any) -> None:
        for effect in effects:
            self._one(effect)

    def _one(self, effect: Effect) -> None:
        if isinstance(effect, Say):
            self.events.append(orjson.loads(effect.message))
        elif isinstance(effect, Begin):
            workload, steps = effect.turn.prepare()
            assert workload.output_tokens == sum(steps)
            self.turns[effect.turn.key] = deque((effect.turn, k) for k in range(len(steps)))
        elif isinstance(effect, Stop):
            self.turns.pop(effect.key, None)
        else:
            self.closed = effect


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def only(events: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    found = [event for event in events if event["type"] == kind]
    assert len(found) == 1, (kind, kinds(events))
    return found[0]


def tone(ms: int, loudness: float = 0.3) -> bytes:
    """As loud as somebody who speaks, in PCM."""
    wave = np.sin(np.arange(24 * ms) * 0.06) * 32767 * loudness
    return wave.astype("<i2").tobytes()


def silence(ms: int) -> bytes:
    return bytes(48 * ms)
