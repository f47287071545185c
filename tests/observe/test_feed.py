"""The live feed of the journal: what is told, to whom, and from where on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fakeai_proxy.app import App
from fakeai_proxy.observe import feed
from tests.conftest import Serve
from tests.observe.asking import ask, chat
from tests.observe.test_journal import exchange

FEED = "/_fakeai/v1/journal/stream"


class Reader:
    """Of server-sent events."""

    def __init__(self, stream: asyncio.StreamReader) -> None:
        self._stream = stream
        self.last_id = ""

    async def next(self) -> tuple[str, Any]:
        """The next event, as its name and data; comments are passed over."""
        event = ""
        async with asyncio.timeout(20):
            while True:
                line = (await self._stream.readline()).decode().rstrip("\n")
                name, _, value = line.partition(": ")
                if name == "event":
                    event = value
                elif name == "id":
                    self.last_id = value
                elif name == "data":
                    return event, json.loads(value)

    async def ids(self, count: int) -> list[str]:
        return [(await self.next())[1]["id"] for _ in range(count)]

    async def line(self) -> str:
        async with asyncio.timeout(20):
            return (await self._stream.readline()).decode().rstrip("\n")


@asynccontextmanager
async def reading(app: App, query: str = "", last_id: str = "") -> AsyncIterator[Reader]:
    """HTTP/1.0, so that there are no chunks around the events."""
    port = int(app.url.rpartition(":")[2])
    stream, writer = await asyncio.open_connection("127.0.0.1", port)
    resume = f"last-event-id: {last_id}\r\n" if last_id else ""
    writer.write(f"GET {FEED}{query} HTTP/1.0\r\nhost: 127.0.0.1\r\n{resume}\r\n".encode())
    head = await stream.readuntil(b"\r\n\r\n")
    assert b"200 OK" in head, head
    assert b"text/event-stream" in head
    reader = Reader(stream)
    assert await reader.line() == "retry: 1000"
    assert (await reader.line()).startswith(":")
    reader.last_id = (await reader.line()).removeprefix("id: ")
    yield reader
    writer.close()


async def test_a_finished_exchange_comes_as_its_entry(serve: Serve) -> None:
    app = await serve()
    await chat(app)
    async with reading(app) as reader:
        reply = await chat(app)
        event, entry = await reader.next()
        assert (event, entry["id"]) == ("exchange", reply.headers["x-request-id"])
        page = await ask(app, "/_fakeai/v1/journal")
        assert entry == page.body["data"][0]


async def test_a_reader_goes_on_where_it_left_off(serve: Serve) -> None:
    app = await serve()
    async with reading(app) as reader:
        app.journal.finished(exchange(1))
        assert await reader.ids(1) == ["req_1"]
    for number in (2, 3):
        app.journal.finished(exchange(number))
    async with reading(app, last_id=reader.last_id) as again:
        assert await again.ids(2) == ["req_2", "req_3"]
    async with reading(app, last_id="of-somebody-else") as stranger:
        app.journal.finished(exchange(4))
        assert await stranger.ids(1) == ["req_4"]


async def test_filters_choose(serve: Serve) -> None:
    app = await serve()
    async with reading(app, "?status=4xx") as reader:
        app.journal.finished(exchange(1))
        app.journal.finished(exchange(2, status=429, end="error"))
        assert await reader.ids(1) == ["req_2"]
    wrong = await ask(app, f"{FEED}?status=ok")
    assert (wrong.status, wrong.body["error"]["param"]) == (400, "status")


async def test_who_is_far_behind_is_told_what_was_missed(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "BEHIND_MAX", 3)
    app = await serve(journal_size=100)
    async with reading(app) as reader:
        for number in range(10):
            app.journal.finished(exchange(number))
        assert await reader.next() == ("lagged", {"missed": 7})
        assert await reader.ids(3) == ["req_7", "req_8", "req_9"]


async def test_many_come_in_pieces_and_in_order(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "PIECE_MAX", 4)
    app = await serve()
    async with reading(app) as reader:
        for number in range(25):
            app.journal.finished(exchange(number))
        assert await reader.ids(25) == [f"req_{number}" for number in range(25)]


async def test_a_reset_does_not_lose_what_comes_after_it(serve: Serve) -> None:
    app = await serve()
    async with reading(app) as reader:
        for number in range(3):
            app.journal.finished(exchange(number))
        await reader.ids(3)
        await ask(app, "/_fakeai/v1/journal", "DELETE")
        app.journal.finished(exchange(9))
        assert await reader.ids(1) == ["req_9"]
        assert "," not in reader.last_id


async def test_silence_has_a_heartbeat(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "HEARTBEAT_REAL_S", feed.ASK_REAL_S)
    app = await serve()
    async with reading(app) as reader:
        assert await reader.line() == ""
        assert await reader.line() == ": still there"


async def test_who_leaves_before_anything_came_goes_on_there_too(serve: Serve) -> None:
    app = await serve()
    async with reading(app) as reader:
        place = reader.last_id
    app.journal.finished(exchange(1))
    async with reading(app, last_id=place) as again:
        assert await again.ids(1) == ["req_1"]


async def test_an_open_feed_does_not_keep_a_server_from_closing(serve: Serve) -> None:
    app = await serve()
    async with reading(app) as reader:
        async with asyncio.timeout(20):
            await app.close(drain_s=60)
        assert await reader.line() == ""
