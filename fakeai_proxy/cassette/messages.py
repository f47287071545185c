"""The messages of a WebSocket in a record: who said what, and how long after what came before it.

They are the `frames` of a response with status 101: text, binary and control messages of both sides, in
the order in which they passed. JSON is shown as JSON where that is exact, as bodies are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any, Literal, get_args

from fakeai_proxy.cassette.bodies import from_form, to_form
from fakeai_proxy.cassette.rfc6455 import Op
from fakeai_proxy.errors import CassetteError

Side = Literal["client", "server"]
SIDES: tuple[Side, ...] = get_args(Side)


@dataclass(frozen=True, slots=True)
class Message:
    """`dt_us` counts from the message before it, whoever sent that (the first: from the request's
    arrival). The data of a close are its code, two bytes, and its reason. `cuts` are the lengths of
    fragments where there were several."""

    sender: Side
    op: Op
    dt_us: int
    data: bytes
    cuts: tuple[int, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)


def to_fields(message: Message) -> dict[str, Any]:
    fields: dict[str, Any] = {"dir": message.sender, "op": message.op, "dt_us": message.dt_us}
    said = _close_fields(message.data) if message.op == "close" else None
    fields.update({"data": to_form(message.data)} if said is None else said)
    if message.cuts:
        fields["cuts"] = message.cuts
    fields.update(message.extra)
    return fields


def _close_fields(data: bytes) -> dict[str, Any] | None:
    if len(data) < 2:
        return None
    try:
        return {"code": int.from_bytes(data[:2], "big"), "reason": data[2:].decode()}
    except UnicodeDecodeError:
        return None


def from_fields(fields: dict[str, Any]) -> Message:
    """Raises CassetteError, KeyError and others for what is none."""
    sender, op, dt_us = fields.pop("dir"), fields.pop("op"), fields.pop("dt_us", 0)
    if sender not in SIDES or op not in get_args(Op):
        raise CassetteError(f"a frame of {sender!r} with op {op!r}")
    if "code" in fields:
        data = int(fields.pop("code")).to_bytes(2, "big") + fields.pop("reason", "").encode()
    else:
        data = from_form(fields.pop("data", {"text": ""}))
    if not isinstance(data, bytes):
        raise CassetteError("a frame whose data lie in another file")
    return Message(sender, op, dt_us, data, tuple(fields.pop("cuts", ())), fields)


def instants_s(messages: Sequence[Message]) -> list[float]:
    """When each came, in seconds since the request's arrival."""
    return [us / 1e6 for us in accumulate(message.dt_us for message in messages)]


def texts(messages: Iterable[Message], sender: Side) -> list[bytes]:
    """The texts that one side said."""
    return [one.data for one in messages if one.sender == sender and one.op == "text"]


#: What stands before and after a message among all that one side said: a stream of events, for
#: whatever looks for a text that lies scattered over many.
_BEFORE, _AFTER = b"data: ", b"\n\n"


def as_stream(messages: Iterable[Message], sender: Side) -> bytes:
    """The texts of one side."""
    return b"".join([_BEFORE + text + _AFTER for text in texts(messages, sender)])


def joined(messages: Iterable[Message], sender: Side) -> bytes:
    """All data of one side."""
    return b"".join([_BEFORE + one.data + _AFTER for one in messages if one.sender == sender])


def parted(
    messages: Sequence[Message], sender: Side, clean: bytes, op: Op | None = None
) -> list[Message]:
    """The messages with `clean`, as long as `joined` (or, with `op` text, `as_stream`) gave it, in
    place of the data of `sender`."""
    found, position = [], 0
    for one in messages:
        if one.sender != sender or op not in (None, one.op):
            found.append(one)
            continue
        start = position + len(_BEFORE)
        position = start + len(one.data) + len(_AFTER)
        data = clean[start : start + len(one.data)]
        found.append(one if data == one.data else replace(one, data=data))
    return found
