"""The feed of samples: what it counts, when it begins, and that processes are one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.app import App
from fakeai_proxy.body import Body
from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.exchange import Admission, Exchange, Reply, Request, Workload
from fakeai_proxy.observe.live import HISTORY_S, Live, Second
from fakeai_proxy.observe.marks import Marks
from fakeai_proxy.shared.commons import Commons
from tests.conftest import Serve
from tests.observe.asking import ask, chat

LIVE = "/_fakeai/v1/live"
STREAM = ((b"content-type", b"text/event-stream; charset=utf-8"),)


def exchange(finished_at: float, **facts: Any) -> Exchange:
    request = Request("POST", "/v1/chat/completions", (), Body(b""))
    made = Exchange("req_1", request, finished_at - 1.0)
    made.reply = Reply(200, STREAM, [], workload=Workload("gpt-4o", [1] * 10, 11))
    made.admission = Admission("quick-0", 4, 0.25)
    made.status, made.end, made.first_byte_at, made.finished_at = (
        200,
        "ok",
        finished_at - 0.5,
        finished_at,
    )
    for name, value in facts.items():
        setattr(made, name, value)
    return made


async def events(app: App, until: str, most: int = 20) -> list[tuple[str, dict[str, Any]]]:
    """What the feed says first, up to an event of that name."""
    found: list[tuple[str, dict[str, Any]]] = []
    async with following(app) as feed:
        async for event in feed:
            found.append(event)
            if event[0] == until or len(found) >= most:
                break
    return found


@asynccontextmanager
async def following(app: App) -> AsyncIterator[AsyncIterator[tuple[str, dict[str, Any]]]]:
    async with aiohttp.ClientSession() as session, session.get(app.url + LIVE) as reply:
        assert reply.status == 200
        assert reply.content_type == "text/event-stream"

        async def feed() -> AsyncGenerator[tuple[str, dict[str, Any]]]:
            name = ""
            async for line in reply.content:
                if line.startswith(b"event: "):
                    name = line[7:-1].decode()
                elif line.startswith(b"data: "):
                    yield name, json.loads(line[6:])

        async with aclosing(feed()) as told:
            yield told


def live(clock: VirtualClock | None = None) -> Live:
    clock = clock or VirtualClock()
    return Live(clock, Commons(), Marks(clock))


async def samples(of: Live, until: int = HISTORY_S) -> list[dict[str, Any]]:
    return await of._samples(-1, until)


async def test_an_exchange_is_counted_in_the_second_in_which_it_ended() -> None:
    counting = live()
    counting.finished(exchange(7.25))
    counting.finished(exchange(7.75, status=429, end="error", reply=None))
    counting.finished(exchange(9.0, end="cut", faults=("cut:after=1",)))
    first, second = await samples(counting)
    assert (first["at"], first["requests"], first["outcomes"]) == (7, 2, {"2xx": 1, "429": 1})
    assert first["sources"] == {"SYNTH": 1, "none": 1}
    assert (first["prompt_tokens"], first["cached_tokens"], first["output_tokens"]) == (10, 4, 11)
    assert first["ttft_ms"]["p50"] == pytest.approx(500, rel=0.03)
    assert first["itl_ms"]["p99"] == pytest.approx(50, rel=0.03)
    assert first["total_ms"]["p90"] == pytest.approx(1000, rel=0.03)
    assert first["queue_ms"]["p50"] == pytest.approx(250, rel=0.03)
    assert (second["at"], second["outcomes"], second["faulty"]) == (9, {"cut": 1}, 1)


async def test_a_whole_answer_has_no_first_token() -> None:
    counting = live()
    whole = Reply(200, (), [], workload=Workload("gpt-4o", [1], 5))
    counting.finished(exchange(1.5, reply=whole))
    [only] = await samples(counting)
    assert "ttft_ms" not in only
    assert "itl_ms" not in only
    assert "total_ms" in only


async def test_a_second_that_is_not_over_is_not_told() -> None:
    counting = live()
    counting.finished(exchange(3.5))
    assert await samples(counting, until=2) == []
    assert len(await samples(counting, until=3)) == 1


async def test_no_more_than_a_quarter_of_an_hour_is_kept() -> None:
    counting = live()
    for second in range(HISTORY_S + 50):
        counting.finished(exchange(second + 1.5))
    assert len(counting._seconds) == HISTORY_S


async def test_processes_are_summed() -> None:
    counting, other = live(), live()
    counting.finished(exchange(4.5))
    other.finished(exchange(4.75, status=500))
    other.finished(exchange(5.0))

    async def gather_all(topic: str, values: tuple[Any, ...]) -> list[Any]:
        return [counting._after(*values), other._after(*values)]

    counting._commons.gather_all = gather_all
    first, second = await samples(counting)
    assert (first["requests"], first["outcomes"]) == (2, {"2xx": 1, "5xx": 1})
    assert second["requests"] == 1
    assert (first["ttft_ms"]["p50"], first["queue_ms"]["p50"]) == (500, 250)  # of one: its own
    assert counting._seconds[0].requests.total() == 1  # its own is as it was


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["2xx", "429"])), max_size=30))
def test_adding_seconds_loses_nothing(parts: list[tuple[int, str]]) -> None:
    whole, sums = Second(0), [Second(0) for _ in range(4)]
    for which, outcome in parts:
        for one in (whole, sums[which]):
            one.requests["SYNTH", outcome] += 1
            one.ttft.add(which)
            one.output_tokens += which
    total = Second(0)
    for one in sums:
        total.add(one)
    assert (total.requests, total.output_tokens) == (whole.requests, whole.output_tokens)
    assert total.ttft.bins == whole.ttft.bins


async def test_the_feed_begins_with_what_was_before_anybody_looked(serve: Serve) -> None:
    app = await serve(profile="quick")
    await chat(app, stream=True)
    samples: list[dict[str, Any]] = []
    async with following(app) as feed:
        begin = [await anext(feed) for _ in range(3)]
        assert [name for name, _ in begin] == ["history", "fleet", "marks"]
        assert begin[1][1]["workers"][0]["kv_blocks"] > 0
        samples += begin[0][1]["samples"]
        while not any("requests" in sample for sample in samples) or "fleet" not in samples[-1]:
            name, data = await anext(feed)
            samples += [data] if name == "sample" else []
    assert sum(sample.get("requests", 0) for sample in samples) == 1
    assert set(samples[-1]["fleet"]["gpus"]) == {"quick-0", "quick-1"}


async def test_what_answers_cost_is_told_as_the_bills_tell_it(serve: Serve) -> None:
    app = await serve()
    for _ in range(3):
        await chat(app)
    told = dict(await events(app, "sample"))
    bills = [entry["cost_usd"] for entry in (await ask(app, "/_fakeai/v1/journal")).body["data"]]
    assert sum(bills) > 0
    assert told["sample"]["cost_usd"] == pytest.approx(sum(bills))


async def test_without_a_fleet_there_is_none_in_the_feed(serve: Serve) -> None:
    app = await serve()
    told = await events(app, "sample")
    assert "fleet" not in [name for name, _ in told]
    assert "fleet" not in told[-1][1]


async def test_two_who_look_read_the_fleet_once_a_second(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = await serve(profile="quick")
    asked: list[str] = []
    gather = app.commons.gather

    async def counted(topic: str, *values: object) -> list[Any]:
        asked.append(topic)
        return await gather(topic, *values)

    monkeypatch.setattr(app.commons, "gather", counted)
    await asyncio.gather(events(app, "marks"), events(app, "marks"))
    seconds = {second for second, _ in app.live._gauges} | {app.live._read_at}
    assert asked.count("fleet") == asked.count("used") == len(seconds)


async def test_nothing_runs_while_nobody_looks(serve: Serve) -> None:
    clock = VirtualClock()
    app = await serve(clock, profile="quick")
    await events(app, "marks")
    before = len(app.live._gauges)
    clock.advance(30)
    assert len(app.live._gauges) == before


async def test_a_reset_forgets_samples_and_marks(serve: Serve) -> None:
    app = await serve()
    await chat(app)
    await ask(app, "/_fakeai/v1/marks", "POST", {"note": "here"})
    assert "live" in (await ask(app, "/_fakeai/v1/reset", "POST")).body["reset"]
    told = dict(await events(app, "marks"))
    assert (told["history"]["samples"], told["marks"]["data"]) == ([], [])
