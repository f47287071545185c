"""What is answered, as steps: after so many tokens, this is said. Pure, but for the dice."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, NamedTuple

from fakeai_proxy.dice import Dice
from fakeai_proxy.exchange import Workload
from fakeai_proxy.generate.answer import report
from fakeai_proxy.generate.plausible import Hints
from fakeai_proxy.generate.tokens import Passage, Tokens
from fakeai_proxy.generate.wanted_tools import CALLS_MAX
from fakeai_proxy.services.answer.planner import Planner
from fakeai_proxy.services.answer.task import Answer, Task, ToolCall
from fakeai_proxy.services.answer.tool import NO_PARAMETERS, Tool, wanted
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.realtime import voice
from fakeai_proxy.services.realtime.items import Item
from fakeai_proxy.services.realtime.reading import (
    ASSISTANT_MS_PER_TOKEN,
    Reading,
    question_of,
    read,
    results_of,
)
from fakeai_proxy.services.realtime.settings import Settings
from fakeai_proxy.services.responder import Canned

#: What is spoken is shorter than what is written: a factor.
_SPOKEN_LENGTH = 0.4
#: How hard a model that thinks does so before it speaks, where nobody says.
_EFFORT = "low"
#: Sound in one event.
_DELTA_MS = 200

Kind = Literal["text", "audio", "call"]


class Step(NamedTuple):
    """`act` on the output at `place`: open, text, transcript, audio, arguments, close."""

    act: str
    place: int
    value: str | bytes = ""


class Beat(NamedTuple):
    """Steps that are due together, when `tokens` more have been made."""

    tokens: int
    steps: list[Step]


@dataclass(frozen=True, slots=True)
class Output:
    kind: Kind
    name: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    reading: Reading
    outputs: Sequence[Output]
    beats: Sequence[Beat]
    ended: bool
    workload: Workload
    key: bytes


def plan(
    dice: Dice,
    card: ModelCard,
    settings: Settings,
    items: Sequence[Item],
    fallback: str,
    canned: Callable[[str, str], Canned | None],
) -> Plan:
    """`items` are what is answered; `fallback` is what is asked where no user says anything. Takes its
    time. Raises ApiError."""
    tokens = Tokens.load(card.vocabulary)
    for item in items:
        if item.role == "user":
            for part in item.content:
                if part.is_audio and part.transcript is None and part.understood is None:
                    part.understood = voice.recalled(part) or ""
    limit = card.output_tokens_max or card.context_tokens
    if settings.max_tokens != "inf":
        limit = min(limit, settings.max_tokens)
    room = max(card.context_tokens - limit, card.context_tokens // 2)
    reading = read(tokens, settings, items, room)
    key = _key(reading, settings)
    task = _task(settings, items, fallback, limit)
    if card.reasoning:
        task.effort = (settings.reasoning or {}).get("effort") or _EFFORT
    task.canned = canned(card.id, task.hints.prompt)
    answer = Planner(dice, key, tokens, task).answer()
    outputs, beats = _told(answer, settings)
    beats, whole = _within(beats, limit)
    made = sum([beat.tokens for beat in beats])
    spoken = settings.modality == "audio" and not answer.calls
    workload = Workload(
        card.id,
        reading.ids,
        made,
        output=() if spoken else answer.ids(tokens)[:made],
        lora=card.id if card.parent else "",
    )
    ended = whole and answer.finish_reason != "length"
    return Plan(reading, outputs, beats, ended, workload, key)


def _key(reading: Reading, settings: Settings) -> bytes:
    """Equal conversations under equal settings have equal answers."""
    hashed = blake2b(array("Q", reading.ids).tobytes(), digest_size=16)
    for part in (settings.modality, settings.voice, settings.speed, settings.max_tokens,
                 settings.tool_choice, settings.output_format.type):  # fmt: skip
        hashed.update(repr(part).encode())
    return hashed.digest()


def _task(settings: Settings, items: Sequence[Item], fallback: str, limit: int) -> Task:
    hints = Hints(question_of(items) or fallback, settings.instructions or "")
    results = results_of(items)
    return Task(
        hints,
        limit,
        _calls(settings, hints, bool(results)),
        report=report(results[-1]) if results else "",
        temperature=settings.temperature,
        length=_SPOKEN_LENGTH if settings.modality == "audio" else 1.0,
    )


def _calls(settings: Settings, hints: Hints, answered: bool) -> list[Tool]:
    choice = settings.tool_choice
    offered = [
        Tool(
            tool["name"], tool.get("description") or "", tool.get("parameters") or NO_PARAMETERS,
            bool(tool.get("strict")),
        )
        for tool in settings.tools
    ]  # fmt: skip
    if not isinstance(choice, str):
        return [tool for tool in offered if tool.name == choice["name"]][:1]
    if not offered or choice == "none" or (answered and choice != "required"):
        return []
    most = CALLS_MAX if settings.parallel_calls else 1
    return wanted(offered, hints, required=choice == "required")[:most]


def _told(answer: Answer, settings: Settings) -> tuple[list[Output], list[Beat]]:
    outputs: list[Output] = []
    beats = [Beat(answer.reasoning_tokens, [])] if answer.reasoning_tokens else []

    def add(output: Output, told: Iterator[Beat], head: int = 0) -> None:
        place = len(outputs)
        outputs.append(output)
        its = [
            Beat(beat.tokens, [step._replace(place=place) for step in beat.steps]) for beat in told
        ]
        opening = Step("open", place)
        if head or not its:
            its.insert(0, Beat(head, [opening]))
        else:
            its[0].steps.insert(0, opening)
        its[-1].steps.append(Step("close", place))
        beats.extend(its)

    if answer.said.tokens or not answer.calls:
        if settings.modality == "audio" and answer.said.text.strip():
            add(Output("audio"), _sounding(answer.said, settings))
        else:
            add(Output("text"), _pieces("text", answer.said))
    for call in answer.calls:
        add(Output("call", call.name), _called(call), call.head_tokens)
    return outputs, beats


def _pieces(act: str, passage: Passage) -> Iterator[Beat]:
    for piece in passage.pieces:
        yield Beat(1, [Step(act, 0, piece)] if piece else [])


def _called(call: ToolCall) -> Iterator[Beat]:
    return _pieces("arguments", call.arguments)


def _sounding(passage: Passage, settings: Settings) -> Iterator[Beat]:
    """The words, and the sound that belongs to them so far."""
    form = settings.output_format
    sound = voice.spoken(passage.text, settings.voice, settings.speed, form)
    size = _DELTA_MS * form.ms_bytes
    said = 0
    for k, beat in enumerate(_pieces("transcript", passage), 1):
        yield beat
        due = len(sound) * k // passage.tokens
        while said < due and (due - said >= size or k == passage.tokens):
            piece = sound[said : said + size]
            said += len(piece)
            length_ms = form.duration_ms(len(piece))
            yield Beat(math.ceil(length_ms / ASSISTANT_MS_PER_TOKEN), [Step("audio", 0, piece)])


def _within(beats: list[Beat], limit: int) -> tuple[list[Beat], bool]:
    """The beats that fit, and whether all do. What was opened is closed."""
    left = limit
    kept: list[Beat] = []
    opened: int | None = None
    for beat in beats:
        if beat.tokens > left:
            if opened is not None:
                kept.append(Beat(0, [Step("close", opened)]))
            return kept, False
        left -= beat.tokens
        kept.append(beat)
        for step in beat.steps:
            opened = {"open": step.place, "close": None}.get(step.act, opened)
    return kept, True
