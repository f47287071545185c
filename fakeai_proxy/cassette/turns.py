"""What the answers on a WebSocket used, as the server's events tell it: each `response.done` is one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from fakeai_proxy.cassette.messages import Message, texts

_TELLING = (b'"usage"', b'"session"')


class Turn(NamedTuple):
    """`amounts` have the names of a price list's `Usage`, those that are not nothing."""

    model: str
    amounts: tuple[tuple[str, int], ...]


class Turns:
    """Of one WebSocket, event by event. The model is the one that its target names, or its session has."""

    def __init__(self, target: str) -> None:
        self._model = parse_qs(target.partition("?")[2]).get("model", [""])[0]

    def heard(self, text: bytes) -> Turn | None:
        """What the server's event tells of an answer that is over."""
        if not any(name in text for name in _TELLING):
            return None
        try:
            event = json.loads(text)
        except (ValueError, RecursionError):
            return None
        if not isinstance(event, dict):
            return None
        session, response = event.get("session"), event.get("response")
        if isinstance(session, dict) and isinstance(session.get("model"), str):
            self._model = session["model"]
        usage = response.get("usage") if isinstance(response, dict) else None
        if event.get("type") != "response.done" or not isinstance(usage, dict):
            return None
        return Turn(self._model, tuple(_amounts(usage)))


def turns(target: str, messages: Iterable[Message]) -> Iterator[Turn]:
    of = Turns(target)
    for text in texts(messages, "server"):
        turn = of.heard(text)
        if turn is not None:
            yield turn


def _amounts(told: dict[str, Any]) -> Iterator[tuple[str, int]]:
    read, said = _part(told, "input_token_details"), _part(told, "output_token_details")
    cached = _part(read, "cached_tokens_details")
    for name, part, theirs in (
        ("input_tokens", told, "input_tokens"),
        ("output_tokens", told, "output_tokens"),
        ("cached_tokens", read, "cached_tokens"),
        ("audio_input_tokens", read, "audio_tokens"),
        ("cached_audio_tokens", cached, "audio_tokens"),
        ("image_input_tokens", read, "image_tokens"),
        ("cached_image_tokens", cached, "image_tokens"),
        ("audio_output_tokens", said, "audio_tokens"),
    ):
        count = part.get(theirs)
        if isinstance(count, int) and count > 0:
            yield name, count


def _part(told: dict[str, Any], name: str) -> dict[str, Any]:
    part = told.get(name)
    return part if isinstance(part, dict) else {}
