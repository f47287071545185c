"""What a model reads before it answers: instructions, tools and items as token ids, and how many of
them are text, sound and pictures.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from fakeai_proxy import errors
from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.services.answer.prompt import Prompt
from fakeai_proxy.services.realtime.items import Item, Part
from fakeai_proxy.services.realtime.settings import Settings

#: OpenAI's guide to realtime costs: a token is 100 ms of the user's sound, 50 ms of the assistant's.
USER_MS_PER_TOKEN, ASSISTANT_MS_PER_TOKEN = 100, 50

_KINDS = ("text", "audio", "image")


@dataclass(frozen=True, slots=True)
class Reading:
    """`runs` are the kinds of the ids, in their order, and how many there are of each."""

    ids: Sequence[int]
    runs: Sequence[tuple[str, int]]

    def counts(self, first: int | None = None) -> dict[str, int]:
        """Of all tokens, or of the first so many, by kind."""
        left = len(self.ids) if first is None else first
        found = dict.fromkeys(_KINDS, 0)
        for kind, count in self.runs:
            taken = min(count, left)
            found[kind] += taken
            left -= taken
        return found


class _Writer(Prompt):
    """A prompt that knows where it has text and where it has not."""

    def __init__(self, tokens: Tokens) -> None:
        super().__init__(tokens)
        self.runs: list[tuple[str, int]] = []
        self._counted = 0

    def count(self, kind: str) -> None:
        """What came since the last count is of that kind."""
        self.runs.append((kind, len(self.ids) - self._counted))
        self._counted = len(self.ids)


def read(tokens: Tokens, settings: Settings, items: Sequence[Item], room: int) -> Reading:
    """`room` is how many tokens a prompt may have. Where it may be truncated, the oldest items go.
    Raises ApiError."""
    head = _Writer(tokens)
    if settings.tools:
        head.text(orjson.dumps(list(settings.tools), default=str).decode())
    if settings.instructions:
        head.open("system")
        head.text(settings.instructions)
        head.close()
    head.count("text")
    turns = [_turn(tokens, item) for item in items]
    end = _Writer(tokens)
    end.open("assistant")
    end.count("text")
    sizes = [len(turn.ids) for turn in turns]
    size = len(head.ids) + len(end.ids) + sum(sizes)
    first = 0
    if size > room and settings.truncation != "disabled":
        goal = room * _retained(settings.truncation)
        while size > goal and first < len(turns) - 1:
            size -= sizes[first]
            first += 1
    if size > room:
        raise errors.context_window_exceeded(room, size)
    parts = [head, *turns[first:], end]
    return Reading(
        [token for part in parts for token in part.ids],
        [run for part in parts for run in part.runs],
    )


def _retained(truncation: Any) -> float:
    """The share of the room that is used again, so that the next turns do not truncate, too."""
    return float(truncation["retention_ratio"]) if isinstance(truncation, dict) else 1.0


def _turn(tokens: Tokens, item: Item) -> _Writer:
    turn = _Writer(tokens)
    if item.type == "message":
        turn.open(item.role)
        for part in item.content:
            turn.count("text")
            _part(turn, part, item.role)
    elif item.type == "function_call":
        turn.open("assistant")
        turn.text(item.name)
        turn.text(item.arguments)
    else:
        turn.open("tool")
        turn.text(item.output)
    turn.close()
    turn.count("text")
    return turn


def _part(turn: _Writer, part: Part, role: str) -> None:
    if part.type == "input_image":
        turn.image(part.image_url, part.detail == "low")
        turn.count("image")
    elif part.is_audio:
        turn.medium(part.mark, audio_tokens(part.duration_ms, role))
        turn.count("audio")
    else:
        turn.text(part.text)


def audio_tokens(duration_ms: float, role: str) -> int:
    each_ms = ASSISTANT_MS_PER_TOKEN if role == "assistant" else USER_MS_PER_TOKEN
    return math.ceil(duration_ms / each_ms)


def question_of(items: Iterable[Item]) -> str:
    """What the user said last."""
    said = [item.words for item in items if item.role == "user"]
    return said[-1] if said else ""


def results_of(items: Sequence[Item]) -> list[str]:
    """What tools have answered since the user last spoke."""
    found: list[str] = []
    for item in reversed(items):
        if item.role == "user":
            break
        if item.type == "function_call_output":
            found.append(item.output)
    return found[::-1]
