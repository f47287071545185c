"""Bad lines on a virtual clock: when bytes leave, whoever wrote them and whenever."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.clock import VirtualClock, turn
from fakeai_proxy.exchange import Reply
from fakeai_proxy.shaping.faults.link import Link
from fakeai_proxy.shaping.pacing import Scheduler
from tests.conftest import Ended
from tests.shaping.test_faults_everywhere import CHAT, STREAM, WHOLE, source
from tests.test_pipeline import Screen


class Recorder(Screen):
    """Notes when each byte came."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self.clock = clock
        self.came: list[tuple[float, bytes]] = []

    @property
    def sink(self) -> Recorder:
        return self

    def write(self, data: bytes) -> None:
        self.came.append((self.clock.now(), data))

    @property
    def whole(self) -> bytes:
        return b"".join(data for _, data in self.came)


class Wire:
    """A link over a recorder, on a clock that the test moves."""

    def __init__(self) -> None:
        self.clock = VirtualClock(autojump=False)
        self.screen = Recorder(self.clock)
        self.scheduler = Scheduler(self.clock)
        self.link = Link(self.screen, self.scheduler, self.clock)

    def frame(self, data: bytes) -> None:
        self.link.write(self.link.frame(data))

    @property
    def instants(self) -> list[tuple[float, bytes]]:
        return [(round(at, 6), data) for at, data in self.screen.came]


REPLY = Reply(200, (), [])


async def test_everything_comes_later_and_keeps_its_rhythm() -> None:
    wire = Wire()
    wire.link.delay_s = 2.0
    wire.link.write(wire.link.head(REPLY))
    for _ in range(3):
        wire.clock.advance(0.5)
        wire.frame(b"x")
    wire.clock.advance(10)
    assert wire.instants == [(2.0, b"<"), (2.5, b"x"), (3.0, b"x"), (3.5, b"x")]
    assert wire.link.first_byte_at == 2.0


async def test_slow_stretches_what_follows_the_first_byte() -> None:
    wire = Wire()
    wire.link.stretch = 3.0
    wire.clock.advance(1.0)
    wire.link.write(wire.link.head(REPLY))
    wire.clock.advance(1.0)
    wire.frame(b"x")
    wire.clock.advance(10)
    assert wire.instants == [(1.0, b"<"), (4.0, b"x")]


async def test_a_stall_holds_back_and_then_everything_comes_at_once() -> None:
    wire = Wire()
    wire.link.holds[1] = 5.0
    wire.link.write(wire.link.head(REPLY))
    for piece in (b"a", b"b", b"c"):
        wire.clock.advance(1.0)
        wire.frame(piece)
    wire.clock.advance(20)
    wire.frame(b"d")
    assert wire.instants == [(0.0, b"<"), (1.0, b"a"), (6.0, b"b"), (6.0, b"c"), (23.0, b"d")]


async def test_a_stall_within_one_write_cuts_it_where_it_belongs() -> None:
    wire = Wire()
    wire.link.holds[1] = 5.0
    joined = (
        wire.link.head(REPLY) + wire.link.frame(b"one") + wire.link.frame(b"two") + wire.link.tail()
    )
    wire.link.write(joined)
    wire.clock.advance(10)
    assert wire.instants == [(0.0, b"<one"), (5.0, b"two>")]


async def test_bytes_trickle_without_drift() -> None:
    wire = Wire()
    wire.link.piece_bytes, wire.link.piece_s = 2, 0.1
    wire.link.write(b"abcdefg")
    for _ in range(100):
        wire.clock.advance(0.033)
    assert [data for _, data in wire.screen.came] == [b"ab", b"cd", b"ef", b"g"]
    assert [round(at, 6) for at, _ in wire.screen.came] == [0.0, 0.1, 0.2, 0.3]


@given(
    writes=st.lists(st.tuples(st.floats(0, 3), st.binary(min_size=1, max_size=40)), max_size=20),
    delay_s=st.floats(0, 5),
    stretch=st.floats(1, 4),
    piece=st.integers(0, 7),
    holds=st.dictionaries(st.integers(0, 19), st.floats(0.1, 4)),
)
async def test_any_mixture_sends_every_byte_in_order_and_none_early(
    writes: list[tuple[float, bytes]],
    delay_s: float,
    stretch: float,
    piece: int,
    holds: dict[int, float],
) -> None:
    wire = Wire()
    link = wire.link
    link.delay_s, link.stretch, link.holds = delay_s, stretch, holds
    link.piece_bytes, link.piece_s = piece, 0.01 if piece else 0.0
    link.write(link.head(REPLY))
    sent_at: list[float] = [0.0]
    for gap_s, data in writes:
        wire.clock.advance(gap_s)
        sent_at += [wire.clock.now()] * len(data)
        wire.frame(data)
    wire.clock.advance(10_000)
    assert wire.screen.whole == b"<" + b"".join(data for _, data in writes)
    came_at = [at for at, data in wire.screen.came for _ in data]
    assert came_at == sorted(came_at)
    assert all(came >= sent + delay_s - 1e-6 for came, sent in zip(came_at, sent_at, strict=True))
    assert link.get_write_buffer_size() == 0
    assert not wire.scheduler._heap


async def test_a_writer_ahead_of_a_slow_line_is_told_so() -> None:
    wire = Wire()
    wire.link.piece_bytes, wire.link.piece_s = 1000, 1.0
    wire.link.write(b"x" * 200_000)
    assert wire.link.get_write_buffer_size() == 199_000
    draining = asyncio.ensure_future(wire.link.drain())
    for _ in range(100):
        wire.clock.advance(1.0)
        await turn()
    assert not draining.done()
    for _ in range(40):
        wire.clock.advance(1.0)
        await turn()
    assert draining.done()


async def test_a_line_that_is_closed_forgets_what_has_not_left() -> None:
    wire = Wire()
    wire.link.delay_s = 3.0
    wire.link.write(b"never")
    wire.link.close()
    wire.clock.advance(10)
    assert wire.screen.came == []
    assert not wire.scheduler._heap


async def first_and_last(url: str, clock: VirtualClock, body: bytes) -> tuple[float, float, bytes]:
    """When an answer began and ended, in seconds since it was asked for."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    asked_at = clock.now()
    writer.write(
        f"POST {CHAT} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer any\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    answer = await reader.read(1)
    began = clock.now()
    answer += await reader.read()
    ended = clock.now()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return began - asked_at, ended - asked_at, answer


@pytest.mark.parametrize("timing", ["recorded", "profile", "none"])
@pytest.mark.parametrize("body", [STREAM, WHOLE], ids=["stream", "whole"])
async def test_faults_of_time_add_to_any_timing(timing: str, body: bytes, tmp_path: Path) -> None:
    clock, ended = VirtualClock(), Ended()
    async with source("synth", clock, ended, tmp_path, timing=timing) as app:
        plain = await first_and_last(app.url, clock, body)
        app.faults.replace(["latency:ms=1500"])
        later = await first_and_last(app.url, clock, body)
        assert [
            late - soon for late, soon in zip(later[:2], plain[:2], strict=True)
        ] == pytest.approx([1.5, 1.5], abs=0.01)
        one = ended.exchanges[-1]
        assert one.first_byte_at is not None
        assert one.first_byte_at - one.arrived_at == pytest.approx(later[0], abs=0.01)
        app.faults.replace(["stall:after=10,s=100"])
        stalled = await first_and_last(app.url, clock, body)
        assert stalled[0] == pytest.approx(plain[0], abs=0.01)
        assert 100 <= stalled[1] <= plain[1] + 100.01
        app.faults.replace(
            ["latency:ms=700,also=true", "bandwidth:bytes_per_s=100,also=true", "slow_close:s=9"]
        )
        began, over, answer = await first_and_last(app.url, clock, body)
        assert began == pytest.approx(plain[0] + 0.7, abs=0.01)
        assert over == pytest.approx(began + len(answer) / 100 + 9, rel=0.05)


async def test_a_client_that_leaves_a_silent_line_frees_everything(tmp_path: Path) -> None:
    clock, ended = VirtualClock(), Ended()
    async with source("synth", clock, ended, tmp_path, fault=("stall:after=1",)) as app:
        host, _, port = app.url.removeprefix("http://").rpartition(":")
        before = asyncio.all_tasks()
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"POST {CHAT} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer any\r\n"
        head += f"Content-Length: {len(STREAM)}"
        writer.write(f"{head}\r\n\r\n".encode() + STREAM)
        await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
        while not ended.exchanges:
            await turn()
        assert ended.exchanges[0].end == "client_gone"
        for _ in range(50):
            await turn()
        left = {task for task in asyncio.all_tasks() - before if "_jump" not in repr(task)}
        assert not left


async def test_an_error_meets_a_bad_line_too(tmp_path: Path) -> None:
    clock, ended = VirtualClock(), Ended()
    rules = ("latency:ms=2000,also=true", "503:retry_after_s=3")
    async with source("synth", clock, ended, tmp_path, fault=rules) as app:
        began, _, answer = await first_and_last(app.url, clock, STREAM)
    assert began == pytest.approx(2.0, abs=0.01)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 3\r\n" in answer
    assert (ended.exchanges[0].end, ended.exchanges[0].status) == ("error", 503)


async def test_latency_has_a_distribution_that_is_the_same_in_every_run(tmp_path: Path) -> None:
    clock, ended = VirtualClock(), Ended()
    rules = ("latency:ms=1000,sigma=0.5",)
    runs = []
    for _ in range(2):
        async with source("synth", clock, ended, tmp_path, fault=rules, profile="none") as app:
            bodies = [STREAM.replace(b"Tell me", b"Tell %d" % k) for k in range(25)]
            runs.append([(await first_and_last(app.url, clock, body))[0] for body in bodies])
    assert runs[0] == pytest.approx(runs[1], abs=1e-6)
    assert len(set(runs[0])) == 25
    assert 0.5 < sorted(runs[0])[12] < 1.6


async def test_latency_goes_by_the_size_of_the_request(tmp_path: Path) -> None:
    clock, ended = VirtualClock(), Ended()
    async with source(
        "synth", clock, ended, tmp_path, fault=("latency:ms=0,per_kb_ms=100",), profile="none"
    ) as app:
        long = STREAM.replace(b"Tell me", b"Tell me " * 1000)
        took = [(await first_and_last(app.url, clock, body))[0] for body in (STREAM, long)]
    assert took == pytest.approx([len(STREAM) / 1e4, len(long) / 1e4], abs=0.001)


async def test_a_line_that_is_given_up_is_not_kept_until_its_time_comes() -> None:
    wire = Wire()
    wire.link.delay_s = 1e6
    wire.link.write(b"never")
    wire.link.close()
    gone = weakref.ref(wire.link)
    del wire.link
    gc.collect()
    assert gone() is None
