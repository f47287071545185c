"""Whether what a client says on a WebSocket is what was recorded.

Events of JSON are compared by what they mean, as leniently as bodies are. Ids that the client makes up
(`event_id`, an item's `id`) differ in every run: they are renamed, here and in what the server then says
of them, while an id that the server gave out has to be that one. Audio is one stream of bytes, however it
is cut into events.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Callable, Sequence
from typing import Any

from fakeai_proxy.cassette.differences import Side, explain
from fakeai_proxy.cassette.leniency import Leniency, gist_of_event
from fakeai_proxy.cassette.matching import parse_json
from fakeai_proxy.cassette.messages import Message
from fakeai_proxy.cassette.rfc6455 import Op
from fakeai_proxy.cassette.shapes import PLACEHOLDER

#: Differences that are told.
_TOLD = 5
_AUDIO = b'"input_audio_buffer.append"'
#: Fields that name something: as bytes, in JSON of any layout.
_ID_FIELD = re.compile(rb'("(?:id|\w{1,64}_id)"\s{0,4}:\s{0,4}")([^"\\]{1,256})(")')


def audio_of(op: Op, data: bytes) -> bytes | None:
    """The sound that a message brings; None where it brings something else."""
    if op != "text" or _AUDIO not in data[:4096] + data[-256:]:
        return None
    try:
        event = json.loads(data)
        if event.get("type") == "input_audio_buffer.append":
            return b64decode(event["audio"])
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    return None


class Likeness:
    """Of one WebSocket. `clean` hides the secrets in what is said live, as they are hidden in what
    was recorded."""

    def __init__(self, leniency: Leniency, clean: Callable[[bytes], bytes]) -> None:
        self._leniency = leniency
        self._clean = clean
        #: Recorded ids that the client made up, and what it calls them in this run.
        self._live: dict[str, str] = {}
        #: Ids that the server has given out.
        self._given_out: set[bytes] = set()

    @property
    def is_loose(self) -> bool:
        return self._leniency.match == "loose"

    def differences(self, recorded: Message, op: Op, data: bytes) -> Sequence[str]:
        """What is not as it was recorded; nothing where it is."""
        if op != recorded.op:
            return (f"{recorded.op} was recorded, {op} was sent",)
        if data == recorded.data and not self._live:
            return ()
        return self._texts(recorded, data) if op == "text" else self._bytes(recorded, data)

    def _bytes(self, recorded: Message, data: bytes) -> Sequence[str]:
        sizes = f"{len(recorded.data)} bytes were recorded, {len(data)} were sent"
        return () if self.is_loose else (f"the data differ: {sizes}",)

    def _texts(self, recorded: Message, data: bytes) -> Sequence[str]:
        data, before = _untagged(self._clean(data)), _untagged(recorded.data)
        try:
            value, wanted = parse_json(data), parse_json(before)
        except ValueError:
            return () if data == before else _explained(before, data)
        fresh: dict[str, str] = {}
        if isinstance(value, dict) and isinstance(wanted, dict):
            for one, other in ((value, wanted), (wanted, value)):
                if "event_id" not in one:
                    other.pop("event_id", None)
            value = self._renamed("", wanted, value, fresh)
        written = self._leniency.meaning(value, gist_of_event)
        if written != self._leniency.meaning(wanted, gist_of_event):
            return _explained(before, data)
        self._live |= fresh
        return ()

    def said(self, message: Message) -> bytes:
        """What the server says in this run; the ids in it are its own, or the client's."""
        if message.op != "text":
            return message.data
        self._given_out.update(match[2] for match in _ID_FIELD.finditer(message.data))
        if not self._live:
            return message.data
        return _ID_FIELD.sub(self._relabelled, message.data)

    def _relabelled(self, match: re.Match[bytes]) -> bytes:
        live = self._live.get(match[2].decode("utf-8", "replace"))
        return match[0] if live is None else match[1] + json.dumps(live)[1:-1].encode() + match[3]

    def _renamed(self, name: str, recorded: Any, value: Any, fresh: dict[str, str]) -> Any:
        """`value` with the recorded names of what the client has named otherwise."""
        if isinstance(value, dict) and isinstance(recorded, dict):
            return {
                field: self._renamed(field, recorded.get(field), child, fresh)
                for field, child in value.items()
            }
        if isinstance(value, list) and isinstance(recorded, list):
            same = recorded[: len(value)] + [None] * (len(value) - len(recorded))
            return [
                self._renamed(name, one, child, fresh)
                for one, child in zip(same, value, strict=True)
            ]
        is_id = name == "id" or name.endswith("_id")
        if not is_id or type(value) is not str or type(recorded) is not str:
            return value
        known = self._live.get(recorded, fresh.get(recorded))
        if known is None and (value == recorded or recorded.encode() in self._given_out):
            return value
        if known is None:
            fresh[recorded] = known = value
        return recorded if known == value else f"another: {value}"


def _untagged(data: bytes) -> bytes:
    """Two runs may have two keys."""
    return PLACEHOLDER.sub(b"REDACTED", data)


def _explained(recorded: bytes, given: bytes) -> Sequence[str]:
    def side(body: bytes) -> Side:
        return Side("WS", "", "", ((b"content-type", b"application/json"),), body)

    told = [str(one) for one in explain(side(given), side(recorded))[:_TOLD]]
    return [one.replace("body", "event", 1) for one in told] or ["the text differs"]
