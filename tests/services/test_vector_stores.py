"""Vector stores, their files and batches under the vendor's SDK."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from random import Random
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock
from tests.conftest import Serve
from tests.services.stored_files import docx, pdf, stocked, uploaded

STATIC: Any = {
    "type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 20},
}  # fmt: skip
LONG = " ".join(f"Sentence number {k} speaks of nothing in particular." for k in range(60))


async def refused(asking: Any, kind: type[openai.APIStatusError] = openai.BadRequestError) -> Any:
    with pytest.raises(kind) as caught:
        await asking
    return caught.value


async def test_a_vector_store_is_made_found_changed_and_deleted(client: AsyncOpenAI) -> None:
    made = await client.vector_stores.create(
        name="Handbook", metadata={"team": "hr"}, description="What everyone may read",
        expires_after={"anchor": "last_active_at", "days": 7},
    )  # fmt: skip
    assert made.id.startswith("vs_")
    assert (made.object, made.name, made.status, made.usage_bytes) == (
        "vector_store", "Handbook", "completed", 0,
    )  # fmt: skip
    assert made.model_extra == {"description": "What everyone may read"}
    assert made.expires_at == made.created_at + 7 * 86_400
    assert made.file_counts.total == 0
    assert await client.vector_stores.retrieve(made.id) == made
    changed = await client.vector_stores.update(
        made.id, name="Manual", expires_after=None, metadata={"a": "b"}
    )
    assert (changed.name, changed.expires_at, changed.metadata) == ("Manual", None, {"a": "b"})
    assert (await client.vector_stores.update(made.id)).metadata == {"a": "b"}
    deleted = await client.vector_stores.delete(made.id)
    assert (deleted.id, deleted.object, deleted.deleted) == (made.id, "vector_store.deleted", True)
    for gone in (
        client.vector_stores.retrieve(made.id), client.vector_stores.delete(made.id),
        client.vector_stores.search(made.id, query="x"), client.vector_stores.update(made.id),
        client.vector_stores.files.create(made.id, file_id="file-none"),
    ):  # fmt: skip
        error = await refused(gone, openai.NotFoundError)
        assert f"Vector store with id [{made.id}] not found." in error.message


async def test_pages_of_stores_and_files_follow_their_cursors(client: AsyncOpenAI) -> None:
    made = [(await client.vector_stores.create(name=str(k))).id for k in range(3)]
    assert [one.id async for one in client.vector_stores.list(limit=1)] == made[::-1]
    rising = await client.vector_stores.list(order="asc", after=made[0], limit=1)
    assert [one.id for one in rising.data] == made[1:2]
    before = await client.vector_stores.list(order="asc", before=made[2])
    assert [one.id for one in before.data] == made[:2]
    store_id, ids = await stocked(client, {"a.txt": "Alpha.", "b.txt": "Beta.", "c.txt": "Gamma."})
    files = client.vector_stores.files
    listed = [one.id async for one in files.list(store_id, order="asc", limit=2)]
    assert listed == list(ids.values())
    assert [one.id async for one in files.list(store_id, filter="completed")] == listed[::-1]
    assert [one.id async for one in files.list(store_id, filter="failed")] == []
    error = await refused(files.list(store_id, filter="done"))  # type: ignore[arg-type]  # a wrong one
    assert error.param == "filter"


async def test_a_file_is_read_in_the_background_and_counted(client: AsyncOpenAI) -> None:
    store = await client.vector_stores.create(name="x")
    file_id = await uploaded(client, "a.md", LONG)
    begun = await client.vector_stores.files.create(
        store.id, file_id=file_id, attributes={"year": 2024, "draft": False, "by": "Ada"},
        chunking_strategy=STATIC,
    )  # fmt: skip
    assert (begun.object, begun.id, begun.vector_store_id, begun.status) == (
        "vector_store.file", file_id, store.id, "in_progress",
    )  # fmt: skip
    assert begun.chunking_strategy is not None
    assert begun.chunking_strategy.model_dump() == STATIC
    done = await client.vector_stores.files.poll(
        file_id, vector_store_id=store.id, poll_interval_ms=5
    )
    assert (done.status, done.last_error) == ("completed", None)
    assert done.attributes == {"year": 2024, "draft": False, "by": "Ada"}
    assert done.usage_bytes > len(LONG)
    found = await client.vector_stores.retrieve(store.id)
    assert (found.usage_bytes, found.status) == (done.usage_bytes, "completed")
    assert (found.file_counts.completed, found.file_counts.total) == (1, 1)
    content = await client.vector_stores.files.content(file_id, vector_store_id=store.id)
    chunks = [part.text or "" for part in content.data]
    assert len(chunks) > 3
    assert LONG.startswith(chunks[0])
    assert LONG.endswith(chunks[-1])
    # Neighbours share what overlaps.
    assert all(one[-30:] in other for one, other in pairwise(chunks))


async def test_the_usual_chunks_have_eight_hundred_tokens_half_of_them_shared(
    client: AsyncOpenAI,
) -> None:
    store_id, ids = await stocked(client, {"a.txt": "word " * 2000})
    file = await client.vector_stores.files.retrieve(ids["a.txt"], vector_store_id=store_id)
    assert file.chunking_strategy is not None
    sizes = {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400}
    assert file.chunking_strategy.model_dump() == {"type": "static", "static": sizes}
    content = await client.vector_stores.files.content(file.id, vector_store_id=store_id)
    counts = [len((part.text or "").split()) for part in content.data]
    assert counts[:3] == [800, 800, 800]
    assert len(counts) == 4


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("a.png", b"\x89PNG\r\n\x1a\n", "unsupported_file"),
        ("a.pdf", b"no pdf", "invalid_file"),
        ("a.docx", docx("x")[:-40], "invalid_file"),
        ("a.txt", b" \n ", "invalid_file"),
    ],
)
async def test_what_cannot_be_read_has_failed_and_says_why(
    client: AsyncOpenAI, name: str, data: bytes, code: str
) -> None:
    store = await client.vector_stores.create(name="x")
    file_id = await uploaded(client, name, data)
    done = await client.vector_stores.files.create_and_poll(
        file_id, vector_store_id=store.id, poll_interval_ms=5
    )
    assert done.status == "failed"
    assert done.last_error is not None
    assert (done.last_error.code, bool(done.last_error.message)) == (code, True)
    assert (await client.vector_stores.retrieve(store.id)).file_counts.failed == 1
    error = await refused(client.vector_stores.files.content(file_id, vector_store_id=store.id))
    assert "failed" in error.message


async def test_a_batch_counts_its_own_files(client: AsyncOpenAI) -> None:
    store = await client.vector_stores.create(name="x")
    good, bad = await uploaded(client, "a.txt", "Fine."), await uploaded(client, "b.png", "?")
    batches = client.vector_stores.file_batches
    done = await batches.create_and_poll(
        store.id, file_ids=[good, bad, good], attributes={"k": "v"}, poll_interval_ms=5
    )
    assert (done.id[:5], done.object, done.status) == (
        "vsfb_",
        "vector_store.files_batch",
        "completed",
    )
    assert done.file_counts.model_dump() == {
        "cancelled": 0, "completed": 1, "failed": 1, "in_progress": 0, "total": 2,
    }  # fmt: skip
    listed = [one async for one in batches.list_files(done.id, vector_store_id=store.id)]
    assert {(one.id, one.status) for one in listed} == {(good, "completed"), (bad, "failed")}
    assert all(one.attributes == {"k": "v"} for one in listed)
    only = batches.list_files(done.id, vector_store_id=store.id, filter="failed")
    assert [one.id async for one in only] == [bad]
    error = await refused(batches.cancel(done.id, vector_store_id=store.id))
    assert "completed" in error.message
    missing = await refused(
        batches.retrieve("vsfb_none", vector_store_id=store.id), openai.NotFoundError
    )
    assert "vsfb_none" in missing.message


async def test_a_cancelled_batch_leaves_nothing_in_progress(client: AsyncOpenAI) -> None:
    store = await client.vector_stores.create(name="x")
    ids = [await uploaded(client, f"{k}.txt", LONG * 20) for k in range(12)]
    begun = await client.vector_stores.file_batches.create(store.id, file_ids=ids)
    done = await client.vector_stores.file_batches.cancel(begun.id, vector_store_id=store.id)
    assert done.status == "cancelled"
    counts = done.file_counts
    assert (counts.in_progress, counts.total) == (0, 12)
    assert counts.completed + counts.cancelled == 12
    assert counts.cancelled > 0
    files = client.vector_stores.file_batches.list_files(begun.id, vector_store_id=store.id)
    statuses = [one.status async for one in files]
    assert statuses.count("cancelled") == counts.cancelled
    found = await client.vector_stores.retrieve(store.id)
    assert found.file_counts.model_dump() == counts.model_dump()


async def test_a_file_leaves_its_store_and_its_store_forgets_it(client: AsyncOpenAI) -> None:
    store_id, ids = await stocked(client, {"a.txt": "The ferry leaves at six.", "b.txt": "Tea."})
    deleted = await client.vector_stores.files.delete(ids["a.txt"], vector_store_id=store_id)
    assert (deleted.object, deleted.deleted) == ("vector_store.file.deleted", True)
    found = await client.vector_stores.search(store_id, query="When does the ferry leave?")
    assert [hit.filename for hit in found.data] == ["b.txt"]
    # The file itself stays; deleting that takes it out of every store.
    await client.files.retrieve(ids["a.txt"])
    await client.files.delete(ids["b.txt"])
    assert (await client.vector_stores.retrieve(store_id)).file_counts.total == 0
    assert (await client.vector_stores.retrieve(store_id)).usage_bytes == 0
    assert (await client.vector_stores.search(store_id, query="tea")).data == []
    error = await refused(
        client.vector_stores.files.retrieve(ids["b.txt"], vector_store_id=store_id),
        openai.NotFoundError,
    )
    assert ids["b.txt"] in error.message


async def test_a_file_attached_again_is_read_anew(client: AsyncOpenAI) -> None:
    store_id, ids = await stocked(client, {"a.txt": LONG}, {"a.txt": {"old": True}})
    again = await client.vector_stores.files.create_and_poll(
        ids["a.txt"], vector_store_id=store_id, chunking_strategy=STATIC, poll_interval_ms=5
    )
    assert (again.status, again.attributes) == ("completed", {})
    found = await client.vector_stores.retrieve(store_id)
    assert (found.file_counts.total, found.usage_bytes) == (1, again.usage_bytes)
    hits = (await client.vector_stores.search(store_id, query="sentence", max_num_results=50)).data
    content = await client.vector_stores.files.content(ids["a.txt"], vector_store_id=store_id)
    assert len(hits) == len(content.data)


async def test_a_store_may_begin_with_files(client: AsyncOpenAI) -> None:
    file_id = await uploaded(client, "a.pdf", pdf("The ferry leaves at six."))
    store = await client.vector_stores.create(file_ids=[file_id], chunking_strategy=STATIC)
    assert (store.file_counts.total, store.status) == (1, "in_progress")
    await client.vector_stores.files.poll(file_id, vector_store_id=store.id, poll_interval_ms=5)
    hits = (await client.vector_stores.search(store.id, query="ferry")).data
    assert hits[0].content[0].text == "The ferry leaves at six."
    assert hits[0].attributes == {}


BAD: list[tuple[dict[str, Any], str]] = [
    ({"metadata": {f"k{k}": "v" for k in range(17)}}, "metadata"),
    ({"metadata": {"k": "v" * 513}}, "metadata.k"),
    ({"expires_after": {"anchor": "created_at", "days": 1}}, "expires_after.anchor"),
    ({"expires_after": {"anchor": "last_active_at", "days": 366}}, "expires_after.days"),
    ({"file_ids": ["f"] * 501}, "file_ids"),
    ({"chunking_strategy": {"type": "other"}}, "chunking_strategy.type"),
    ({"colour": "red"}, "colour"),
    ({"expires_after": {"anchor": "last_active_at", "days": 1, "x": 1}}, "expires_after.x"),
]


@pytest.mark.parametrize(("body", "param"), BAD, ids=[param for _, param in BAD])
async def test_a_bad_store_is_refused_by_name(
    client: AsyncOpenAI, body: dict[str, Any], param: str
) -> None:
    assert (await refused(client.post("/vector_stores", cast_to=object, body=body))).param == param


def chunking(size: int, overlap: int) -> dict[str, Any]:
    sizes = {"max_chunk_size_tokens": size, "chunk_overlap_tokens": overlap}
    return {"type": "static", "static": sizes}


BAD_FILES: list[tuple[dict[str, Any], str]] = [
    ({"chunking_strategy": chunking(99, 0)}, "chunking_strategy.static.max_chunk_size_tokens"),
    ({"chunking_strategy": chunking(4097, 0)}, "chunking_strategy.static.max_chunk_size_tokens"),
    ({"chunking_strategy": chunking(100, 51)}, "chunking_strategy.static.chunk_overlap_tokens"),
    ({"chunking_strategy": chunking(100, -1)}, "chunking_strategy.static.chunk_overlap_tokens"),
    ({"attributes": {f"k{k}": 1 for k in range(17)}}, "attributes"),
    ({"attributes": {"k": "v" * 513}}, "attributes.k"),
    ({"attributes": {"k" * 65: 1}}, "attributes." + "k" * 65),
    ({"attributes": {"k": [1]}}, "attributes.k"),
    ({"attributes": {"k": None}}, "attributes.k"),
]


@pytest.mark.parametrize(("body", "param"), BAD_FILES, ids=range(len(BAD_FILES)))
async def test_a_bad_file_is_refused_by_name(
    client: AsyncOpenAI, body: dict[str, Any], param: str
) -> None:
    store = await client.vector_stores.create(name="x")
    path = f"/vector_stores/{store.id}/files"
    file_id = await uploaded(client, "a.txt", "x")
    asked = client.post(path, cast_to=object, body={"file_id": file_id, **body})
    assert (await refused(asked)).param == param


async def test_batches_take_ids_or_files_and_know_them(client: AsyncOpenAI) -> None:
    store = await client.vector_stores.create(name="x")
    path = f"/vector_stores/{store.id}/file_batches"
    file_id = await uploaded(client, "a.txt", "x")
    for body, param in (
        ({}, "file_ids"),
        ({"file_ids": []}, "file_ids"),
        ({"file_ids": [file_id] * 2001}, "file_ids"),
        ({"files": [{"file_id": file_id, "attributes": {"k": {}}}]}, "files[0].attributes.k"),
        ({"files": [{"file_id": file_id, "chunking_strategy": chunking(100, 60)}]},
         "files[0].chunking_strategy.static.chunk_overlap_tokens"),
    ):  # fmt: skip
        assert (await refused(client.post(path, cast_to=object, body=body))).param == param
    both = {"file_ids": [file_id], "files": [{"file_id": file_id}]}
    await refused(client.post(path, cast_to=object, body=both))
    unknown = client.vector_stores.file_batches.create(store.id, file_ids=[file_id, "file-none"])
    error = await refused(unknown, openai.NotFoundError)
    assert "No such File object: file-none" in error.message
    assert (await client.vector_stores.retrieve(store.id)).file_counts.total == 0


async def test_ids_are_names_and_never_paths(app: App) -> None:
    headers = {"authorization": "Bearer k"}
    async with httpx.AsyncClient(base_url=app.url, headers=headers) as http:
        for bad in ("..%2F..%2Fetc", "%00", "vs_x%2Ffiles", "a" * 3000):
            for path in (f"/v1/vector_stores/{bad}", f"/v1/vector_stores/vs_x/files/{bad}"):
                assert (await http.get(path)).status_code in (400, 404)


async def test_attributes_change_and_searches_see_it(client: AsyncOpenAI) -> None:
    store_id, ids = await stocked(client, {"a.txt": "Tea.", "b.txt": "Tea."}, {"a.txt": {"k": 1}})
    only: Any = {"type": "eq", "key": "k", "value": 1}
    found = await client.vector_stores.search(store_id, query="tea", filters=only)
    assert [hit.filename for hit in found.data] == ["a.txt"]
    files = client.vector_stores.files
    changed = await files.update(ids["b.txt"], vector_store_id=store_id, attributes={"k": 1})
    assert changed.attributes == {"k": 1}
    await files.update(ids["a.txt"], vector_store_id=store_id, attributes=None)
    found = await client.vector_stores.search(store_id, query="tea", filters=only)
    assert [hit.filename for hit in found.data] == ["b.txt"]
    assert found.data[0].attributes == {"k": 1}


async def test_an_idle_store_expires_and_use_keeps_it(serve: Serve) -> None:
    clock = VirtualClock(autojump=False)
    app = await serve(clock, mode="synth")
    async with AsyncOpenAI(base_url=app.url + "/v1", api_key="k", max_retries=0) as client:
        made = await client.vector_stores.create(
            name="x", expires_after={"anchor": "last_active_at", "days": 1}
        )
        file_id = await uploaded(client, "a.txt", "x")
        clock.advance(86_399)
        await client.vector_stores.search(made.id, query="x")
        used = await client.vector_stores.retrieve(made.id)
        assert (used.status, used.last_active_at) == ("completed", made.created_at + 86_399)
        clock.advance(86_400)
        assert (await client.vector_stores.retrieve(made.id)).status == "expired"
        for asked in (
            client.vector_stores.search(made.id, query="x"),
            client.vector_stores.files.create(made.id, file_id=file_id),
            client.vector_stores.file_batches.create(made.id, file_ids=[file_id]),
        ):  # fmt: skip
            assert (await refused(asked)).code == "vector_store_expired"
        await client.vector_stores.delete(made.id)


def test_the_blocking_client_uploads_and_polls(app_url: str) -> None:
    with OpenAI(base_url=app_url + "/v1", api_key="k", max_retries=0) as client:
        store = client.vector_stores.create(name="x")
        done = client.vector_stores.files.upload_and_poll(
            vector_store_id=store.id, file=("a.docx", docx("Dogs are welcome.")),
            poll_interval_ms=5,
        )  # fmt: skip
        assert done.status == "completed"
        hits = client.vector_stores.search(store.id, query="May I bring my dog?").data
        assert hits[0].content[0].text == "Dogs are welcome."


async def test_counts_are_right_whoever_comes_at_the_same_time(client: AsyncOpenAI) -> None:
    """Files are attached, changed, taken out and deleted by many at once, while jobs read them."""
    store = await client.vector_stores.create(name="x")
    ids = [await uploaded(client, f"{k}.txt", f"Text number {k}.") for k in range(6)]
    files, batches = client.vector_stores.files, client.vector_stores.file_batches
    rng = Random(5)

    async def meddle(step: int) -> None:
        file_id = rng.choice(ids)
        doing: list[Callable[[], Any]] = [
            lambda: files.create(store.id, file_id=file_id),
            lambda: files.delete(file_id, vector_store_id=store.id),
            lambda: files.update(file_id, vector_store_id=store.id, attributes={"step": step}),
            lambda: batches.create(store.id, file_ids=rng.sample(ids, 3)),
            lambda: client.vector_stores.search(store.id, query="text"),
        ]
        with suppress(openai.NotFoundError):
            begun = await rng.choice(doing)()
            if step % 3 == 0 and getattr(begun, "object", "") == "vector_store.files_batch":
                with suppress(openai.BadRequestError):
                    await batches.cancel(begun.id, vector_store_id=store.id)

    for start in range(0, 60, 12):
        await asyncio.gather(*[meddle(start + k) for k in range(12)])
    await client.files.delete(ids[0])
    while (found := await client.vector_stores.retrieve(store.id)).file_counts.in_progress:
        pass
    listed = [one async for one in files.list(store.id)]
    counts = found.file_counts
    assert counts.total == len(listed)
    for status in ("completed", "cancelled", "failed"):
        assert getattr(counts, status) == sum(one.status == status for one in listed), status
    assert found.usage_bytes == sum(one.usage_bytes for one in listed)
    hits = (await client.vector_stores.search(store.id, query="text")).data
    assert {hit.file_id for hit in hits} == {one.id for one in listed if one.status == "completed"}
