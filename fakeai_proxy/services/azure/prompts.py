"""The text of a request: all of it, and what its user said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from pydantic import BaseModel

#: Where text is, in bodies and in the messages, items and parts within them.
_SPOKEN = ("instructions", "messages", "prompt", "input", "content", "text", "output")
#: Whoever says these is not the user.
_OTHERS = frozenset(("system", "developer", "assistant", "tool", "function"))


class Prompt(NamedTuple):
    whole: str
    by_user: str


def prompts_of(body: object, spelled: Callable[[list[int]], str]) -> list[Prompt]:
    """One, or as many as a list of prompts has. `spelled` is the text of token ids."""
    given = getattr(body, "prompt", None)
    if isinstance(given, list) and given:
        several = [given] if isinstance(given[0], int) else given
        texts = [one if isinstance(one, str) else spelled(one) for one in several]
        return [Prompt(text, text) for text in texts]
    spoken = list(_texts(body, ""))
    whole = "\n".join([text for _, text in spoken])
    return [Prompt(whole, "\n".join([text for role, text in spoken if role not in _OTHERS]))]


def _texts(value: object, role: str) -> Iterator[tuple[str, str]]:
    """Who says what."""
    if isinstance(value, str):
        yield role, value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each, role)
    elif isinstance(value, BaseModel | dict):
        speaker = _member(value, "role")
        role = speaker if isinstance(speaker, str) else role
        for name in _SPOKEN:
            inner = _member(value, name)
            if inner is not None:
                yield from _texts(inner, "system" if name == "instructions" else role)


def _member(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else getattr(value, name, None)
