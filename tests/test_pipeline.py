"""The life of an exchange, with a source, a pacer and a client of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest

from fakeai_proxy.body import Body
from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.dice import Dice
from fakeai_proxy.errors import ApiError, StreamCut, server_error
from fakeai_proxy.exchange import LIVE, Chunk, Exchange, Reply, Request
from fakeai_proxy.pipeline import Pipeline
from fakeai_proxy.shaping.pacing import Pacer, PacingSettings
from fakeai_proxy.shaping.scheduler import Scheduler
from tests.conftest import Ended


class Screen:
    """A client that keeps what it is sent."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.was_cut = False
        self.gone = False

    @property
    def sink(self) -> Screen:
        return self

    def write(self, data: bytes) -> None:
        self.seen.append(data)

    def is_closing(self) -> bool:
        return self.gone

    def get_write_buffer_size(self) -> int:
        return 0

    def head(self, reply: Reply) -> bytes:
        return b"<"

    def frame(self, data: bytes) -> bytes:
        return data

    def tail(self) -> bytes:
        return b">"

    async def drain(self) -> None: ...

    def cut(self) -> None:
        self.was_cut = True

    def reset(self) -> None: ...

    def downgrade(self) -> None: ...

    def close_after(self) -> None: ...


class Tape:
    """A source that answers with what the test gives it."""

    def __init__(self, answer: Callable[[Exchange], Reply | Awaitable[Reply]]) -> None:
        self.answer = answer

    async def reply(self, exchange: Exchange) -> Reply:
        made = self.answer(exchange)
        return made if isinstance(made, Reply) else await made

    async def close(self) -> None: ...


class Bench:
    def __init__(self, answer: Callable[[Exchange], Reply | Awaitable[Reply]]) -> None:
        clock = VirtualClock()
        self.ended = Ended()
        self.client = Screen()
        self.exchange = Exchange("req_1", Request("GET", "/", (), Body()), 0.0)
        pacer = Pacer(PacingSettings(), None, Scheduler(clock), clock, Dice())
        self.pipeline = Pipeline(Tape(answer), pacer, clock, [self.ended])

    async def run(self) -> None:
        await self.pipeline.serve(self.exchange, self.client)


def scripted(*pieces: bytes, cut: bool = False) -> Reply:
    return Reply(200, (), [Chunk(piece, 1) for piece in pieces], cut=cut)


async def test_a_scripted_reply_goes_out_whole() -> None:
    bench = Bench(lambda _: scripted(b"a", b"b"))
    await bench.run()
    assert b"".join(bench.client.seen) == b"<ab>"
    assert [(one.end, one.status, one.sent_bytes) for one in bench.ended.exchanges] == [
        ("ok", 200, 2)
    ]


async def test_a_live_reply_sends_its_head_before_its_first_chunk() -> None:
    first_asked = asyncio.Event()
    go_on = asyncio.Event()

    async def chunks() -> AsyncGenerator[Chunk]:
        first_asked.set()
        await go_on.wait()
        yield Chunk(b"a")

    bench = Bench(lambda _: Reply(200, (), chunks(), provenance=LIVE))
    running = asyncio.ensure_future(bench.run())
    await first_asked.wait()
    assert bench.client.seen == [b"<"]
    go_on.set()
    await running
    assert b"".join(bench.client.seen) == b"<a>"


async def test_an_error_before_the_head_reaches_the_caller_and_the_observers() -> None:
    async def fail() -> Reply:
        raise server_error()

    bench = Bench(lambda _: fail())
    with pytest.raises(ApiError):
        await bench.run()
    assert [(one.end, one.status) for one in bench.ended.exchanges] == [("error", 500)]
    assert bench.client.seen == []


async def test_a_cut_upstream_cuts_the_client() -> None:
    async def chunks() -> AsyncGenerator[Chunk]:
        yield Chunk(b"a")
        raise StreamCut("reset")

    bench = Bench(lambda _: Reply(200, (), chunks(), provenance=LIVE))
    await bench.run()
    assert bench.client.was_cut
    assert b"".join(bench.client.seen) == b"<a"
    assert bench.ended.exchanges[0].end == "cut"


async def test_an_interrupted_recording_ends_in_a_cut() -> None:
    bench = Bench(lambda _: scripted(b"a", cut=True))
    await bench.run()
    assert bench.client.was_cut
    assert b"".join(bench.client.seen) == b"<a"


async def test_a_client_that_leaves_closes_the_live_source_at_once() -> None:
    closed = asyncio.Event()
    asked = asyncio.Event()

    async def chunks() -> AsyncGenerator[Chunk]:
        try:
            yield Chunk(b"a")
            asked.set()
            await asyncio.Event().wait()
        finally:
            closed.set()

    bench = Bench(lambda _: Reply(200, (), chunks(), provenance=LIVE))
    running = asyncio.ensure_future(bench.run())
    await asked.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert closed.is_set()
    assert bench.ended.exchanges[0].end == "client_gone"


async def test_late_chunks_know_their_admission() -> None:
    def answer(exchange: Exchange) -> Reply:
        exchange.admission.cached_tokens = 7
        return Reply(200, (), [Chunk(lambda admission: b"%d" % admission.cached_tokens)])

    bench = Bench(answer)
    await bench.run()
    assert b"".join(bench.client.seen) == b"<7>"
