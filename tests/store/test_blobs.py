"""Bytes beside the store."""

from __future__ import annotations

import errno
import hashlib
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.errors import ApiError
from fakeai_proxy.store import Delete, Insert, Key, Row, Store, open_store
from fakeai_proxy.store.blobs import GRACE_S

KEY = Key("file", "file-1", "p")


async def read(store: Store, name: str, start: int = 0, stop: int | None = None) -> bytes:
    return b"".join([piece async for piece in store.blobs.chunks(name, start, stop)])


async def test_bytes_come_back_whole_and_by_range(store: Store) -> None:
    data = bytes(range(256)) * 4000
    blob = await store.blobs.put([data[:10], b"", data[10:]])
    assert blob.name == hashlib.sha256(data).hexdigest()
    assert (blob.size_bytes, blob.md5) == (len(data), hashlib.md5(data).hexdigest())
    assert await read(store, blob.name) == data
    assert await read(store, blob.name, 300_000, 700_001) == data[300_000:700_001]
    assert await read(store, blob.name, len(data)) == b""
    assert await store.blobs.put([data]) == blob


async def test_a_blob_lives_while_a_row_names_it(store: Store, clock: VirtualClock) -> None:
    named = await store.blobs.put([b"named"])
    stray = await store.blobs.put([b"stray"])
    await store.commit(
        *[Insert(Row(key, {}, 1.0, blob=named.name)) for key in (KEY, KEY.child("x", "y"))]
    )
    await store.sweep()
    assert await read(store, stray.name) == b"stray"  # its row may be on the way
    clock.advance(GRACE_S + 1)
    await store.sweep()
    assert await read(store, named.name) == b"named"
    with pytest.raises(ApiError, match="some of its bytes are missing"):
        await read(store, stray.name)
    await store.commit(Delete(KEY))
    clock.advance(GRACE_S + 1)
    await store.sweep()
    with pytest.raises(ApiError):
        await read(store, named.name)


async def test_a_blob_put_again_is_as_good_as_fresh(store: Store, clock: VirtualClock) -> None:
    blob = await store.blobs.put([b"again"])
    clock.advance(GRACE_S + 1)
    assert await store.blobs.idle() == [blob.name]
    await store.blobs.put([b"again"])
    await store.blobs.remove(blob.name)
    assert await read(store, blob.name) == b"again"


async def test_a_writer_that_fails_leaves_nothing(
    store: Store, clock: VirtualClock, tmp_path: Path
) -> None:
    def broken() -> Iterator[bytes]:
        yield b"a"
        raise ApiError(400, "No.")

    def full() -> Iterator[bytes]:
        yield b"a"
        raise OSError(errno.ENOSPC, "full")

    with pytest.raises(ApiError, match="No"):
        await store.blobs.put(broken())
    with pytest.raises(ApiError, match="there is no space left") as caught:
        await store.blobs.put(full())
    assert (caught.value.status, caught.value.headers["retry-after"]) == (503, "1")
    clock.advance(GRACE_S + 1)
    assert await store.blobs.idle() == []
    folder = getattr(store.blobs, "_folder", tmp_path)
    assert [path.name for path in folder.rglob("*") if path.is_file() and path.name != "lock"] == []


async def test_a_folder_that_cannot_be_written_is_a_503_until_it_can(tmp_path: Path) -> None:
    store = open_store(tmp_path, VirtualClock(autojump=False))
    await store.blobs.put([b"first"])
    incoming = tmp_path / "blobs" / "incoming"
    incoming.rmdir()
    incoming.touch()
    with pytest.raises(ApiError) as caught:
        await store.blobs.put([b"a"])
    assert caught.value.status == 503
    incoming.unlink()
    await store.blobs.put([b"a"])


async def test_a_large_blob_is_never_in_memory(store: Store) -> None:
    piece = b"\0" * (1 << 20)
    tracemalloc.start()
    try:
        blob = await store.blobs.put(piece for _ in range(64))
        total = 0
        async for one in store.blobs.chunks(blob.name):
            total += len(one)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total == 64 << 20
    assert peak_bytes < 8 << 20
