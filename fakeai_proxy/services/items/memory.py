"""Where conversations and their items are remembered. Nothing else knows where that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import orjson

from fakeai_proxy import errors
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.items.history import ITEM, History, Item
from fakeai_proxy.services.records import Records

_CONVERSATION = "conversation"
#: What an id or a field costs besides its text.
_OVERHEAD_BYTES = 1024
_ITEM_OVERHEAD = 2


@dataclass(frozen=True, slots=True)
class Remembered:
    """A conversation as it is at one time; `history` is another object after every change."""

    id: str
    created: int
    metadata: Mapping[str, str]
    history: History = field(default_factory=History)
    bytes: int = _OVERHEAD_BYTES

    def shown(self) -> Item:
        return {
            "id": self.id, "object": "conversation", "created_at": self.created,
            "metadata": dict(self.metadata),
        }  # fmt: skip

    def item(self, item_id: str) -> Item:
        """Raises 404."""
        for item in self.history.items:
            if item["id"] == item_id:
                return item
        raise errors.conversation_item_not_found(item_id, self.id)


class Memory:
    def __init__(self, records: Records) -> None:
        self._records = records

    def find(self, conversation_id: str) -> Remembered:
        """Raises 404."""
        found: Remembered | None = self._records.find(_CONVERSATION, conversation_id)
        if found is None:
            raise errors.conversation_not_found(conversation_id)
        return found

    def keep(self, conversation: Remembered) -> None:
        self._records.keep(_CONVERSATION, conversation.id, conversation, conversation.bytes)

    def forget(self, conversation: Remembered) -> None:
        """Its items can still be referred to."""
        self._records.forget(_CONVERSATION, conversation.id)

    def append(
        self, conversation_id: str, items: Sequence[Item], card: ModelCard | None = None
    ) -> None:
        """`items` have ids, and are read by the model with `card` if there is one. A conversation
        that is gone by now stays so."""
        found: Remembered | None = self._records.find(_CONVERSATION, conversation_id)
        if found is None:
            return
        history = (
            found.history.extended(items) if card is None
            else found.history.and_then(card, items)
        )  # fmt: skip
        weight = sum([self.keep_item(item) for item in items])
        self.keep(replace(found, history=history, bytes=found.bytes + _ITEM_OVERHEAD * weight))

    def keep_item(self, item: Item) -> int:
        """About how many bytes it holds on to."""
        weight = len(orjson.dumps(item))
        self._records.keep(ITEM, item["id"], item, weight)
        return weight

    def remove(self, conversation: Remembered, item_id: str) -> Remembered:
        """Raises 404."""
        weight = len(orjson.dumps(conversation.item(item_id)))
        changed = replace(
            conversation, history=conversation.history.without(item_id),
            bytes=conversation.bytes - _ITEM_OVERHEAD * weight,
        )  # fmt: skip
        self.keep(changed)
        return changed
