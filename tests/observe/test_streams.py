"""Pages that go on: they end with their reader, or with us."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from fakeai_proxy.app import App
from fakeai_proxy.observe import pages
from fakeai_proxy.observe.pages import Answer, Call, Route
from tests.conftest import Serve
from tests.observe.asking import ask

TICKS = "/_fakeai/ticks"


class Ticks:
    """A page that says something whenever it is told to, and notices its end."""

    def __init__(self) -> None:
        self.more = asyncio.Semaphore(2)
        self.ended = asyncio.Event()

    async def _pieces(self) -> AsyncGenerator[bytes]:
        try:
            while True:
                await self.more.acquire()
                yield b"tick\n"
        finally:
            self.ended.set()

    @property
    def route(self) -> Route:
        def page(call: Call) -> Answer:
            return Answer(self._pieces(), content_type="text/plain")

        return Route("GET", TICKS, page, "Ticks.")


@pytest.fixture
async def ticking(serve: Serve) -> tuple[App, Ticks]:
    app, ticks = await serve(), Ticks()
    app.pages.routes = (*app.pages.routes, ticks.route)
    return app, ticks


async def opened(
    app: App, method: str = "GET"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    port = int(app.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{method} {TICKS} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode())
    return reader, writer


async def test_pieces_go_out_as_they_come_and_end_with_the_reader(
    ticking: tuple[App, Ticks],
) -> None:
    app, ticks = ticking
    reader, writer = await opened(app)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert b"chunked" in head
    assert await reader.readexactly(20) == b"5\r\ntick\n\r\n" * 2
    assert not ticks.ended.is_set()
    writer.close()
    await asyncio.wait_for(ticks.ended.wait(), 10)


async def test_closing_ends_them_whole_and_at_once(ticking: tuple[App, Ticks]) -> None:
    app, ticks = ticking
    reader, writer = await opened(app)
    await reader.readuntil(b"tick\n\r\n")
    async with asyncio.timeout(20):
        await app.close(drain_s=60)
        assert (await reader.read()).endswith(b"0\r\n\r\n")
    assert ticks.ended.is_set()
    writer.close()


async def test_head_is_told_of_a_stream_without_one(ticking: tuple[App, Ticks]) -> None:
    app, ticks = ticking
    reply = await ask(app, TICKS, "HEAD")
    assert (reply.status, reply.data) == (200, b"")
    assert not ticks.more.locked()  # it never began


def test_a_page_says_itself_how_long_it_may_be_kept() -> None:
    given = pages._headers("text/css", ((b"cache-control", b"no-cache"),))
    assert [value for name, value in given if name == b"cache-control"] == [b"no-cache"]
