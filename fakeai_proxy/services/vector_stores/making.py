"""Vector stores as they begin: asked for as such, or made for the assistant or the thread that uses them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.vector_stores import wire
from fakeai_proxy.services.vector_stores.chunking import AUTO
from fakeai_proxy.services.vector_stores.files import (
    Wanted,
    attachments,
    sources,
)
from fakeai_proxy.services.vector_stores.rows import FILE_KIND, NO_FILES, STORES
from fakeai_proxy.store import Conflict, Exists, Key, Missing, Row

#: How often a change is tried that others get in the way of.
_TRIES = 16


async def made(call: Call, asked: wire.CreateStore, path: str = "") -> Row:
    """`path` leads to it in the request. Raises 400 and 404."""
    strategy = wire.strategy_of(asked.chunking_strategy, f"{path}chunking_strategy")
    wanted = [Wanted(each, strategy, {}) for each in asked.file_ids or ()]
    found = await sources(call, wanted, f"{path}file_ids")

    def make(row: Row) -> Row:
        given = {"description": asked.description} if asked.description is not None else {}
        return row.merged(
            name=asked.name or "", **given, usage_bytes=0, file_counts=NO_FILES,
            expires_after=expiry(asked.expires_after), last_active_at=call.created,
            metadata=asked.metadata or {}, revision=0,
        )  # fmt: skip

    try:
        row = await STORES.insert(call, make, lambda row: attachments(call, row.key, found))
    except Missing as error:
        raise errors.no_such_file(error.key.id, f"{path}file_ids") from None
    for each in wanted[:1]:
        call.dispatch(Key(FILE_KIND, each.file_id, row.key.path))
    return await STORES.row(call, row.key.id)


async def added(call: Call, store_id: str, file_ids: list[str], path: str) -> None:
    """Files that are to be searched, too. Raises 404."""
    store = await STORES.row(call, store_id)
    wanted = [Wanted(each, AUTO, {}) for each in file_ids]
    for _ in range(_TRIES):
        found = [one for one in await sources(call, wanted, path, store.key) if one.held is None]
        with suppress(Conflict, Exists):
            try:
                await call.store.commit(*attachments(call, store.key, found))
            except Missing as error:
                raise errors.no_such_file(error.key.id, path) from None
            for one in found[:1]:
                call.dispatch(Key(FILE_KIND, one.file.key.id, store.key.path))
            return
    raise errors.server_error()


def expiry(asked: wire.ExpiresAfter | None) -> dict[str, Any] | None:
    return None if asked is None else {"anchor": asked.anchor, "days": asked.days}
