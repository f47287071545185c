"""Results of a batch while it is worked on: rows below its own, each with those of some lines, put
together in a file at the end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from fakeai_proxy.services.job import Work
from fakeai_proxy.store import Blob, Delete, Insert, Row, Tally

#: A chunk is kept when it has so many lines or bytes, or is so old by the clock.
LINES_MAX, BYTES_MAX, AGE_S = 250, 1 << 20, 1.0
#: Up to so many bytes are kept in the row itself, without a file of their own.
_INLINE_BYTES_MAX = 256 << 10
_MINUTE_S = 60
#: Chunks that are read or deleted together.
_PAGE = 8


class Result(NamedTuple):
    """What came of a line: one line of the output, or of the errors. `amounts` are what the batch
    counts, `tallies` what the organization does."""

    text: bytes
    is_error: bool
    amounts: tuple[int, ...] = ()
    tallies: Sequence[Tally] = ()


class Chunk:
    """Results of consecutive lines."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self.size_bytes = 0

    def add(self, result: Result) -> None:
        self.results.append(result)
        self.size_bytes += len(result.text)

    @property
    def is_full(self) -> bool:
        return len(self.results) >= LINES_MAX or self.size_bytes >= BYTES_MAX

    @property
    def tallies(self) -> list[Tally]:
        """One for each minute and labels."""
        amounts: dict[tuple[object, ...], Counter[str]] = {}
        found: dict[tuple[object, ...], Tally] = {}
        for tally in [tally for result in self.results for tally in result.tallies]:
            key = (tally.kind, tally.at // _MINUTE_S, *sorted(tally.labels.items()))
            found.setdefault(key, tally)
            amounts.setdefault(key, Counter()).update(tally.amounts)
        return [tally._replace(amounts=amounts[key]) for key, tally in found.items()]

    async def insert(self, work: Work, number: int) -> Insert:
        """The row that keeps it. Raises 503."""
        outputs, errors = ([one.text for one in self.results if one.is_error == wanted]
                           for wanted in (False, True))  # fmt: skip
        key = work.row.key.child(_kind(work), f"{number:06d}")
        split = sum(map(len, outputs))
        document: dict[str, Any] = {"output_bytes": split, "error_bytes": self.size_bytes - split}
        row = Row(key, document, work.clock.wall())
        texts = [*outputs, *errors]
        if self.size_bytes <= _INLINE_BYTES_MAX:
            return Insert(row.merged(text=b"".join(texts).decode()))
        blob = await work.store.blobs.put(texts)
        return Insert(replace(row, blob=blob.name))


def _kind(work: Work) -> str:
    return f"{work.row.key.kind}.chunk"


async def assembled(work: Work, errors: bool) -> Blob:
    """The outputs, or the errors, of all chunks in one blob. Raises 503."""
    loop = asyncio.get_running_loop()
    kind, parent = _kind(work), work.row.key.path

    def pieces() -> Iterator[bytes]:
        """In a thread."""
        after = ""
        while True:
            reading = work.store.page(kind, parent, after=after, limit=_PAGE, ascending=True)
            page = asyncio.run_coroutine_threadsafe(reading, loop).result()
            for row in page.rows:
                yield _part(work, row, errors)
            if not page.has_more:
                return
            after = page.rows[-1].key.id

    return await work.store.blobs.put(pieces())


def _part(work: Work, row: Row, errors: bool) -> bytes:
    split = row.document["output_bytes"]
    if row.blob is None:
        text: bytes = row.document["text"].encode()
        return text[split:] if errors else text[:split]
    with work.store.blobs.open_file(row.blob) as file:
        if not errors:
            return file.read(split)
        file.seek(split)
        return file.read()


async def cleared(work: Work) -> None:
    """Without the chunks, which are needed no longer. Raises LeaseLost and 503."""
    while True:
        page = await work.store.page(_kind(work), work.row.key.path, limit=_PAGE, ascending=True)
        if not page.rows:
            return
        await work.store.commit(work.change(_as_it_is), *[Delete(row.key) for row in page.rows])


def _as_it_is(row: Row) -> Row:
    return row
