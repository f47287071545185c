"""A recorded WebSocket for tests, made by hand."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from fakeai_proxy.cassette.draft import Draft, Heard
from fakeai_proxy.cassette.messages import Message, Side
from fakeai_proxy.cassette.rfc6455 import Op

TARGET = "/v1/realtime?model=gpt-realtime"


def event(sender: Side, dt_us: int, kind: str, **fields: Any) -> Message:
    return Message(sender, "text", dt_us, json.dumps({"type": kind, **fields}).encode())


def frame(sender: Side, op: Op, dt_us: int, data: bytes) -> Message:
    return Message(sender, op, dt_us, data)


def conversation(about: str = "owls", answer: str = "Owls hunt at night.") -> list[Message]:
    words = answer.split(" ")
    sound = b64encode(bytes(range(256)) * 2).decode()
    return [
        event("server", 250_000, "session.created", session={"id": "sess_1", "model": "gpt-realtime"}),
        event("client", 100_000, "response.create", event_id="e1", response={"instructions": about}),
        *(event("server", 50_000, "response.output_text.delta", delta=word + " ") for word in words),
        event("server", 1_000, "response.output_audio.delta", delta=sound),
        event("server", 1_000, "response.done",
              response={"usage": {"input_tokens": 7, "output_tokens": len(words)}}),
        frame("client", "binary", 5_000, b"\x00\xff\x80"),
        frame("server", "ping", 5_000, b"there?"),
        frame("client", "pong", 5_000, b"there?"),
        frame("server", "close", 5_000, b"\x03\xe8bye"),
    ]  # fmt: skip


def draft(messages: list[Message], place: int = 0, headers: Any = ()) -> Draft:
    heard = Heard(101, ((b"Upgrade", b"websocket"),), "Switching Protocols", 200_000)
    heard.messages = messages
    return Draft(
        f"{place:016x}",
        1.75e9 + place,
        "https://api.openai.com",
        "WS",
        TARGET,
        headers,
        heard=heard,
    )
