"""Vector stores that several servers share: each sees what the others have done."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI

from tests.conftest import serving
from tests.services.stored_files import stocked, uploaded
from tests.store.conftest import tables

Pair = tuple[AsyncOpenAI, AsyncOpenAI]


@pytest.fixture(params=["sqlite", "postgresql"])
async def pair(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pair]:
    """Clients of two servers on the same state."""
    async with AsyncExitStack() as stack:
        kept: Any = {"data": str(tmp_path), "store": "sqlite"}
        if request.param == "postgresql":
            kept = {"store": await stack.enter_async_context(tables())}
        clients = []
        for _ in range(2):
            app = await stack.enter_async_context(serving(mode="synth", **kept))
            client = AsyncOpenAI(base_url=app.url + "/v1", api_key="k", max_retries=0)
            clients.append(await stack.enter_async_context(client))
        yield clients[0], clients[1]


async def found(client: AsyncOpenAI, store_id: str, **more: Any) -> list[str]:
    hits = await client.vector_stores.search(store_id, query="When does it leave?", **more)
    return [hit.content[0].text for hit in hits.data]


async def test_each_server_finds_what_the_other_one_changed(pair: Pair) -> None:
    one, other = pair
    ferry, train = "The ferry leaves at six.", "The train leaves at nine."
    store_id, ids = await stocked(one, {"ferry.md": ferry})
    assert await found(other, store_id) == await found(one, store_id) == [ferry]
    new = await uploaded(other, "train.md", train)
    await other.vector_stores.files.create_and_poll(
        new, vector_store_id=store_id, attributes={"rail": True}, poll_interval_ms=10
    )
    assert sorted(await found(one, store_id)) == [ferry, train]
    rail: Any = {"type": "eq", "key": "rail", "value": True}
    assert await found(one, store_id, filters=rail) == [train]
    await one.vector_stores.files.update(new, vector_store_id=store_id, attributes={})
    assert await found(other, store_id, filters=rail) == []
    await one.files.delete(ids["ferry.md"])
    assert await found(other, store_id) == [train]
    tool: Any = {"type": "file_search", "vector_store_ids": [store_id]}
    answer = await one.responses.create(model="gpt-4o", input="When does it leave?", tools=[tool])
    assert answer.output_text == train
