"""The prompts of a completion request: texts or token ids, one or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fakeai_proxy.generate.tokens import BEGINNINGS, Tokens
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.completions.wire import CompletionRequest
from fakeai_proxy.services.wire import inputs_of, text_of

#: platform.openai.com/docs/api-reference/completions/create has no limit; Azure's is this one.
PROMPTS_MAX = 2048
#: What stands where nothing is said: the separator between documents that a model was trained with.
_SEPARATORS = {
    "cl100k_base": 100257, "o200k_base": 199999, "o200k_harmony": 199999, "llama3": 128001,
    "qwen3": 151643,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Prompt:
    """`ids` are what the model reads: the text, what is put before it, and the suffix. `shown` are
    those of the text."""

    text: str
    ids: Sequence[int]
    shown: slice


def prompts_of(asked: CompletionRequest, card: ModelCard, tokens: Tokens) -> list[Prompt]:
    """Raises 400."""
    reader = _Reader(asked, card, tokens)
    return [
        reader.text(one) if isinstance(one, str) else reader.tokens_of(one, path)
        for path, one in inputs_of(
            "" if asked.prompt is None else asked.prompt, "prompt", PROMPTS_MAX
        )
    ]


class _Reader:
    def __init__(self, asked: CompletionRequest, card: ModelCard, tokens: Tokens) -> None:
        self._asked = asked
        self._tokens = tokens
        self._separator = _SEPARATORS[card.vocabulary]
        beginning = None if card.is_openai else BEGINNINGS.get(card.vocabulary)
        wanted = asked.add_special_tokens is not False and beginning is not None
        self._before = [beginning] if wanted and beginning is not None else []
        self._after = tokens.encode(asked.suffix) if asked.suffix else ()
        self._most = asked.truncate_prompt_tokens
        if self._most == -1:
            self._most = max(1, card.context_tokens - (asked.max_tokens or 0))

    def text(self, text: str) -> Prompt:
        return self._prompt(text, self._tokens.encode(text), self._before)

    def tokens_of(self, ids: list[Any], path: str) -> Prompt:
        return self._prompt(text_of(ids, path, self._tokens), ids, [])

    def _prompt(self, text: str, ids: Sequence[int], before: list[int]) -> Prompt:
        if self._most and len(before) + len(ids) > self._most:
            before, ids = [], ids[-self._most :]
            text = self._tokens.decode(ids)
        shown = slice(len(before), len(before) + len(ids))
        return Prompt(text, [*before, *ids, *self._after] or [self._separator], shown)
