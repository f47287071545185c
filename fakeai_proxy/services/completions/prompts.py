"""The prompts of a completion request: texts or token ids, one or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.generate.tokens import BEGINNINGS, Tokens
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.completions.wire import CompletionRequest

#: platform.openai.com/docs/api-reference/completions/create has no limit; Azure's is this one.
PROMPTS_MAX = 2048
#: What stands where nothing is said: the separator between documents that a model was trained with.
_SEPARATORS = {
    "cl100k_base": 100257, "o200k_base": 199999, "o200k_harmony": 199999, "llama3": 128001,
    "qwen3": 151643,
}  # fmt: skip
_TOKEN_MAX = 1 << 31


@dataclass(frozen=True, slots=True)
class Prompt:
    """`ids` are what the model reads: the text, what is put before it, and the suffix. `shown` are
    those of the text."""

    text: str
    ids: Sequence[int]
    shown: slice


def prompts_of(asked: CompletionRequest, card: ModelCard, tokens: Tokens) -> list[Prompt]:
    """Raises 400."""
    given: Any = "" if asked.prompt is None else asked.prompt
    several = isinstance(given, list) and not (given and type(given[0]) is int)
    inputs: list[Any] = given if several else [given]
    if isinstance(given, list) and not given:
        raise errors.wrong_length("prompt", "array", ">=", 1, 0)
    if len(inputs) > PROMPTS_MAX:
        raise errors.wrong_length("prompt", "array", "<=", PROMPTS_MAX, len(inputs))
    reader = _Reader(asked, card, tokens)
    kind = type(inputs[0])
    prompts = []
    for index, one in enumerate(inputs):
        path = f"prompt[{index}]" if several else "prompt"
        if type(one) is not kind or kind not in (str, list):
            raise _no_prompt(path, one, kind if several else None)
        prompts.append(reader.text(one) if isinstance(one, str) else reader.tokens_of(one, path))
    return prompts


def _no_prompt(path: str, value: object, kind: type | None) -> errors.ApiError:
    wanted = "one of a string, array of strings, array of integers, or array of arrays"
    if kind is str:
        wanted = "a string"
    elif kind is list:
        wanted = "an array of integers"
    return errors.invalid_type(path, wanted, value)


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
        if not ids:
            raise errors.wrong_length(path, "array", ">=", 1, 0)
        for index, token in enumerate(ids):
            if type(token) is not int:
                raise errors.invalid_type(f"{path}[{index}]", "an integer", token)
            if not 0 <= token < _TOKEN_MAX:
                raise errors.no_such_token(f"{path}[{index}]", token)
        try:
            return self._prompt(self._tokens.decode(ids), ids, [])
        except KeyError:
            unknown = next(k for k, token in enumerate(ids) if not self._tokens.knows(token))
            raise errors.no_such_token(f"{path}[{unknown}]", ids[unknown]) from None

    def _prompt(self, text: str, ids: Sequence[int], before: list[int]) -> Prompt:
        if self._most and len(before) + len(ids) > self._most:
            before, ids = [], ids[-self._most :]
            text = self._tokens.decode(ids)
        shown = slice(len(before), len(before) + len(ids))
        return Prompt(text, [*before, *ids, *self._after] or [self._separator], shown)
