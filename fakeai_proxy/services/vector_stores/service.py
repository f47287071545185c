"""The operations of vector stores, and search in one of them."""

from __future__ import annotations

from typing import Any

from fakeai_proxy.exchange import Reply
from fakeai_proxy.services.operation import Call, Operation
from fakeai_proxy.services.vector_stores import files, wire
from fakeai_proxy.services.vector_stores.filters import check
from fakeai_proxy.services.vector_stores.making import expiry, made
from fakeai_proxy.services.vector_stores.rows import STORES
from fakeai_proxy.services.vector_stores.searching import Hit, rewritten, search
from fakeai_proxy.services.wire import json_reply
from fakeai_proxy.store import Row


async def create_store(call: Call) -> Reply:
    asked: wire.CreateStore = call.body
    wire.check_known(asked)
    return STORES.reply(call, await made(call, asked))


async def modify_store(call: Call) -> Reply:
    asked: wire.ModifyStore = call.body
    wire.check_known(asked)
    sent = asked.model_fields_set

    def change(row: Row) -> Row:
        changes: dict[str, Any] = {"last_active_at": call.created}
        if asked.name is not None:
            changes["name"] = asked.name
        if "expires_after" in sent:
            changes["expires_after"] = expiry(asked.expires_after)
        if asked.metadata is not None:
            changes["metadata"] = asked.metadata
        return row.merged(**changes)

    return STORES.reply(call, await STORES.changed(call, change))


async def search_store(call: Call) -> Reply:
    asked: wire.SearchStore = call.body
    wire.check_known(asked)
    wire.check_weights(asked.ranking_options)
    if asked.filters is not None:
        check(asked.filters)
    queries = [asked.query] if isinstance(asked.query, str) else list(asked.query)
    if asked.rewrite_query:
        queries = [rewritten(query) for query in queries]
    hits = await search(
        call.store, call.project, [call.params["vector_store_id"]], queries,
        limit=asked.max_num_results, filters=asked.filters, ranking=asked.ranking_options,
        embedder=call.embedder, clock=call.clock,
    )  # fmt: skip
    page = {"object": "vector_store.search_results.page", "search_query": queries}
    data = [_shown(hit) for hit in hits]
    return json_reply({**page, "data": data, "has_more": False, "next_page": None})


def _shown(hit: Hit) -> dict[str, Any]:
    return {
        "file_id": hit.file_id, "filename": hit.filename, "score": hit.score,
        "attributes": hit.attributes, "content": [{"type": "text", "text": hit.text}],
    }  # fmt: skip


OPERATIONS = (
    Operation("createVectorStore", "POST", STORES.path, create_store, wire.CreateStore),
    *STORES.operations(
        list="listVectorStores", retrieve="getVectorStore", delete="deleteVectorStore"
    ),
    Operation(
        "modifyVectorStore", "POST", "/vector_stores/{vector_store_id}", modify_store,
        wire.ModifyStore,
    ),
    Operation(
        "searchVectorStore", "POST", "/vector_stores/{vector_store_id}/search", search_store,
        wire.SearchStore,
    ),
    *files.OPERATIONS,
)  # fmt: skip
