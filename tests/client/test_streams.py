"""The streams of the client: what comes, where one goes on after a loss, and how they end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from fakeai_proxy.client import (
    AsyncControl,
    Control,
    InvalidRequestError,
    NotAllowedError,
    UnreachableError,
)
from fakeai_proxy.client.streams import Feed
from fakeai_proxy.observe import feed
from fakeai_proxy.observe.fleet_shapes import Fleet
from fakeai_proxy.observe.live_shapes import History, Sample
from fakeai_proxy.observe.shapes import Marks
from tests.conftest import Serve
from tests.observe.asking import chat
from tests.observe.test_journal import exchange

HEAD = b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
HELLO = b"retry: 1000\n: hello\nid: a-0\n\n"
NUMBERS = Feed("/numbers", {"number": json.loads})


def number(value: int, last_id: str = "") -> bytes:
    place = f"id: {last_id}\n" if last_id else ""
    return f"{place}event: number\ndata: {value}\n\n".encode()


@asynccontextmanager
async def scripted(*replies: bytes) -> AsyncIterator[tuple[str, list[str]]]:
    """A server that answers so, one connection after the other, and cuts each; its URL, and the places
    where its readers wanted to go on."""
    asked: list[str] = []
    left = list(replies)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        found = [line.partition(": ")[2] for line in head if line.lower().startswith("last-event")]
        asked.append("".join(found))
        writer.write(HEAD + left.pop(0) if left else b"HTTP/1.0 503 gone\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


async def numbers(url: str, kind: str, count: int) -> tuple[list[int], str, int]:
    """So many, where the stream was then, and how many it had missed."""
    if kind == "awaited":
        async with AsyncControl(url).stream(NUMBERS) as stream:
            return [await anext(stream) for _ in range(count)], stream.last_id, stream.missed

    def read() -> tuple[list[int], str, int]:
        with Control(url).stream(NUMBERS) as stream:
            return [next(stream) for _ in range(count)], stream.last_id, stream.missed

    return await asyncio.to_thread(read)


@pytest.mark.parametrize("kind", ["awaited", "blocking"])
async def test_a_lost_stream_goes_on_where_it_was(kind: str) -> None:
    lagged = b'event: lagged\ndata: {"missed": 3}\n\n'
    first = HELLO + number(1) + number(2, "a-2") + number(3) + b"event: num"
    second = HELLO.replace(b"a-0", b"a-2") + number(3) + lagged + number(4, "a-7") + number(5)
    async with scripted(first, second) as (url, asked):
        assert await numbers(url, kind, 5) == ([1, 2, 3, 4, 5], "a-7", 3)
    assert asked == ["", "a-2"]


@pytest.mark.parametrize("kind", ["awaited", "blocking"])
async def test_a_stream_that_ends_at_once_is_not_asked_for_ever(kind: str) -> None:
    async with scripted(*[HELLO] * 9) as (url, asked):
        with pytest.raises(UnreachableError, match="the stream ended"):
            await numbers(url, kind, 1)
    assert len(asked) == 1
    async with scripted(HELLO + number(1)) as (url, _):
        with pytest.raises(Exception, match="503"):
            await numbers(url, kind, 2)


async def test_the_journal_is_told_as_it_grows(serve: Serve) -> None:
    app = await serve(journal_size=100)
    control = AsyncControl(app.url)
    async with control.follow_journal(status="4xx") as entries:
        app.journal.finished(exchange(1))
        app.journal.finished(exchange(2, status=429, end="error"))
        found = await anext(entries)
        assert (found.id, found.status) == ("req_2", 429)
        place = entries.last_id
    app.journal.finished(exchange(3))

    def rest() -> list[str]:
        with Control(app.url).follow_journal(last_id=place) as later:
            return [next(later).id, next(later).id]

    app.journal.finished(exchange(4))
    assert await asyncio.to_thread(rest) == ["req_3", "req_4"]


async def test_a_reader_that_is_too_slow_knows_what_it_missed(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "BEHIND_MAX", 3)
    app = await serve(journal_size=100)
    async with AsyncControl(app.url).follow_journal() as entries:
        for made in range(10):
            app.journal.finished(exchange(made))
        assert ((await anext(entries)).id, entries.missed) == ("req_7", 7)


async def test_what_happens_is_told_second_by_second(serve: Serve) -> None:
    app = await serve(profile="quick")
    await chat(app, stream=True)
    seconds: list[Sample] = []
    async with AsyncControl(app.url).live() as told:
        history, fleet, marks = [await anext(told) for _ in range(3)]
        assert isinstance(history, History)
        assert isinstance(fleet, Fleet)
        assert isinstance(marks, Marks)
        seconds += history.samples
        while not any(second.requests for second in seconds):
            event = await anext(told)
            seconds += [event] if isinstance(event, Sample) else []
    busy = next(second for second in seconds if second.requests)
    assert (busy.requests, busy.outcomes) == (1, {"2xx": 1})
    assert busy.ttft_ms is not None
    latest = seconds[-1]
    assert latest.fleet is not None
    assert set(latest.fleet.gpus) == {"quick-0", "quick-1"}
    # Nothing is told that the shapes do not know.
    assert [second.model_extra for second in seconds] == [{}] * len(seconds)
    assert (latest.fleet.model_extra, history.model_extra) == ({}, {})


async def test_refusals_and_ends_are_those_of_other_rows(serve: Serve) -> None:
    app = await serve(admin_token="open sesame")
    control = AsyncControl(app.url, "open sesame")
    with pytest.raises(InvalidRequestError):
        await anext(control.follow_journal(status="ok"))
    with pytest.raises(NotAllowedError):
        await anext(AsyncControl(app.url).live())
    with pytest.raises(NotAllowedError):
        await asyncio.to_thread(next, Control(app.url, "sesame").live())
    stream = control.live()
    await anext(stream)
    await stream.aclose()
    assert [event async for event in stream] == []
    url = app.url
    await app.close()
    for opened in (AsyncControl(url, "open sesame").live(),):
        with pytest.raises(UnreachableError, match="does not answer"):
            await anext(opened)
    with pytest.raises(UnreachableError, match="does not answer"):
        await asyncio.to_thread(next, Control(url).live())
