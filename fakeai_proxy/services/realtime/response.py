"""One response while it is made: what was told of it so far, and the events that tell more."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from fakeai_proxy.dice import Dice
from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import Admission, Usage, Workload
from fakeai_proxy.services.answer.cached import cached_tokens
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.metering import completion
from fakeai_proxy.services.realtime.items import Conversation, Item, Part
from fakeai_proxy.services.realtime.plan import Beat, Plan, Step, plan
from fakeai_proxy.services.realtime.reading import USER_MS_PER_TOKEN
from fakeai_proxy.services.realtime.settings import Settings
from fakeai_proxy.services.responder import Canned

#: An event's type and its fields; items among them are `Item`s.
Told = tuple[str, dict[str, Any]]
Status = Literal["in_progress", "completed", "cancelled", "incomplete", "failed"]
_CHARS_PER_TOKEN = 4


class Response:
    """Also a Turn."""

    def __init__(
        self,
        response_id: str,
        settings: Settings,
        card: ModelCard,
        items: Sequence[Item],
        fallback: str,
        conversation: Conversation | None,
        conversation_id: str | None,
        dice: Dice,
        make_id: Callable[[str], str],
        canned: Callable[[str, str], Canned | None],
    ) -> None:
        """`items` are what is answered. What is said becomes part of `conversation`, if there is one."""
        self.key = response_id
        self.settings = settings
        self.dice_key = b""
        self.status: Status = "in_progress"
        self.details: dict[str, Any] | None = None
        self.conversation = conversation
        self.items: list[Item] = []
        self.spoken_ms = 0.0
        self._card = card
        self._answered = items
        self._fallback = fallback
        self._conversation_id = conversation_id
        self._dice = dice
        self._make_id = make_id
        self._canned = canned
        self._plan: Plan | None = None
        self._beats: list[list[Step]] = []
        self._open: int | None = None
        self._admission = Admission()
        self._text_tokens = self._audio_tokens = 0
        self._beat_tokens: list[int] = []

    # --- a turn

    @property
    def demand(self) -> Mapping[str, object]:
        characters, sound_ms = len(self.settings.instructions), 0.0
        for item in self._answered:
            characters += len(item.words) + len(item.arguments) + len(item.output)
            sound_ms += sum([part.duration_ms for part in item.content if part.is_audio])
        count = characters // _CHARS_PER_TOKEN + int(sound_ms / USER_MS_PER_TOKEN)
        most = self.settings.max_tokens
        return {
            "model": self._card.id,
            "input": [0] * max(count, 1),
            **({} if most == "inf" else {"max_output_tokens": most}),
        }

    async def keep(self, admission: Admission) -> None:
        """A session remembers by itself."""

    def prepare(self) -> tuple[Workload, Sequence[int]]:
        made = plan(
            self._dice, self._card, self.settings, self._answered, self._fallback, self._canned
        )
        self.dice_key = made.key
        beats, tokens = _merged(made.beats)
        self._beats, self._beat_tokens, self._plan = beats, tokens, made
        return made.workload, tokens

    @property
    def is_made(self) -> bool:
        return self.status != "in_progress"

    # --- telling

    def shown(self, usage: bool = False) -> dict[str, Any]:
        """What both protocols have; the output is not yet in the words of one."""
        return {
            "object": "realtime.response",
            "id": self.key,
            "status": self.status,
            "status_details": self.details,
            "output": [item.shown() for item in self.items],
            "conversation_id": self._conversation_id,
            "max_output_tokens": self.settings.max_tokens,
            "metadata": self.settings.metadata,
            "usage": self._usage() if usage else None,
        }

    def advance(self, place: int, admission: Admission) -> Iterator[Told]:
        self._admission = admission
        plan_ = self._plan
        assert plan_ is not None, "it is prepared before it gets on"
        self._count(self._beats[place], self._beat_tokens[place])
        for step in self._beats[place]:
            yield from self._tell(step)
        if place == len(self._beats) - 1:
            if plan_.ended:
                yield from self._end("completed", None)
            else:
                details = {"type": "incomplete", "reason": "max_output_tokens"}
                yield from self._end("incomplete", details)

    def cancel(self, reason: str) -> Iterator[Told]:
        yield from self._break_off()
        yield from self._end("cancelled", {"type": "cancelled", "reason": reason})

    def fail(self, error: ApiError) -> Iterator[Told]:
        yield from self._break_off()
        told = {"type": error.type, "code": error.code, "message": error.message}
        yield from self._end("failed", {"type": "failed", "error": told})

    def _break_off(self) -> Iterator[Told]:
        if self._open is not None:
            yield from self._close(self._open, "incomplete")

    def _end(self, status: Status, details: dict[str, Any] | None) -> Iterator[Told]:
        self.status, self.details = status, details
        yield "response.done", {"response": self}

    # --- one output

    def _tell(self, step: Step) -> Iterator[Told]:
        if step.act == "open":
            yield from self._begin(step.place)
        elif step.act == "close":
            assert self._plan is not None
            last = step.place == len(self._plan.outputs) - 1 or step is self._beats[-1][-1]
            yield from self._close(
                step.place, "incomplete" if last and not self._plan.ended else "completed"
            )
        else:
            yield self._delta(step)

    def _begin(self, place: int) -> Iterator[Told]:
        assert self._plan is not None
        output = self._plan.outputs[place]
        self._open = place
        item = Item(self._make_id("item"), "message", "assistant", "in_progress")
        if output.kind == "call":
            item.type, item.role, item.name = "function_call", "", output.name
            item.call_id = self._make_id("call")
        self.items.append(item)
        where = {"response_id": self.key, "output_index": place}
        yield "response.output_item.added", {**where, "item": item}
        if self.conversation is not None:
            before = self.conversation.append(item)
            yield "conversation.item.added", {"previous_item_id": before, "item": item}
        if output.kind != "call":
            spoken = output.kind == "audio"
            part = Part("output_audio", form=self.settings.output_format, transcript="")
            item.content.append(part if spoken else Part("output_text"))
            shown = {"type": "audio", "transcript": ""} if spoken else {"type": "text", "text": ""}
            yield "response.content_part.added", {**self._where(place), "part": shown}

    def _delta(self, step: Step) -> Told:
        item, value = self.items[step.place], step.value
        if isinstance(value, bytes):
            part = item.content[0]
            self.spoken_ms += part.form.duration_ms(len(value))
            if not item.truncated:
                part.audio += value
            delta = b64encode(value).decode()
            return "response.output_audio.delta", {**self._where(step.place), "delta": delta}
        if step.act == "arguments":
            item.arguments += value
            where = {**self._where(step.place, None), "call_id": item.call_id}
            return "response.function_call_arguments.delta", {**where, "delta": value}
        part = item.content[0]
        if step.act == "text":
            part.text += value
            return "response.output_text.delta", {**self._where(step.place), "delta": value}
        if not item.truncated:
            part.transcript = (part.transcript or "") + value
        name = "response.output_audio_transcript.delta"
        return name, {**self._where(step.place), "delta": value}

    def _close(self, place: int, status: str) -> Iterator[Told]:
        self._open = None
        item = self.items[place]
        item.status = status
        where = self._where(place)
        if item.type == "function_call":
            told = {"call_id": item.call_id, "name": item.name, "arguments": item.arguments}
            yield "response.function_call_arguments.done", {**self._where(place, None), **told}
        else:
            part = item.content[0]
            if part.is_audio:
                yield "response.output_audio.done", where
                words = part.transcript or ""
                yield "response.output_audio_transcript.done", {**where, "transcript": words}
                shown = {"type": "audio", "transcript": words}
            else:
                yield "response.output_text.done", {**where, "text": part.text}
                shown = {"type": "text", "text": part.text}
            yield "response.content_part.done", {**where, "part": shown}
        if self.conversation is not None:
            before = self.conversation.before(item)
            yield "conversation.item.done", {"previous_item_id": before, "item": item}
        yield "response.output_item.done", {
            "response_id": self.key, "output_index": place, "item": item,
        }  # fmt: skip

    def _where(self, place: int, content: int | None = 0) -> dict[str, Any]:
        where = {
            "response_id": self.key, "item_id": self.items[place].id, "output_index": place,
        }  # fmt: skip
        return where if content is None else {**where, "content_index": content}

    # --- counting

    def _count(self, steps: list[Step], tokens: int) -> None:
        if any(step.act == "audio" for step in steps):
            self._audio_tokens += tokens
        else:
            self._text_tokens += tokens

    @property
    def usage(self) -> Sequence[Usage]:
        told = self._usage()
        if self._plan is None:
            return ()
        read, cached = told["input_token_details"], told["input_token_details"]["cached_tokens"]
        of_cached = read["cached_tokens_details"]
        amounts = {
            "input_cached_tokens": cached,
            "input_cached_audio_tokens": of_cached["audio_tokens"],
            "input_cached_image_tokens": of_cached["image_tokens"],
        }
        return (
            completion(
                self._card, told["input_tokens"], told["output_tokens"],
                heard=read["audio_tokens"], seen=read["image_tokens"], said=self._audio_tokens,
                amounts=amounts,
            ),
        )  # fmt: skip

    def _usage(self) -> dict[str, Any]:
        reading = None if self._plan is None else self._plan.reading
        read = 0 if reading is None else len(reading.ids)
        cached = cached_tokens(self._card, self._admission, read)
        of_read = reading.counts() if reading else dict.fromkeys(("text", "audio", "image"), 0)
        of_cached = reading.counts(cached) if reading else of_read
        made = self._text_tokens + self._audio_tokens
        return {
            "total_tokens": read + made,
            "input_tokens": read,
            "output_tokens": made,
            "input_token_details": {
                **{f"{kind}_tokens": count for kind, count in of_read.items()},
                "cached_tokens": cached,
                "cached_tokens_details": {
                    f"{kind}_tokens": count for kind, count in of_cached.items()
                },
            },
            "output_token_details": {
                "text_tokens": self._text_tokens, "audio_tokens": self._audio_tokens,
            },
        }  # fmt: skip


def _merged(beats: Sequence[Beat]) -> tuple[list[list[Step]], list[int]]:
    """Steps and tokens of beats that have tokens; at least one beat."""
    steps: list[list[Step]] = []
    tokens: list[int] = []
    for beat in beats:
        if not beat.tokens and steps:
            steps[-1].extend(beat.steps)
        elif steps and not tokens[-1]:
            steps[-1].extend(beat.steps)
            tokens[-1] = beat.tokens
        else:
            steps.append(list(beat.steps))
            tokens.append(beat.tokens)
    return (steps, tokens) if steps else ([[]], [0])
