"""Conversations: items that a client keeps here, for responses to go on from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

from fakeai_proxy import errors
from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.items.history import Item, check_parts, given, references
from fakeai_proxy.services.items.listing import included, listed, with_ids
from fakeai_proxy.services.items.memory import (
    CONVERSATIONS,
    ITEM,
    add,
    check_files,
    free_ids,
    item_rows,
    items_path,
    of_conversation,
    referred,
    shortened,
)
from fakeai_proxy.services.items.shapes import Items
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.paging import is_ascending, limit_of
from fakeai_proxy.services.wire import Metadata, Shape, json_reply
from fakeai_proxy.store import Change, Delete, Key, Missing, Row, Write

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


async def _items(call: Call, sent: Items | None, conversation: Key | None = None) -> list[Item]:
    """With ids that no other item of the conversation has. Raises ApiError."""
    check_parts(sent or (), "items")
    items = given(sent, await referred(call, references(sent)))
    await check_files(call, items, "items")
    items = await free_ids(call, conversation or CONVERSATIONS.key(call, ""), items)

    def named(k: int, prefix: str) -> str:
        return f"{prefix}_{call.dice.text_id(call.id_key, prefix, k, length=48)}"

    return with_ids(items, named)


async def create_conversation(call: Call) -> Reply:
    request: CreateConversation = call.body
    _known(request)
    items = await _items(call, request.items)

    def make(row: Row) -> Row:
        return row.merged(metadata=request.metadata or {})

    def also(row: Row) -> Iterable[Write]:
        return item_rows(call, row.key, items)

    return CONVERSATIONS.reply(call, await CONVERSATIONS.insert(call, make, also))


async def update_conversation(call: Call) -> Reply:
    request: UpdateConversation = call.body
    _known(request)
    metadata = request.metadata or {}
    row = await CONVERSATIONS.changed(call, lambda row: row.merged(metadata=metadata))
    return CONVERSATIONS.reply(call, row)


async def create_items(call: Call) -> Reply:
    request: CreateItems = call.body
    _known(request)
    conversation = (await CONVERSATIONS.row(call)).key
    items = await _items(call, request.items, conversation)
    try:
        items = await add(call, conversation, items)
    except Missing:
        raise errors.conversation_not_found(conversation.id) from None
    return json_reply(listed(items, call.queried("include")))


async def list_items(call: Call) -> Reply:
    conversation = (await CONVERSATIONS.row(call)).key
    query = call.query
    try:
        page = await call.store.page(
            ITEM,
            items_path(conversation),
            after=query.get("after", ""),
            limit=limit_of(query.get("limit")),
            ascending=is_ascending(query.get("order"), default=False),
        )
    except Missing as error:
        raise errors.item_not_found(error.key.id) from None
    items = [dict(row.document) for row in page.rows]
    return json_reply(listed(items, call.queried("include"), more=page.has_more))


async def get_item(call: Call) -> Reply:
    conversation = (await CONVERSATIONS.row(call)).key
    row = await of_conversation(call, conversation, call.params["item_id"])
    return json_reply(included(dict(row.document), call.queried("include")))


async def delete_item(call: Call) -> Reply:
    conversation = await CONVERSATIONS.row(call)
    row = await of_conversation(call, conversation.key, call.params["item_id"])
    try:
        await call.store.commit(Change(conversation.key, shortened), Delete(row.key))
    except Missing as error:
        if error.key == row.key:
            raise errors.conversation_item_not_found(row.key.id, conversation.key.id) from None
        raise errors.conversation_not_found(conversation.key.id) from None
    return CONVERSATIONS.reply(call, conversation)


_ITEMS = f"{CONVERSATIONS.path}/{{conversation_id}}/items"
_ONE = "/conversations/{conversation_id}"
OPERATIONS = (
    Operation("createConversation", "POST", "/conversations", create_conversation,
              CreateConversation),
    Operation("updateConversation", "POST", _ONE, update_conversation, UpdateConversation),
    *CONVERSATIONS.operations(retrieve="getConversation", delete="deleteConversation"),
    Operation("createConversationItems", "POST", _ITEMS, create_items, CreateItems),
    Operation("listConversationItems", "GET", _ITEMS, list_items),
    Operation("getConversationItem", "GET", f"{_ITEMS}/{{item_id}}", get_item),
    Operation("deleteConversationItem", "DELETE", f"{_ITEMS}/{{item_id}}", delete_item),
)  # fmt: skip
