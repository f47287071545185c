"""A realtime session: events come in, events go out. No socket, clock or task inside; what takes a model
time is a turn, which whoever drives the session tells it about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.dialogue import Begin, Close, Effect, Stop
from fakeai_proxy.dice import Dice
from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import (
    Admission,
    Headers,
)
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.realtime import events, wire
from fakeai_proxy.services.realtime.buffer import InputBuffer, Written
from fakeai_proxy.services.realtime.detection import Heard
from fakeai_proxy.services.realtime.events import Bad, Read
from fakeai_proxy.services.realtime.items import (
    ITEMS_MAX,
    Conversation,
    Item,
    Part,
    item_of,
    truncate,
)
from fakeai_proxy.services.realtime.protocol import Protocol
from fakeai_proxy.services.realtime.rates import rate_limits
from fakeai_proxy.services.realtime.response import Response
from fakeai_proxy.services.realtime.settings import Settings, changes_in
from fakeai_proxy.services.realtime.teller import Teller
from fakeai_proxy.services.realtime.transcript import Transcript
from fakeai_proxy.services.responder import Canned

#: A sound of 15 MiB in base64 is the largest thing that a client may say (OpenAI's reference).
MESSAGE_BYTES_MAX = 21 << 20
#: Responses outside of the conversation at the same time.
RESPONSES_MAX = 16
_COMMIT_MS_MIN = 100
_GOING_AWAY = 1001


@dataclass(frozen=True)
class Opening:
    """With what a session begins. `key` keys its ids; `epoch_s` is when, on the wall. `canned` is asked
    for what the user has put ready, by model and prompt."""

    protocol: Protocol
    settings: Settings
    card: ModelCard
    dice: Dice
    key: bytes
    epoch_s: float
    canned: Callable[[str, str], Canned | None] = lambda model, prompt: None


@dataclass
class _State:
    """What `receive` changes, apart from the settings."""

    conversation: Conversation = field(default_factory=Conversation)
    responses: dict[str, Response] = field(default_factory=dict)
    transcripts: dict[str, Transcript] = field(default_factory=dict)
    #: The response that speaks in the conversation.
    active: Response | None = None
    #: The item that speech under way will be, and where that began.
    speech_id: str = ""
    speech_ms: int = 0
    idle_at: float | None = None
    idle_ms: float = 0.0


class Session:
    """A Dialogue."""

    subprotocols = ("realtime", "openai-beta.realtime-v1")
    message_bytes_max = MESSAGE_BYTES_MAX

    def __init__(self, opening: Opening) -> None:
        self._protocol = opening.protocol
        self._settings = opening.settings
        self._opening = opening
        self._state = _State()
        self._buffer = InputBuffer(opening.settings.input_format, opening.settings.detection)
        self._teller = Teller(opening.protocol, opening.dice, opening.key)
        self._closes_at: float | None = None
        self.id = self._teller.make_id("sess")
        self._conversation_id = self._teller.make_id("conv")

    # --- a dialogue

    def open(self, now: float) -> Sequence[Effect]:
        self._closes_at = now + self._protocol.duration_s
        created = self._protocol.session_event(self._settings, "created")
        self._teller.say(created, session=self._shown())
        if self._protocol.beta and self._settings.kind == "realtime":
            about = {"id": self._conversation_id, "object": "realtime.conversation"}
            self._teller.say("conversation.created", conversation=about)
        return self._teller.taken()

    def read(self, message: str | bytes) -> Read | Bad:
        return events.read(message, self._protocol, self._buffer)

    def receive(self, event: object, now: float) -> Sequence[Effect]:
        assert isinstance(event, Read | Bad)
        if isinstance(event, Bad):
            self._teller.complain(event.error, event.event_id)
            return self._teller.taken()
        try:
            _VERBS[event.shape.type](self, event, now)
        except ApiError as error:
            self._teller.complain(error, event.shape.event_id)
        return self._teller.taken()

    def advance(
        self, key: str, place: int, admission: Admission, headers: Headers, now: float
    ) -> Sequence[Effect]:
        transcript = self._state.transcripts.get(key)
        if transcript is not None:
            self._teller.tell(transcript.advance(place))
            if transcript.is_last(place):
                del self._state.transcripts[key]
            return self._teller.taken()
        response = self._state.responses.get(key)
        if response is not None:
            if place == 0:
                self._teller.say("rate_limits.updated", rate_limits=rate_limits(headers))
            self._teller.tell(response.advance(place, admission))
            self._settle(response, now)
        return self._teller.taken()

    def fail(self, key: str, error: ApiError, now: float) -> Sequence[Effect]:
        transcript = self._state.transcripts.pop(key, None)
        response = self._state.responses.get(key)
        if transcript is not None:
            self._teller.tell(transcript.fail(error))
        elif response is not None:
            self._teller.tell(response.fail(error))
            self._settle(response, now)
        return self._teller.taken()

    def due_at(self) -> float | None:
        idle_at = self._state.idle_at
        if self._closes_at is None or idle_at is None:
            return self._closes_at
        return min(self._closes_at, idle_at)

    def wake(self, now: float) -> Sequence[Effect]:
        if self._closes_at is not None and now >= self._closes_at:
            self._closes_at = None
            error = errors.session_expired(self._protocol.duration_s // 60)
            self._teller.complain(error, None)
            self._teller.do(Close(_GOING_AWAY, error.message))
        elif self._state.idle_at is not None and now >= self._state.idle_at:
            self._state.idle_at = None
            self._time_out()
        return self._teller.taken()

    # --- the session

    def _update(self, event: Read, now: float) -> None:
        shape = event.shape.session  # type: ignore[attr-defined] # the event's own shape
        kind = getattr(shape, "type", self._settings.kind)
        if kind != self._settings.kind:
            raise errors.session_type_fixed(kind, self._settings.kind)
        changes = changes_in(shape)
        voice = changes.get("voice", self._settings.voice)
        if voice != self._settings.voice and self._state.conversation.has_spoken:
            raise errors.voice_fixed(
                "session.voice" if self._protocol.beta else "session.audio.output.voice"
            )
        model = getattr(shape, "model", None)
        if model is not None and model != self._settings.model:
            raise errors.session_model_fixed(self._settings.model)
        self._settings = replace(self._settings, **changes)
        self._buffer.configure(self._settings.input_format, self._settings.detection)
        self._state.idle_at = None
        self._teller.say(
            self._protocol.session_event(self._settings, "updated"), session=self._shown()
        )

    def _shown(self) -> dict[str, Any]:
        expires_at = int(self._opening.epoch_s) + self._protocol.duration_s
        return self._protocol.session(self._settings, self.id, expires_at)

    # --- sound that comes in

    def _append(self, event: Read, now: float) -> None:
        assert isinstance(event.sound, Written)
        for heard in self._buffer.append(event.sound):
            if heard.begins:
                self._speech_begins(heard, now)
            else:
                self._speech_ends(heard)
        self._buffer.trim()

    def _speech_begins(self, heard: Heard, now: float) -> None:
        state, detection = self._state, self._settings.detection
        state.speech_id, state.speech_ms = self._teller.make_id("item"), heard.ms
        state.idle_at = None
        self._teller.say(
            "input_audio_buffer.speech_started", audio_start_ms=heard.ms, item_id=state.speech_id
        )
        if detection is not None and detection.interrupt_response and state.active is not None:
            self._cancel_response(state.active, "turn_detected", now)

    def _speech_ends(self, heard: Heard) -> None:
        state, detection = self._state, self._settings.detection
        item_id, state.speech_id = state.speech_id, ""
        self._teller.say(
            "input_audio_buffer.speech_stopped", audio_end_ms=heard.ms, item_id=item_id
        )
        self._keep(self._buffer.take(state.speech_ms, heard.ms), item_id)
        if detection is not None and detection.create_response:
            self._answer()

    def _commit(self, event: Read, now: float) -> None:
        length_ms = self._buffer.duration_ms
        if length_ms < _COMMIT_MS_MIN:
            raise errors.audio_buffer_too_small(_COMMIT_MS_MIN, length_ms)
        item_id, self._state.speech_id = self._state.speech_id, ""
        self._keep(self._buffer.take(), item_id or self._teller.make_id("item"))

    def _clear(self, event: Read, now: float) -> None:
        self._buffer.clear()
        self._state.speech_id = ""
        self._teller.say("input_audio_buffer.cleared")

    def _keep(self, sound: bytes, item_id: str) -> None:
        """The sound becomes the user's next message."""
        if self._state.conversation.is_full:
            raise errors.conversation_full(ITEMS_MAX)
        part = Part("input_audio", audio=sound, form=self._settings.input_format)
        item = Item(item_id, "message", "user", content=[part])
        before = self._state.conversation.append(item)
        self._teller.say("input_audio_buffer.committed", previous_item_id=before, item_id=item_id)
        self._added(item, before)
        self._state.conversation.forget_sound()
        wanted = self._settings.transcription
        if wanted is not None:
            transcript = Transcript(item, wanted, self._opening.dice)
            self._state.transcripts[transcript.key] = transcript
            self._teller.do(Begin(transcript))

    def _time_out(self) -> None:
        """Nobody has spoken for long: the silence is a message, and it is answered."""
        begin_ms, end_ms = int(self._state.idle_ms), int(self._buffer.end_ms)
        item_id = self._teller.make_id("item")
        self._teller.say(
            "input_audio_buffer.timeout_triggered",
            audio_start_ms=begin_ms, audio_end_ms=end_ms, item_id=item_id,
        )  # fmt: skip
        if not self._state.conversation.is_full:
            self._keep(self._buffer.take(begin_ms), item_id)
            self._answer()

    # --- items

    def _create_item(self, event: Read, now: float) -> None:
        shape = event.shape
        assert isinstance(shape, wire.CreateItem)
        item = item_of(
            shape.item,
            shape.item.id or self._teller.make_id("item"),
            self._teller.make_id("call"),
            self._settings.input_format,
            "item",
        )
        before = self._state.conversation.add(item, shape.previous_item_id)
        self._added(item, before)
        self._state.conversation.forget_sound()

    def _added(self, item: Item, before: str | None) -> None:
        for event in ("conversation.item.added", "conversation.item.done"):
            self._teller.say(event, previous_item_id=before, item=item)

    def _retrieve(self, event: Read, now: float) -> None:
        item = self._of(event, "retrieve")
        shown = self._protocol.item(item.shown(with_audio=True))
        self._teller.say("conversation.item.retrieved", item=shown)

    def _truncate(self, event: Read, now: float) -> None:
        shape = event.shape
        assert isinstance(shape, wire.Truncate)
        truncate(self._of(event, "truncate"), shape.content_index, shape.audio_end_ms)
        self._teller.say(
            "conversation.item.truncated",
            item_id=shape.item_id,
            content_index=shape.content_index,
            audio_end_ms=shape.audio_end_ms,
        )

    def _delete(self, event: Read, now: float) -> None:
        item = self._of(event, "delete")
        self._state.conversation.delete(item)
        self._teller.say("conversation.item.deleted", item_id=item.id)

    def _of(self, event: Read, verb: str) -> Item:
        return self._state.conversation.require(event.shape.item_id, verb)  # type: ignore[attr-defined] # the event's own shape

    # --- responses

    def _create_response(self, event: Read, now: float) -> None:
        asked = event.shape.response  # type: ignore[attr-defined] # the event's own shape
        settings, items = self._settings, None
        if asked is not None:
            changes = changes_in(asked)
            changes["in_conversation"] = asked.conversation != "none"
            settings = replace(settings, **changes)
            if asked.input is not None:
                items = self._given(asked.input)
        fallback = (
            settings.instructions if settings.instructions != self._settings.instructions else ""
        )
        self._respond(settings, items, fallback)

    def _given(self, inputs: Iterable[Any]) -> list[Item]:
        """Raises ApiError."""
        items = []
        for k, given in enumerate(inputs):
            if isinstance(given, wire.Reference):
                items.append(self._state.conversation.require(given.id, "retrieve"))
            else:
                item_id = given.id or self._teller.make_id("item")
                form = self._settings.input_format
                path = f"response.input[{k}]"
                items.append(item_of(given, item_id, self._teller.make_id("call"), form, path))
        return items

    def _answer(self) -> None:
        """What a turn's end brings about."""
        if self._settings.kind == "realtime" and self._state.active is None:
            self._respond(self._settings, None, "")

    def _respond(self, settings: Settings, items: list[Item] | None, fallback: str) -> None:
        """Raises ApiError."""
        state = self._state
        if settings.kind == "transcription":
            raise errors.no_responses_in_transcription()
        inside = settings.in_conversation
        if inside and state.active is not None:
            raise errors.response_in_progress(state.active.key)
        if inside and state.conversation.is_full:
            raise errors.conversation_full(ITEMS_MAX)
        if len(state.responses) >= RESPONSES_MAX:
            raise errors.too_many_responses(RESPONSES_MAX)
        response = Response(
            self._teller.make_id("resp"),
            settings,
            self._opening.card,
            [item.copy() for item in (state.conversation if items is None else items)],
            fallback,
            state.conversation if inside else None,
            self._conversation_id if inside else None,
            self._opening.dice,
            self._teller.make_id,
            self._opening.canned,
        )
        state.responses[response.key] = response
        if inside:
            state.active, state.idle_at = response, None
        self._teller.say("response.created", response=response)
        self._teller.do(Begin(response))

    def _cancel(self, event: Read, now: float) -> None:
        shape = event.shape
        assert isinstance(shape, wire.CancelResponse)
        found = self._state.active
        if shape.response_id is not None:
            found = self._state.responses.get(shape.response_id)
        if found is None:
            raise errors.no_response_to_cancel()
        self._cancel_response(found, "client_cancelled", now)

    def _cancel_response(self, response: Response, reason: str, now: float) -> None:
        self._teller.do(Stop(response.key))
        self._teller.tell(response.cancel(reason))
        self._settle(response, now)

    def _settle(self, response: Response, now: float) -> None:
        """What follows from the end of a response, if it has come."""
        if not response.is_made:
            return
        state, detection = self._state, self._settings.detection
        state.responses.pop(response.key, None)
        if state.active is response:
            state.active = None
            self._state.conversation.forget_sound()
            if detection is not None and detection.idle_timeout_ms and not self._buffer.speaking:
                wait_ms = response.spoken_ms + detection.idle_timeout_ms
                state.idle_at = now + wait_ms / 1000
                state.idle_ms = self._buffer.end_ms


_VERBS = {
    "session.update": Session._update,
    "transcription_session.update": Session._update,
    "input_audio_buffer.append": Session._append,
    "input_audio_buffer.commit": Session._commit,
    "input_audio_buffer.clear": Session._clear,
    "conversation.item.create": Session._create_item,
    "conversation.item.retrieve": Session._retrieve,
    "conversation.item.truncate": Session._truncate,
    "conversation.item.delete": Session._delete,
    "response.create": Session._create_response,
    "response.cancel": Session._cancel,
}
