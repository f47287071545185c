"""Searching a vector store, in this process and without sockets.

    python benchmarks/vectors.py --chunks 100000 --searches 200

The store is SQLite in a folder, as with --data. Files of 1,000 chunks of 100 tokens are read, chunked,
embedded and kept as the job of a vector store does it; a search is all of it, from the text of the
question to the texts of ten chunks. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from random import Random

from load import quantile

from fakeai_proxy.clock import SystemClock
from fakeai_proxy.generate.embedders import embedder_kind
from fakeai_proxy.generate.text import prose
from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.services.extraction import text_of
from fakeai_proxy.services.vector_stores.chunking import Strategy, chunks
from fakeai_proxy.services.vector_stores.pack import packed
from fakeai_proxy.services.vector_stores.searching import search
from fakeai_proxy.store import Insert, Key, Row, Store
from fakeai_proxy.store.blobs import FileBlobs
from fakeai_proxy.store.sqlite import SqliteStore

_PROJECT, _STORE = "proj_default", "vs_benchmark"
_CHUNK_TOKENS, _FILE_CHUNKS = 100, 1000
_SUBJECTS = (
    "harbours", "invoices", "glaciers", "violins", "batteries", "orchards", "passports", "kernels",
    "bridges", "vaccines", "orbits", "textiles", "contracts", "volcanoes", "recipes", "railways",
)  # fmt: skip


def _text(number: int) -> str:
    """Of one file, about many things."""
    rng = Random(number)
    words = Tokens.load("o200k_base")
    said = []
    for _ in range(_FILE_CHUNKS):
        subject = f"{rng.choice(_SUBJECTS)} {rng.randrange(10_000)}"
        passage, _ = prose(words).write(rng, subject, _CHUNK_TOKENS, _CHUNK_TOKENS, endless=True)
        said.append(passage.text)
    return "\n\n".join(said)


async def _filled(store: Store, files: int) -> tuple[int, float]:
    """(chunks, seconds that making them searchable took)."""
    parent = Key("vector_store", _STORE, _PROJECT)
    count, took_s = 0, 0.0
    document = {
        "id": _STORE, "expires_after": None, "last_active_at": int(time.time()), "revision": 1,
    }  # fmt: skip
    await store.commit(Insert(Row(parent, document, time.time())))
    for number in range(files):
        data = _text(number).encode()
        started_s = time.perf_counter()
        found = chunks(text_of("a.txt", data), Strategy(_CHUNK_TOKENS, 0))
        blob = await store.blobs.put(packed(found, embedder_kind("auto")))
        took_s += time.perf_counter() - started_s
        count += len(found)
        file = {"filename": f"{number}.txt", "attributes": {"number": number}}
        row = Row(parent.child("vector_store.file", f"file-{number}"), file, time.time())
        await store.commit(Insert(replace(row, blob=blob.name, tags={"status": "completed"})))
    return count, took_s


async def _run(files: int, searches: int, folder: Path) -> dict[str, float]:
    clock = SystemClock()
    store = SqliteStore(folder / "state.db", FileBlobs(folder / "blobs", clock), clock)
    try:
        count, indexing_s = await _filled(store, files)
        rng = Random(7)

        async def once() -> float:
            query = f"What is said about {rng.choice(_SUBJECTS)} and {rng.choice(_SUBJECTS)}?"
            started_s = time.perf_counter()
            hits = await search(
                store, _PROJECT, [_STORE], [query], limit=10, embedder=embedder_kind("auto"),
                clock=clock,
            )  # fmt: skip
            assert len(hits) == 10
            return (time.perf_counter() - started_s) * 1e3

        first_ms = await once()
        took_ms = sorted([await once() for _ in range(searches)])
    finally:
        await store.close()
    return {
        "chunks": count,
        "chunks_per_s": count / indexing_s,
        "load_s": first_ms / 1e3,
        "p50_ms": quantile(took_ms, 0.5),
        "p95_ms": quantile(took_ms, 0.95),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--searches", type=int, default=200)
    options = parser.parse_args()
    files = max(options.chunks // _FILE_CHUNKS, 1)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(asyncio.run(_run(files, options.searches, Path(folder)))))


if __name__ == "__main__":
    main()
