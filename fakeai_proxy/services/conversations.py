"""Conversations: items that a client keeps here, for responses to go on from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.items.history import Item, check_parts, given
from fakeai_proxy.services.items.listing import included, listed, page, with_ids
from fakeai_proxy.services.items.memory import Memory, Remembered
from fakeai_proxy.services.items.shapes import Items
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.wire import Metadata, Shape, json_reply

#: That one request may add.
_ITEMS_MAX = 20


class CreateConversation(Shape):
    items: Annotated[Items, Field(max_length=_ITEMS_MAX)] | None = None
    metadata: Metadata | None = None


class UpdateConversation(Shape):
    metadata: Metadata | None


class CreateItems(Shape):
    items: Annotated[Items, Field(min_length=1, max_length=_ITEMS_MAX)]


def _known(request: Shape) -> None:
    for name in request.model_extra or ():
        raise errors.unknown_parameter(name[:100])


def _found(call: Call) -> Remembered:
    return Memory(call.records).find(call.params["conversation_id"])


def _items(call: Call, sent: Items | None, taken: Sequence[Item] = ()) -> list[Item]:
    """With ids that no other item of the conversation has. Raises ApiError."""
    check_parts(sent or (), "items")
    names = {item["id"] for item in taken}
    items: list[Item] = []
    for item in given(call.records, sent):
        name = item.get("id")
        items.append({**item, "id": None} if name in names else item)
        names.add(name)
    return with_ids(items, lambda k, prefix: _id(call, prefix, k))


def _id(call: Call, prefix: str, *key: int) -> str:
    return f"{prefix}_{call.dice.text_id(call.id_key, prefix, *key, length=48)}"


def create_conversation(call: Call) -> Reply:
    request: CreateConversation = call.body
    _known(request)
    items = _items(call, request.items)
    made = Remembered(_id(call, "conv"), call.created, request.metadata or {})
    memory = Memory(call.records)
    memory.keep(made)
    memory.append(made.id, items)
    return json_reply(made.shown())


def get_conversation(call: Call) -> Reply:
    return json_reply(_found(call).shown())


def update_conversation(call: Call) -> Reply:
    request: UpdateConversation = call.body
    _known(request)
    changed = replace(_found(call), metadata=request.metadata or {})
    Memory(call.records).keep(changed)
    return json_reply(changed.shown())


def delete_conversation(call: Call) -> Reply:
    found = _found(call)
    Memory(call.records).forget(found)
    return json_reply({"id": found.id, "object": "conversation.deleted", "deleted": True})


def create_items(call: Call) -> Reply:
    request: CreateItems = call.body
    _known(request)
    found = _found(call)
    items = _items(call, request.items, found.history.items)
    Memory(call.records).append(found.id, items)
    return json_reply(listed(items, call.queried("include")))


def list_items(call: Call) -> Reply:
    return json_reply(page(_found(call).history.items, call.query, call.queried("include")))


def get_item(call: Call) -> Reply:
    item = _found(call).item(call.params["item_id"])
    return json_reply(included(item, call.queried("include")))


def delete_item(call: Call) -> Reply:
    changed = Memory(call.records).remove(_found(call), call.params["item_id"])
    return json_reply(changed.shown())


_ONE = "/conversations/{conversation_id}"
_ITEM = f"{_ONE}/items/{{item_id}}"
OPERATIONS = (
    Operation("createConversation", "POST", "/conversations", create_conversation,
              CreateConversation),
    Operation("getConversation", "GET", _ONE, get_conversation),
    Operation("updateConversation", "POST", _ONE, update_conversation, UpdateConversation),
    Operation("deleteConversation", "DELETE", _ONE, delete_conversation),
    Operation("createConversationItems", "POST", f"{_ONE}/items", create_items, CreateItems),
    Operation("listConversationItems", "GET", f"{_ONE}/items", list_items),
    Operation("getConversationItem", "GET", _ITEM, get_item),
    Operation("deleteConversationItem", "DELETE", _ITEM, delete_item),
)  # fmt: skip
