"""A recorded WebSocket, played again: our side of it, without socket, clock or task.

What the server said leaves as long after what came before it as it did; what the client said is waited
for. A client that is quicker than it was is heard in its turn. Whoever says something else is told what
was recorded, in the words of the Realtime API, and the connection is closed.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fakeai_proxy.cassette.likeness import Likeness, audio_of
from fakeai_proxy.cassette.messages import Message
from fakeai_proxy.cassette.rfc6455 import MESSAGE_BYTES_MAX, Op, closing, framed
from fakeai_proxy.dialogue import Close, Effect, Missed, Vanish, Wire
from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import (
    Admission,
    Headers,
)

log = logging.getLogger("fakeai_proxy")

#: Messages that are sent in one turn of the event loop.
_BURST = 32
#: After so long a wait for the client, the log says what for.
_PATIENCE_S = 10.0
#: RFC 6455, 7.4.1: what was said goes against what was agreed on.
POLICY_VIOLATION = 1008
_NORMAL = 1000
#: 5.5: with the code, what a close frame holds.
_REASON_BYTES_MAX = 123


class Said(NamedTuple):
    """A message of the client's in this run."""

    op: Op
    data: bytes
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is played. `end` is how it ended."""

    id: str
    messages: Sequence[Message]
    subprotocol: str
    end: str


class Conversation:
    """`pace`: how many times faster than it was, inf for at once. `began_at` is the handshake's
    arrival."""

    message_bytes_max = MESSAGE_BYTES_MAX

    def __init__(
        self, recorded: Recorded, likeness: Likeness, began_at: float, pace: float
    ) -> None:
        self._recorded = recorded
        self._likeness = likeness
        self._pace = pace
        self._place = 0
        #: When what came before was sent or heard, and what has to pass since then, as recorded.
        self._before_at = began_at
        self._gap_us = 0
        self._heard: deque[Said] = deque()
        #: Sound that the client has sent and no recorded event has brought yet.
        self._sound = bytearray()
        self._due_at: float | None = None
        self._complain_at: float | None = None
        self._over = False

    @property
    def subprotocols(self) -> Sequence[str]:
        return (self._recorded.subprotocol,) if self._recorded.subprotocol else ()

    def open(self, now: float) -> Sequence[Effect]:
        return self._play(now)

    def read(self, message: str | bytes) -> Said:
        if isinstance(message, str):
            return Said("text", message.encode("utf-8", "surrogatepass"))
        return Said("binary", message)

    def receive(self, event: object, now: float) -> Sequence[Effect]:
        assert isinstance(event, Said)
        self._heard.append(event._replace(at=now))
        return self._play(now)

    def due_at(self) -> float | None:
        return self._due_at if self._due_at is not None else self._complain_at

    def wake(self, now: float) -> Sequence[Effect]:
        if self._complain_at is not None and now >= self._complain_at:
            self._complain_at = None
            waited = self._recorded.messages[self._place]
            log.warning("WebSocket %s waits for the client to say %s",
                        self._recorded.id, _named(waited.op, waited.data))  # fmt: skip
        return self._play(now)

    def advance(
        self, key: str, place: int, admission: Admission, headers: Headers, now: float
    ) -> Sequence[Effect]:
        return ()  # nothing here is worked on by a model

    def fail(self, key: str, error: ApiError, now: float) -> Sequence[Effect]:
        return ()

    def _play(self, now: float) -> Sequence[Effect]:
        effects: list[Effect] = []
        messages = self._recorded.messages
        self._due_at = None
        while not self._over and self._place < len(messages):
            message = messages[self._place]
            if message.sender == "server":
                due_at = self._before_at + (self._gap_us + message.dt_us) / 1e6 / self._pace
                if due_at > now or len(effects) >= _BURST:
                    self._due_at = max(due_at, now)
                    return effects
                self._tell(message, due_at, effects)
            elif message.op in ("text", "binary"):
                if not self._await(message, now, effects):
                    return effects
            elif message.op == "close":
                return effects  # which is the client's to send
            else:
                self._pass_over(message)
        self._end(effects)
        return effects

    def _tell(self, message: Message, due_at: float, effects: list[Effect]) -> None:
        if message.op == "pong":  # to a ping of that run; pings of this one are answered below us
            self._pass_over(message)
            return
        self._place += 1
        self._before_at, self._gap_us = due_at, 0
        if message.op == "close":
            code, reason = closing(message.data)
            effects.append(Close(code or _NORMAL, reason))
            self._over = True
        else:
            data = self._likeness.said(message)
            cuts = message.cuts if len(data) == len(message.data) else ()
            effects.append(Wire(framed(message.op, data, cuts)))

    def _pass_over(self, message: Message) -> None:
        self._place += 1
        self._gap_us += message.dt_us

    def _await(self, message: Message, now: float, effects: list[Effect]) -> bool:
        """Whether the client has said what it said then; if so, that is done with."""
        sound = audio_of(message.op, message.data)
        if sound is not None:
            heard_at = self._await_sound(message, sound, effects)
        else:
            heard_at = self._await_event(message, effects)
        if heard_at is None:
            if self._complain_at is None and not self._over:
                self._complain_at = now + _PATIENCE_S
            return False
        self._complain_at = None
        self._place += 1
        self._before_at, self._gap_us = max(self._before_at, heard_at), 0
        return True

    def _await_event(self, message: Message, effects: list[Effect]) -> float | None:
        loose = self._likeness.is_loose
        while loose and self._heard and audio_of(*self._heard[0][:2]) is not None:
            self._heard.popleft()
        if self._sound and not loose:
            self._refuse(message, Said("text", b""), ["the client sent more audio"], effects)
            return None
        self._sound.clear()
        if not self._heard:
            return None
        said = self._heard.popleft()
        differences = self._likeness.differences(message, said.op, said.data)
        if differences:
            self._refuse(message, said, differences, effects)
            return None
        return said.at

    def _await_sound(self, message: Message, sound: bytes, effects: list[Effect]) -> float | None:
        heard_at = self._before_at
        while len(self._sound) < len(sound):
            if not self._heard:
                return None
            more = audio_of(*self._heard[0][:2])
            if more is None:
                if self._likeness.is_loose:  # it had less to say
                    self._sound.clear()
                    return heard_at
                said = self._heard.popleft()
                self._refuse(message, said, [f"{len(sound)} bytes of audio are missing"], effects)
                return None
            self._sound += more
            heard_at = self._heard.popleft().at
        if self._sound[: len(sound)] != sound and not self._likeness.is_loose:
            self._refuse(message, Said(message.op, b""), ["the audio differs"], effects)
            return None
        del self._sound[: len(sound)]
        return heard_at

    def _end(self, effects: list[Effect]) -> None:
        """All that was recorded has been said."""
        if self._over:
            return
        if self._recorded.end not in ("eof", "client_gone"):
            self._over = True
            effects.append(Vanish())
        elif self._heard and not self._likeness.is_loose:
            said = self._heard.popleft()
            if audio_of(said.op, said.data) is None:
                self._refuse(None, said, ["the recording ends here"], effects)

    def _refuse(
        self,
        message: Message | None,
        said: Said,
        differences: Sequence[str],
        effects: list[Effect],
    ) -> None:
        self._over, self._complain_at = True, None
        number = sum(one.sender == "client" for one in self._recorded.messages[: self._place]) + 1
        wanted = "nothing more" if message is None else _named(message.op, message.data)
        told = (
            f"The client's message {number} on this WebSocket is not the one in recording "
            f"{self._recorded.id}, which is {wanted}: {'; '.join(differences)}."
        )
        log.warning("%s", told)
        error = {
            "type": "invalid_request_error", "code": "cassette_miss", "message": told,
            "param": None, "event_id": _event_id(said.data),
        }  # fmt: skip
        event = {"type": "error", "event_id": f"event_miss_{self._recorded.id}", "error": error}
        effects.append(Missed())
        effects.append(Wire(framed("text", json.dumps(event, ensure_ascii=False).encode())))
        effects.append(Close(POLICY_VIOLATION, _short(f"cassette_miss: {differences[0]}")))


def _named(op: Op, data: bytes) -> str:
    """What a message is, shortly: the type of an event, or how large it is."""
    try:
        kind = json.loads(data).get("type") if op == "text" else None
    except (ValueError, AttributeError):
        kind = None
    return f"`{kind}`" if isinstance(kind, str) else f"{op} of {len(data)} bytes"


def _event_id(data: bytes) -> str | None:
    try:
        found = json.loads(data).get("event_id")
    except (ValueError, AttributeError):
        return None
    return found if isinstance(found, str) else None


def _short(reason: str) -> str:
    return reason.encode()[:_REASON_BYTES_MAX].decode("utf-8", "ignore")
