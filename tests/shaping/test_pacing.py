"""The scheduler and the pacer on a virtual clock: exact instants, no waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.body import Body
from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.dice import Dice
from fakeai_proxy.exchange import Chunk, Exchange, Reply, Request, Workload
from fakeai_proxy.profiles import HostedProfile, load_hosted
from fakeai_proxy.shaping.pacing import Pacer, PacingSettings
from fakeai_proxy.shaping.scheduler import SLOW_READER_BYTES, Scheduler
from fakeai_proxy.shaping.timed_pacing import PIECE_BYTES


class Paper:
    """A client that notes what was written and when. `full` makes it a slow reader."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.written: list[tuple[float, bytes]] = []
        self.gone = False
        self.full = False

    @property
    def sink(self) -> Paper:
        return self

    def write(self, data: bytes) -> None:
        self.written.append((round(self.clock.now(), 9), data))

    def is_closing(self) -> bool:
        return self.gone

    def get_write_buffer_size(self) -> int:
        return SLOW_READER_BYTES + 1 if self.full else 0

    def head(self, reply: Reply) -> bytes:
        return b"H"

    def frame(self, data: bytes) -> bytes:
        return data

    def tail(self) -> bytes:
        return b"T"

    async def drain(self) -> None: ...

    def cut(self) -> None: ...

    def reset(self) -> None: ...

    def downgrade(self) -> None: ...

    def close_after(self) -> None: ...


def unheard(at: float) -> None: ...


def exchange(at: float = 0.0) -> Exchange:
    return Exchange("req_1", Request("POST", "/", (), Body()), at, dice_key=b"key")


async def play(
    clock: VirtualClock, chunks: Sequence[Chunk], profile: HostedProfile | None = None, **settings
) -> Paper:
    pacer = Pacer(PacingSettings(**settings), profile, Scheduler(clock), clock, Dice(0))
    paper, one = Paper(clock), exchange()
    tokens = sum(chunk.tokens for chunk in chunks)
    reply = Reply(200, (), chunks, workload=Workload("m", (), tokens))
    async with pacer.admit(one, reply) as pacing:
        await pacing.play(chunks, paper)
    assert one.first_byte_at is not None
    return paper


RECORDED = [Chunk(b"a", 1, 0.5), Chunk(b"b", 1, 0.75), Chunk(b"c", 1, 2.0)]


async def test_recorded_chunks_leave_at_their_own_instants() -> None:
    paper = await play(VirtualClock(), RECORDED)
    assert paper.written == [(0.5, b"Ha"), (0.75, b"b"), (2.0, b"cT")]


async def test_speed_divides_every_offset() -> None:
    paper = await play(VirtualClock(), RECORDED, speed=10)
    assert [at for at, _ in paper.written] == [0.05, 0.075, 0.2]


async def test_timing_none_leaves_at_once_and_whole() -> None:
    paper = await play(VirtualClock(), RECORDED, timing="none")
    assert paper.written == [(0.0, b"HabcT")]


async def test_a_body_of_megabytes_leaves_in_pieces() -> None:
    body = b"0123456789" * 100_000
    paper = await play(VirtualClock(), [Chunk(body, 1)], timing="none")
    written = [data for _, data in paper.written]
    assert b"".join(written) == b"H" + body + b"T"
    assert max(map(len, written)) <= PIECE_BYTES


async def test_timing_profile_overrides_what_was_recorded() -> None:
    profile = load_hosted("openai")
    paper = await play(VirtualClock(), RECORDED, profile, timing="profile")
    instants = [at for at, _ in paper.written]
    assert instants == sorted(instants)
    assert instants != [0.5, 0.75, 2.0]
    assert instants[0] > 0.02


async def test_the_same_exchange_is_paced_the_same_every_time() -> None:
    profile = load_hosted("openai")
    chunks = [Chunk(b"x", 1)] * 20
    assert (await play(VirtualClock(), chunks, profile)).written == (
        await play(VirtualClock(), chunks, profile)
    ).written


async def test_a_whole_body_waits_for_its_last_token() -> None:
    profile = load_hosted("openai")
    one = await play(VirtualClock(), [Chunk(b"body", 50)], profile)
    streamed = await play(VirtualClock(), [Chunk(b"t", 1)] * 50, profile)
    assert one.written[0][0] == streamed.written[-1][0]


async def test_many_streams_keep_their_instants_apart() -> None:
    clock = VirtualClock()
    scheduler = Scheduler(clock)
    papers = [Paper(clock) for _ in range(50)]
    dues = [[0.01 * k + 0.001 * i for k in range(20)] for i in range(50)]
    await asyncio.gather(
        *(
            scheduler.play(paper, [b"f"] * 20, due, unheard)
            for paper, due in zip(papers, dues, strict=True)
        )
    )
    for paper, due in zip(papers, dues, strict=True):
        assert [at for at, _ in paper.written] == [round(at, 9) for at in due]
    assert scheduler.lateness_s(1.0) == 0.0


async def test_a_reader_that_has_gone_ends_its_stream() -> None:
    clock = VirtualClock(autojump=False)
    scheduler, paper = Scheduler(clock), Paper(clock)
    playing = asyncio.ensure_future(scheduler.play(paper, [b"a", b"b"], [0.0, 1.0], unheard))
    await asyncio.wait([playing], timeout=0)
    clock.advance(0.5)
    paper.gone = True
    clock.advance(1.0)
    with pytest.raises(ConnectionResetError):
        await playing
    assert [data for _, data in paper.written] == [b"a"]


async def test_a_cancelled_stream_writes_nothing_more() -> None:
    clock = VirtualClock(autojump=False)
    scheduler, paper = Scheduler(clock), Paper(clock)
    playing = asyncio.ensure_future(scheduler.play(paper, [b"a", b"b"], [0.0, 1.0], unheard))
    await asyncio.wait([playing], timeout=0)
    clock.advance(0.5)
    playing.cancel()
    await asyncio.wait([playing])
    clock.advance(1.0)
    assert [data for _, data in paper.written] == [b"a"]


async def test_a_slow_reader_waits_without_losing_a_frame() -> None:
    clock = VirtualClock(autojump=False)
    scheduler, paper = Scheduler(clock), Paper(clock)
    frames = [b"%d" % k for k in range(64)]
    playing = asyncio.ensure_future(
        scheduler.play(paper, frames, [k * 0.001 for k in range(64)], unheard)
    )
    await asyncio.wait([playing], timeout=0)
    paper.full = True
    clock.advance(1.0)
    assert len(paper.written) < 17
    paper.full = False
    clock.advance(1.0)
    await playing
    assert [data for _, data in paper.written] == frames


async def test_an_empty_body_still_has_a_head_and_an_end() -> None:
    assert (await play(VirtualClock(), [])).written == [(0.0, b"HT")]


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30))
async def test_frames_never_change_their_order(gaps: list[float]) -> None:
    ages, at = [], 0.0
    for gap in gaps:
        at += gap
        ages.append(at)
    paper = await play(VirtualClock(), [Chunk(b"%d," % k, 1, age) for k, age in enumerate(ages)])
    assert b"".join(data for _, data in paper.written).strip(b"HT").split(b",")[:-1] == [
        b"%d" % k for k in range(len(gaps))
    ]


@pytest.mark.parametrize(
    ("strides", "ends"),
    [((), [0.1, 0.11, 0.12, 0.13, 0.14]), ((1, 3, 1), [0.1, 0.11, 0.11, 0.11, 0.12])],
)
async def test_predicted_tokens_cost_a_hosted_model_no_gap(
    strides: tuple[int, ...], ends: list[float]
) -> None:
    latency = {"ttft_p50_ms": 100, "ttft_sigma": 0, "itl_p50_ms": 10}
    profile = HostedProfile.model_validate(
        {"name": "even", "description": "For tests", "source": "made up here", "illustrative": True,
         "latency": [latency]}
    )  # fmt: skip
    clock = VirtualClock()
    pacer = Pacer(PacingSettings(), profile, Scheduler(clock), clock, Dice(1))
    for size in (1, 5):  # five frames, or a whole body
        chunks = [Chunk(b"x" * size, size)] * (5 // size)
        one, paper = exchange(clock.now()), Paper(clock)
        reply = Reply(200, (), chunks, workload=Workload("m", (1,), 5, strides=strides))
        async with pacer.admit(one, reply) as pacing:
            await pacing.play(chunks, paper)
        instants = [
            round(at - one.arrived_at, 6) for at, data in paper.written for _ in data.strip(b"HT")
        ]
        assert instants == (ends if size == 1 else [ends[-1]] * 5)
