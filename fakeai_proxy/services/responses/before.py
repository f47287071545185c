"""What was said before a request, as the store has it: in a conversation, or up to an earlier response.

What has been read is kept at hand, since token ids take their time; whether it is still there is asked of
the store every time. In a thread, or nowhere (`Call.wait_for`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from fakeai_proxy import errors
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.items.history import History, Item
from fakeai_proxy.services.items.memory import CONVERSATIONS, RESPONSE, items_of, items_since
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.responses import wire
from fakeai_proxy.store import Key, Row

#: Kinds of records: what was said up to a response, what a connection alone remembers, conversations.
SAID, NEARBY, _CONVERSATION = "response history", "nearby response", "conversation history"
_OVERHEAD_BYTES, _TOKEN_BYTES = 2048, 4


@dataclass(frozen=True, slots=True)
class Before:
    """`heard` is how the store finds it again; `weight` about how many bytes it holds on to."""

    history: History = field(default_factory=History)
    heard: Mapping[str, Any] = field(default_factory=dict)
    conversation: Key | None = None
    weight: int = 0


@dataclass(frozen=True, slots=True)
class Said:
    """`history` and the answer that followed."""

    history: History
    answer: Sequence[Item]
    weight: int

    def whole(self, card: ModelCard) -> History:
        return self.history.and_then(card, self.answer)


@dataclass(frozen=True, slots=True)
class _Heard:
    """A conversation as it was after `removals` and up to its item `last`."""

    history: History
    removals: int
    last: str
    sequence: int
    weight: int


def before(call: Call, request: wire.Prompted | wire.CompactRequest, card: ModelCard) -> Before:
    """Raises ApiError and Unhurried."""
    conversation = getattr(request, "conversation", None)
    previous = request.previous_response_id
    if conversation is not None:
        if previous is not None:
            raise errors.mutually_exclusive("previous_response_id", "conversation")
        return _conversation(call, getattr(conversation, "id", conversation), card)
    if previous is not None:
        return _up_to(call, previous, card)
    if request.input is None:
        raise errors.nothing_to_answer()
    return Before()


def weight_of(items: Sequence[Item], tokens: int) -> int:
    return 2 * len(orjson.dumps(items)) + _TOKEN_BYTES * tokens + _OVERHEAD_BYTES


# --- conversations --------------------------------------------------------------------------------


def _conversation(call: Call, name: str, card: ModelCard) -> Before:
    key = CONVERSATIONS.key(call, name)
    known: _Heard | None = call.records.find(_CONVERSATION, key.path)
    row = call.wait_for(lambda: call.store.get(key))
    if row is None:
        raise errors.conversation_not_found(name)
    removals = row.document.get("removals", 0)
    if known is None or known.removals != removals:
        known = _Heard(History(), removals, "", 0, 0)
    last = known.last
    rows = call.wait_for(lambda: items_since(call, key, last))
    items = [dict(row.document) for row in rows]
    heard = known
    if items:
        weight = known.weight + weight_of(items, 0)
        history = known.history.and_then(card, items)
        heard = _Heard(history, removals, rows[-1].key.id, rows[-1].sequence, weight)
        call.records.keep(_CONVERSATION, key.path, heard, weight)
    found = {"conversation": name, "until": heard.sequence}
    return Before(heard.history, found, key, heard.weight)


# --- responses ------------------------------------------------------------------------------------


def response_key(call: Call, name: str) -> Key:
    return Key(RESPONSE, name, call.project)


def is_there(row: Row | None) -> bool:
    """What is deleted stays for those that went on from it."""
    return row is not None and not row.document.get("deleted")


def _up_to(call: Call, name: str, card: ModelCard) -> Before:
    near: Said | None = call.records.find(NEARBY, name)
    if near is not None:
        history = near.whole(card)
        return Before(history, {"items": list(history.items)}, None, near.weight)
    key = response_key(call, name)
    row = call.wait_for(lambda: call.store.get(key))
    if row is None or not is_there(row):
        raise errors.previous_response_not_found(name)
    earlier = row.document["heard"].get("responses", ())
    said: Said | None = call.records.find(SAID, key.path)
    if said is None:
        said = _read_again(call, row, card)
        call.records.keep(SAID, key.path, said, said.weight)
    heard = {"responses": [*earlier, name]}
    return Before(said.whole(card), heard, None, said.weight)


def _read_again(call: Call, row: Row, card: ModelCard) -> Said:
    chunks = call.wait_for(lambda: _chunks(call, row))
    history, weight = History(), 0
    for chunk in [*chunks, row.document["input"]]:
        history = history.and_then(card, chunk)
        weight += weight_of(chunk, 0)
    answer = row.document["shown"]["output"]
    return Said(history, answer, weight + weight_of(answer, 0))


async def _chunks(call: Call, row: Row) -> list[list[Item]]:
    """What was said before a response, oldest first. What has expired since is missing."""
    heard = row.document["heard"]
    if "items" in heard:
        return [heard["items"]]
    if "conversation" in heard:
        key = CONVERSATIONS.key(call, heard["conversation"])
        rows = await items_of(call, key, heard["until"])
        return [[dict(row.document) for row in rows]]
    chunks: list[list[Item]] = []
    for name in heard.get("responses", ()):
        found = await call.store.get(response_key(call, name))
        if found is None:
            continue
        if not chunks:
            chunks += await _chunks(call, found)
        chunks += [found.document["input"], found.document["shown"]["output"]]
    return chunks
