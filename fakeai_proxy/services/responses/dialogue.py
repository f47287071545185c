"""Responses over a WebSocket: a client's events become responses, whose events go back as messages. Events
of one lane (`stream_id`) are answered in their order, lanes side by side. No socket, clock or task inside.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, Literal

import orjson
from pydantic import ConfigDict, ValidationError

from fakeai_proxy import errors
from fakeai_proxy.dialogue import Begin, Close, Effect, Say
from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import (
    Admission,
    Chunk,
    Headers,
    Usage,
    Workload,
)
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.records import Records
from fakeai_proxy.services.responses import wire
from fakeai_proxy.services.responses.before import NEARBY
from fakeai_proxy.services.responses.bill import billed
from fakeai_proxy.services.responses.keeping import keep, said_in
from fakeai_proxy.services.responses.plan import plan
from fakeai_proxy.services.responses.record import Record, record
from fakeai_proxy.services.responses.speech import stream, workload_of
from fakeai_proxy.services.validation import request_error
from fakeai_proxy.services.wire import parsed_object

#: As much as the body of a request.
MESSAGE_BYTES_MAX = 64 << 20
#: OpenAI's guide to the WebSocket mode: how long a connection lasts.
DURATION_S = 3600
#: Of one connection, that wait for their lane or are being answered.
RESPONSES_MAX = 64
_NORMAL = 1000
_LANE_CHARS_MAX = 512


class Create(wire.ResponseRequest):
    # Built with the room, because events come on the event loop.
    model_config = ConfigDict(defer_build=False)

    type: Literal["response.create"]
    stream_id: str | None = None
    generate: bool | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """`value` is the event as it came; `error` is what is wrong with it."""

    lane: str | None
    value: dict[str, Any] = field(default_factory=dict)
    request: Create | None = None
    error: ApiError | None = None


class Nearby(Records):
    """What the connection alone remembers, and behind it what all do."""

    def __init__(self, shared: Records) -> None:
        super().__init__()
        self._shared = shared
        self._last = ""

    def keep(self, kind: str, record_id: str, record: object, weight: int) -> None:
        self._shared.keep(kind, record_id, record, weight)

    def keep_here(self, made: Record) -> None:
        """Instead of the one before: only the last that is not stored can be gone on from."""
        super().forget(NEARBY, self._last)
        self._last = made.id
        said = said_in(made)
        super().keep(NEARBY, made.id, said, said.weight)

    def find(self, kind: str, record_id: str) -> Any:
        if kind == NEARBY:
            return super().find(kind, record_id)
        return self._shared.find(kind, record_id)


class Answering:
    """A Turn: one response."""

    def __init__(self, key: str, asked: Asked, call: Call) -> None:
        self.key = key
        self.lane = asked.lane
        self.demand: Mapping[str, object] = asked.value
        self.chunks: list[Chunk] = []
        self.usage: Sequence[Usage] = ()
        self._call = call
        self._made: Record | None = None

    @property
    def dice_key(self) -> bytes:
        return self._call.dice_key

    def prepare(self) -> tuple[Workload, Sequence[int]]:
        call = self._call
        call.look_up(call.body.model)
        planned = plan(call)
        if call.body.generate is False:  # the prompt is read, and nothing is said
            planned.outputs, planned.ended = [], True
            planned.reasoning_tokens, planned.said = 0, ()
        made = self._made = record(call, planned)
        if not planned.request.stored and isinstance(call.records, Nearby):
            call.records.keep_here(made)
        self.chunks = stream(call, made)
        return workload_of(planned), [chunk.tokens for chunk in self.chunks]

    async def keep(self, admission: Admission) -> None:
        made = self._made
        assert made is not None, "it is prepared before it gets on"
        made.finish(admission, self._call.wall())
        await keep(self._call, made)

    def message(self, place: int, admission: Admission) -> bytes:
        if place == len(self.chunks) - 1 and self._made is not None and self._made.plan is not None:
            self.usage = billed(self._made.plan)
        data = self.chunks[place].data
        event = (data if isinstance(data, bytes) else data(admission)).partition(b"\ndata: ")[2]
        event = event.rstrip(b"\n")
        if self.lane is None:
            return event
        return event[:-1] + b',"stream_id":' + orjson.dumps(self.lane) + b"}"


class Dialogue:
    """What `exchange.Dialogue` says. `call` is the handshake's: each response has one like it."""

    subprotocols: Sequence[str] = ()
    message_bytes_max = MESSAGE_BYTES_MAX

    def __init__(self, call: Call) -> None:
        self._call = replace(call, records=Nearby(call.records))
        self._serial = 0
        self._turns: dict[str, Answering] = {}
        self._lanes: dict[str | None, deque[Answering]] = {}
        self._closes_at: float | None = None

    def open(self, now: float) -> Sequence[Effect]:
        self._closes_at = now + DURATION_S
        return ()

    def read(self, message: str | bytes) -> Asked:
        lane = None
        try:
            value = _object(message)
            given = value.get("stream_id")
            lane = given[:_LANE_CHARS_MAX] if isinstance(given, str) else None
            return Asked(lane, value, _request(value))
        except ApiError as error:
            return Asked(lane, error=error)

    def receive(self, event: object, now: float) -> Sequence[Effect]:
        assert isinstance(event, Asked)
        if event.request is None:
            return [_complaint(event.error or errors.no_event(), event.lane)]
        if len(self._turns) >= RESPONSES_MAX:
            return [_complaint(errors.too_many_responses(RESPONSES_MAX), event.lane)]
        self._serial += 1
        turn = Answering(str(self._serial), event, self._call_for(event))
        self._turns[turn.key] = turn
        lane = self._lanes.setdefault(event.lane, deque())
        lane.append(turn)
        return [Begin(turn)] if len(lane) == 1 else []

    def _call_for(self, event: Asked) -> Call:
        call = self._call
        hashed = blake2b(digest_size=16)
        hashed.update(orjson.dumps({**event.value, "stream_id": None}, option=orjson.OPT_SORT_KEYS))
        return replace(
            call,
            body=event.request,
            dice_key=hashed.digest(),
            id_key=call.id_key + self._serial.to_bytes(8, "big"),
            created=int(call.wall()),
        )

    def advance(
        self, key: str, place: int, admission: Admission, headers: Headers, now: float
    ) -> Sequence[Effect]:
        turn = self._turns.get(key)
        if turn is None:
            return ()
        effects: list[Effect] = [Say(turn.message(place, admission))]
        if place == len(turn.chunks) - 1:
            effects += self._end(turn)
        return effects

    def fail(self, key: str, error: ApiError, now: float) -> Sequence[Effect]:
        turn = self._turns.get(key)
        return () if turn is None else [_complaint(error, turn.lane), *self._end(turn)]

    def _end(self, turn: Answering) -> list[Effect]:
        """The next of its lane begins."""
        del self._turns[turn.key]
        lane = self._lanes[turn.lane]
        lane.popleft()
        if lane:
            return [Begin(lane[0])]
        del self._lanes[turn.lane]
        return []

    def due_at(self) -> float | None:
        return self._closes_at

    def wake(self, now: float) -> Sequence[Effect]:
        if self._closes_at is None or now < self._closes_at:
            return ()
        self._closes_at = None
        error = errors.connection_expired(DURATION_S // 60)
        return [_complaint(error, None), Close(_NORMAL, error.message)]


def _object(message: str | bytes) -> dict[str, Any]:
    value = parsed_object(message)
    if value is None:
        raise errors.no_event()
    return value


def _request(value: dict[str, Any]) -> Create:
    kind = value.get("type")
    if kind is None:
        raise errors.missing_parameter("type")
    if kind != "response.create":
        raise errors.invalid_value("type", str(kind)[:100], ("response.create",))
    try:
        request = Create.model_validate(value)
    except ValidationError as error:
        raise request_error(error, value, Create) from None
    if request.background:
        raise errors.bad_parameter(
            "background", "invalid_value", "Background mode is not supported over WebSocket."
        )
    return request.model_copy(update={"stream": True})


def _complaint(error: ApiError, lane: str | None) -> Say:
    told = {
        "type": error.type, "code": error.code, "message": error.message, "param": error.param,
    }  # fmt: skip
    event: dict[str, Any] = {"type": "error", "status": error.status, "error": told}
    return Say(orjson.dumps(event if lane is None else {**event, "stream_id": lane}))
