from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.body import SPOOL_BYTES, Body
from fakeai_proxy.errors import ApiError


async def arriving(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def collect(body: Body) -> bytes:
    return b"".join([piece async for piece in body.chunks()])


@given(st.lists(st.binary(min_size=1), max_size=6), st.integers(0, 6))
async def test_a_kept_body_reads_the_same_every_time(pieces: list[bytes], early: int) -> None:
    body = Body(arriving(pieces))
    body.keep()
    seen = 0
    async for _ in body.chunks():
        seen += 1
        if seen >= early:
            break
    whole = b"".join(pieces)
    assert await collect(body) == whole
    assert await collect(body) == whole
    assert body.complete
    assert await body.read(10_000) == whole


async def test_a_large_kept_body_is_not_held_in_memory() -> None:
    body = Body(arriving([b"x" * (SPOOL_BYTES // 2)] * 5))
    body.keep()
    await body.finish()
    assert body.in_memory is None
    assert len(await collect(body)) == body.size == SPOOL_BYTES // 2 * 5
    body.close()


@pytest.mark.parametrize("length", [None, 30])
async def test_more_than_the_limit_is_a_413(length: int | None) -> None:
    with pytest.raises(ApiError) as caught:
        await Body(arriving([b"0123456789"] * 3), length).read(25)
    assert caught.value.status == 413


async def test_a_body_that_is_not_kept_is_gone_once_read() -> None:
    body = Body(arriving([b"a", b"b"]))
    assert await collect(body) == b"ab"
    assert await collect(body) == b""
