"""The job that makes a file searchable: its text, that in chunks, and those in a pack."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from fakeai_proxy.generate.embedders import Kind
from fakeai_proxy.services.extraction import Unreadable, text_of
from fakeai_proxy.services.filing import FILES
from fakeai_proxy.services.job import Job, Work
from fakeai_proxy.services.vector_stores.chunking import Strategy, chunks
from fakeai_proxy.services.vector_stores.pack import packed
from fakeai_proxy.services.vector_stores.rows import (
    COMPLETED,
    FAILED,
    FILE_KIND,
    IN_PROGRESS,
    batch_key,
    batch_recounted,
    ended,
    recounted,
    store_key,
)
from fakeai_proxy.store import Blob, Key, Store, Write


async def index_file(work: Work) -> None:
    file = work.row
    project = store_key(file.key).parent
    source = await work.store.get(Key(FILES.kind, file.key.id, project))
    try:
        if source is None or source.blob is None:
            raise Unreadable("invalid_file", "The file has been deleted.")
        strategy = Strategy.of(file.document["chunking_strategy"])
        filename = source.document["filename"]
        with work.clock.hold():
            found = await asyncio.to_thread(
                _chunks_of, work.store, source.blob, filename, strategy
            )  # fmt: skip
    except Unreadable as error:
        await _end(work, FAILED, last_error={"code": error.code, "message": str(error)})
        return
    blob = await _kept(work, found, work.embedder)
    await _end(work, COMPLETED, blob, usage_bytes=blob.size_bytes, last_error=None)


def _chunks_of(store: Store, blob: str, filename: str, strategy: Strategy) -> list[str]:
    with store.blobs.open_file(blob) as file:
        data = file.read()
    return chunks(text_of(filename, data), strategy)


async def _kept(work: Work, found: list[str], kind: Kind) -> Blob:
    return await work.store.blobs.put(packed(found, kind))


async def _end(work: Work, status: str, blob: Blob | None = None, **changes: Any) -> None:
    moved = {IN_PROGRESS: -1, status: 1}
    writes: list[Write] = [
        work.change(
            lambda row: replace(
                ended(row, status, **changes), blob=None if blob is None else blob.name
            )
        ),
        recounted(store_key(work.row.key), moved, 0 if blob is None else blob.size_bytes),
    ]
    batch = batch_key(work.row)
    if batch is not None:
        writes.append(batch_recounted(batch, moved))
    await work.store.commit(*writes)


JOBS = (Job(FILE_KIND, index_file, at_once=2),)
