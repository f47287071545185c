"""The lines of a blob: the same ones, from wherever an earlier life stopped."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.services.bulk import lines as bulk_lines
from fakeai_proxy.services.bulk.lines import PIECE_BYTES, Line, Lines, Place, object_in
from fakeai_proxy.store import Blobs, open_store

TEXTS = st.lists(st.sampled_from([b"", b" ", b"a", b'{"b": 1}', b"c" * 300, b"\r"]), max_size=40)


async def _read(blobs: Blobs, blob: str, clock: VirtualClock, start: Place) -> list[Line]:
    lines = Lines(blobs, blob, clock, start)
    found = []
    while (line := await lines.next()) is not None:
        found.append(line)
    lines.close()
    return found


async def _check(texts: list[bytes], is_ended: bool) -> None:
    clock = VirtualClock()
    store = open_store(None, clock)
    blobs = store.blobs
    data = b"\n".join(texts) + (b"\n" if is_ended else b"")
    blob = await blobs.put([data])
    whole = await _read(blobs, blob.name, clock, Place())
    wanted = [(number, text) for number, text in enumerate(data.split(b"\n"), 1) if text.strip()]
    assert [(line.number, line.data.rstrip(b"\n")) for line in whole] == wanted
    for place, line in enumerate(whole):
        assert await _read(blobs, blob.name, clock, line.after) == whole[place + 1 :]
    await store.close()


@settings(deadline=None, max_examples=40)
@given(TEXTS, st.booleans())
def test_lines_go_on_where_they_were_left(texts: list[bytes], is_ended: bool) -> None:
    asyncio.run(_check(texts, is_ended))


async def test_a_line_without_end_is_cut_into_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_lines, "LINE_BYTES_MAX", PIECE_BYTES)
    clock = VirtualClock()
    store = open_store(None, clock)
    blobs = store.blobs
    blob = await blobs.put([b"x" * (3 * PIECE_BYTES), b"\n{}\n"])
    found = await _read(blobs, blob.name, clock, Place())
    assert max(len(line.data) for line in found) == PIECE_BYTES + 1
    assert [object_in(line) for line in found] == [None, None, None, {}]
    await store.close()


def test_a_byte_order_mark_begins_a_file_and_no_line() -> None:
    marked = b"\xef\xbb\xbf{}"
    assert object_in(Line(1, Place(), marked)) == {}
    assert object_in(Line(2, Place(), marked)) is None
