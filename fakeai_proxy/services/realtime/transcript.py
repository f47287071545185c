"""The words of what a client said, told while a model of its own writes them down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fakeai_proxy.dice import Dice
from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import Admission, Usage, Workload
from fakeai_proxy.generate.tokens import EMPTY, Passage, Tokens
from fakeai_proxy.services.answer.prompt import Prompt
from fakeai_proxy.services.metering import transcription
from fakeai_proxy.services.realtime.items import Item, Part
from fakeai_proxy.services.realtime.reading import USER_MS_PER_TOKEN
from fakeai_proxy.services.realtime.response import Told
from fakeai_proxy.services.realtime.voice import transcribed

_EVENT = "conversation.item.input_audio_transcription"
#: What transcribes where no model is named; this one bills minutes and tells all at once.
_MODEL, _WHISPER = "gpt-4o-transcribe", "whisper-1"
_VOCABULARY = "o200k_base"


class Transcript:
    """A Turn. The first part of `item` is sound."""

    def __init__(self, item: Item, settings: Mapping[str, Any], dice: Dice) -> None:
        self.key = f"{item.id}/transcript"
        self.dice_key = b""
        self._item = item
        self._part: Part = item.content[0]
        self._heard = item.copy().content[0]
        self._model = settings.get("model") or _MODEL
        self._dice = dice
        self._passage: Passage = EMPTY
        self._is_done = False
        self._input_tokens = max(int(self._part.duration_ms / USER_MS_PER_TOKEN), 1)

    @property
    def demand(self) -> Mapping[str, object]:
        return {"model": self._model, "input": [0] * self._input_tokens}

    async def keep(self, admission: Admission) -> None:
        """A session remembers by itself."""

    @property
    def usage(self) -> Sequence[Usage]:
        seconds = self._part.duration_ms / 1000
        told = (self._input_tokens, 0, self._passage.tokens)
        return (transcription(self._model, seconds, *told),) if self._is_done else ()

    def prepare(self) -> tuple[Workload, Sequence[int]]:
        tokens = Tokens.load(_VOCABULARY)
        self._passage = tokens.passage(transcribed(self._heard, tokens, self._dice))
        self.dice_key = self._heard.mark.encode()
        prompt = Prompt(tokens)
        prompt.medium(self._heard.mark, self._input_tokens)
        made = self._passage.tokens
        steps = [1] * made if made and self._model != _WHISPER else [made]
        return Workload(self._model, prompt.ids, made), steps

    def advance(self, place: int) -> Iterator[Told]:
        where = {"item_id": self._item.id, "content_index": 0}
        pieces = self._passage.pieces
        whole = self._model == _WHISPER or not pieces
        delta = self._passage.text if whole else pieces[place]
        if delta:
            yield f"{_EVENT}.delta", {**where, "delta": delta}
        if whole or place == len(pieces) - 1:
            self._is_done = True
            if not self._item.truncated:
                self._part.transcript = self._passage.text
            yield (
                f"{_EVENT}.completed",
                {**where, "transcript": self._passage.text, "usage": self._usage()},
            )

    def is_last(self, place: int) -> bool:
        whole = self._model == _WHISPER or not self._passage.tokens
        return whole or place == self._passage.tokens - 1

    def fail(self, error: ApiError) -> Iterator[Told]:
        told = {"type": error.type, "code": error.code, "message": error.message,
                "param": error.param}  # fmt: skip
        yield f"{_EVENT}.failed", {"item_id": self._item.id, "content_index": 0, "error": told}

    def _usage(self) -> dict[str, Any]:
        if self._model == _WHISPER:
            return {"type": "duration", "seconds": round(self._part.duration_ms / 1000, 3)}
        made = self._passage.tokens
        return {
            "type": "tokens",
            "total_tokens": self._input_tokens + made,
            "input_tokens": self._input_tokens,
            "input_token_details": {"text_tokens": 0, "audio_tokens": self._input_tokens},
            "output_tokens": made,
        }
