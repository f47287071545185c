"""What a client's message says: which event it is, held against that event's shape. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

import orjson
from pydantic import ValidationError

from fakeai_proxy import errors
from fakeai_proxy.errors import ApiError
from fakeai_proxy.services.realtime import wire
from fakeai_proxy.services.realtime.buffer import BUFFER_BYTES_MAX, InputBuffer, Written
from fakeai_proxy.services.realtime.items import decoded
from fakeai_proxy.services.realtime.protocol import Protocol
from fakeai_proxy.services.validation import request_error

#: Of one `input_audio_buffer.append` (OpenAI's reference).
APPEND_BYTES_MAX = 15 << 20
_NAME_CHARS_MAX = 512


@dataclass(frozen=True, slots=True)
class Read:
    """`sound` is that of an append."""

    shape: wire.Event
    sound: Written | None = None


@dataclass(frozen=True, slots=True)
class Bad:
    error: ApiError
    event_id: str | None = None


def read(message: str | bytes, protocol: Protocol, buffer: InputBuffer) -> Read | Bad:
    event_id = None
    try:
        value = _object(message)
        given = value.get("event_id")
        event_id = given[:_NAME_CHARS_MAX] if isinstance(given, str) else None
        shape = _shape(value, protocol)
        sound = None
        if isinstance(shape, wire.Append):
            sound = buffer.measured(_sound(shape, buffer))
        return Read(shape, sound)
    except ApiError as error:
        return Bad(error, event_id)


def _object(message: str | bytes) -> dict[str, object]:
    try:
        value = orjson.loads(message)
    except orjson.JSONDecodeError:
        raise errors.no_event() from None
    if not isinstance(value, dict):
        raise errors.invalid_type("event", "an object", value)
    return value


def _shape(value: dict[str, object], protocol: Protocol) -> wire.Event:
    name = value.get("type")
    if name is None:
        raise errors.missing_parameter("type")
    if not isinstance(name, str):
        raise errors.invalid_type("type", "a string", name)
    shape = protocol.events.get(name)
    if shape is None:
        raise errors.invalid_value("type", name, tuple(protocol.events))
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        raise request_error(error, value, shape) from None


def _sound(shape: wire.Append, buffer: InputBuffer) -> bytes:
    sound = decoded(shape.audio, "audio")
    if len(sound) > APPEND_BYTES_MAX:
        raise errors.wrong_length("audio", "string", "<=", APPEND_BYTES_MAX, len(sound))
    if len(buffer) + len(sound) > BUFFER_BYTES_MAX:
        raise errors.audio_buffer_full(BUFFER_BYTES_MAX)
    return sound
