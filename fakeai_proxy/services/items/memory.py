"""Conversations and their items in the store, and how an item is found by its id alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.services.filing import FILES
from fakeai_proxy.services.items.history import Item
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.resources import Resource
from fakeai_proxy.store import Exists, Insert, Key, Require, Row, Write


def _show(row: Row, now: float) -> Mapping[str, Any]:
    return {name: value for name, value in row.document.items() if name != "removals"}


CONVERSATIONS = Resource(
    kind="conversation",
    object="conversation",
    prefix="conv_",
    path="/conversations",
    param="conversation_id",
    missing=errors.conversation_not_found,
    deleted="conversation.deleted",
    show=_show,
    id_length=48,
)
ITEM = "conversation.item"
#: Of a response, whose tags are the ids of its items.
RESPONSE, ITEM_TAG = "response", "item"
#: Read from the store at a time.
_ROWS = 1000
#: How often an item is given another id, since its own is taken.
_TRIES = 8


def items_path(conversation: Key) -> str:
    """The parent of its items, which outlive it: they can still be referred to."""
    return f"{conversation.parent}/items/{conversation.id}"


def item_rows(call: Call, conversation: Key, items: Iterable[Item]) -> list[Insert]:
    """`items` have ids."""
    parent = items_path(conversation)
    return [
        Insert(
            Row(
                Key(ITEM, item["id"], parent), item, float(call.created),
                tags={"item": f"{conversation.parent}/{item['id']}"},
            )
        )
        for item in items
    ]  # fmt: skip


def shortened(row: Row) -> Row:
    """A conversation from which something was taken, so that nobody goes on from what it was."""
    return row.merged(removals=row.document.get("removals", 0) + 1)


async def add(
    call: Call, conversation: Key, items: Sequence[Item], also: Sequence[Write] = ()
) -> list[Item]:
    """The items as they are in the conversation, in one commit with `also`: an id that another of its
    items has is given anew. Raises Missing where the conversation is gone, and what `also` raises."""
    kept = list(items)
    for attempt in range(_TRIES):
        try:
            rows = item_rows(call, conversation, kept)
            await call.store.commit(Require(conversation), *rows, *also)
        except Exists as error:
            if error.key.kind != ITEM:
                raise
            kept = [_renamed(call, item, error.key.id, attempt) for item in kept]
            continue
        return kept
    raise errors.server_error()


def _renamed(call: Call, item: Item, taken: str, attempt: int) -> Item:
    if item["id"] != taken:
        return item
    prefix = taken.partition("_")[0]
    fresh = call.dice.text_id(call.id_key, "again", taken, attempt, str(call.wall()), length=48)
    return {**item, "id": f"{prefix}_{fresh}"}


async def items_of(call: Call, conversation: Key, until: int) -> list[Row]:
    """Oldest first; those of a sequence up to `until`."""
    found = await items_since(call, conversation)
    return [row for row in found if row.sequence <= until]


async def items_since(call: Call, conversation: Key, after: str = "") -> list[Row]:
    """Oldest first; those that follow the item `after`."""
    found: list[Row] = []
    while True:
        page = await call.store.page(
            ITEM, items_path(conversation), after=after, limit=_ROWS, ascending=True
        )
        found += page.rows
        if not page.has_more:
            return found
        after = page.rows[-1].key.id


async def referred(call: Call, ids: Sequence[str]) -> Mapping[str, Item]:
    """Those of the items that there are, by their ids."""
    known = {name: await _found(call, name) for name in ids}
    return {name: item for name, item in known.items() if item is not None}


async def _found(call: Call, item_id: str) -> Item | None:
    asked = {"item": f"{call.project}/{item_id}"}
    for row in (await call.store.page(ITEM, None, tags=asked, limit=1)).rows:
        return dict(row.document)
    asked = {item_id: ITEM_TAG}
    for row in (await call.store.page(RESPONSE, call.project, tags=asked, limit=1)).rows:
        held: list[Item] = [*row.document["input"], *row.document["shown"]["output"]]
        return next(item for item in held if item["id"] == item_id)
    return None


async def check_files(call: Call, items: Sequence[Item], path: str) -> None:
    """The files that items name are there. Raises 404."""
    for k, item in enumerate(items):
        for place, file_id in _files_in(item):
            if await call.store.get(FILES.key(call, file_id)) is None:
                raise errors.no_such_file(file_id, f"{path}[{k}].{place}.file_id")


def _files_in(item: Item) -> Iterable[tuple[str, str]]:
    for name in ("content", "output"):
        held: Any = item.get(name)
        for j, part in enumerate(held if isinstance(held, list) else ()):
            if isinstance(part, dict) and part.get("file_id"):
                yield f"{name}[{j}]", part["file_id"]


async def free_ids(call: Call, conversation: Key, items: Sequence[Item]) -> list[Item]:
    """Without the ids that the conversation's items, or others of these, have."""
    taken: set[str] = set()
    free: list[Item] = []
    for item in items:
        name = item.get("id")
        if name is not None and name not in taken:
            row = await call.store.get(Key(ITEM, name, items_path(conversation)))
            taken |= {name} if row is not None else set()
        free.append({**item, "id": None} if name in taken else item)
        taken |= {name} if name is not None else set()
    return free


async def of_conversation(call: Call, conversation: Key, item_id: str) -> Row:
    """Raises 404."""
    row = await call.store.get(Key(ITEM, item_id, items_path(conversation)))
    if row is None:
        raise errors.conversation_item_not_found(item_id, conversation.id)
    return row
