"""Exchanges that wait to be counted: nobody who reads sees that they do."""

from __future__ import annotations

import asyncio
import gc
import weakref

from fakeai_proxy.app import App
from fakeai_proxy.body import Body
from fakeai_proxy.exchange import Exchange, Request
from fakeai_proxy.observe.gathering import (
    WAITING_BYTES_MAX,
    WAITING_MAX,
    Gathered,
    Gathering,
)
from tests.conftest import Serve
from tests.observe.asking import chat


class Counting(Gathered):
    def __init__(self) -> None:
        self._ids: list[str] = []

    def finished(self, exchange: Exchange) -> None:
        self._ids.append(exchange.id)

    def read(self) -> list[str]:
        self.catch_up()
        return self._ids


def exchange(number: int, body: bytes = b"") -> Exchange:
    return Exchange(f"req_{number}", Request("POST", "/v1/x", (), Body(body)), 0.0, end="ok")


def test_whoever_reads_finds_all_of_them_in_order_and_each_once() -> None:
    one, other = Counting(), Counting()
    gathering = Gathering((one, other))
    for number in range(3 * WAITING_MAX + 1):
        gathering.finished(exchange(number))
        if number % 50 == 7:
            assert one.read()[-1] == f"req_{number}"
    assert one.read() == other.read() == [f"req_{n}" for n in range(3 * WAITING_MAX + 1)]


def test_large_bodies_do_not_wait() -> None:
    gathering = Gathering((Counting(),))
    large = exchange(1, bytes(WAITING_BYTES_MAX))
    gone = weakref.ref(large.request.body)
    gathering.finished(large)
    del large
    gc.collect()
    assert gone() is None


async def test_counts_agree_at_any_time_and_after_a_reset(serve: Serve) -> None:
    app = await serve(mode="synth", profile="none")

    def counted(app: App) -> set[int]:
        requests = sum(cell.requests for cell in app.aggregates.sums().cells.values())
        return {requests, app.journal.finished_total, app.exchanges.copy().by_kind.total()}

    for number in range(1, 2 * WAITING_MAX + 3):
        await chat(app)
        if number % 9 == 0:
            assert counted(app) == {number}
    app.aggregates.reset()
    app.journal.reset()
    assert app.journal.finished_total == 0
    assert not app.aggregates.sums().cells
    await asyncio.gather(*[chat(app) for _ in range(5)])
    assert app.journal.finished_total == 5
    assert sum(cell.requests for cell in app.aggregates.sums().cells.values()) == 5
