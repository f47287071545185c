"""A recording at the pace of another back end: a fleet, or a hosted profile."""

from __future__ import annotations

import asyncio
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakeai_proxy.app import App
from fakeai_proxy.cassette.script import by_frames
from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.exchange import Chunk
from tests.conftest import Ended, Serve, serving
from tests.doubles.fleets import FRONT_S, toml

CHAT = "/v1/chat/completions"
HEADERS = {"authorization": "Bearer any-key"}
TOKENS = 40
STORY = "Tell me more of it. " * 400


def question(text: str = STORY, **more: object) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"model": "gpt-4o", "messages": messages, "max_completion_tokens": TOKENS,
            "ignore_eos": True, **more}  # fmt: skip


#: What streams are made of; the last are ends that no protocol allows.
PIECES = (b'data: {"delta":{"content":"w\\n\\u00e9"}}\n\n', b'data: {"delta":{"content":"x"}}\r\n\r\n',
          b"event: ping\ndata: {}\n\n", b": comment\n\n", b"data: [DONE]\n\n", b"data: cut",
          b"data: half\n")  # fmt: skip
STREAM = question(stream=True, stream_options={"include_usage": True})
LONGER = {**STREAM, "messages": [*STREAM["messages"], {"role": "user", "content": "And then?"}]}
WHOLE = question()
OTHERS = [question(f"{number} {STORY}", stream=True) for number in range(6)]


@pytest.fixture(scope="module")
def cassette(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Recorded from a back end that answers at once."""
    place = str(tmp_path_factory.mktemp("other") / "gpt-4o.fcz")
    asyncio.run(record(place))
    return place


async def record(place: str) -> None:
    async with (
        serving(mode="synth") as synth,
        serving(mode="record", upstream=synth.url, cassette=(place,)) as app,
        httpx.AsyncClient(headers=HEADERS) as client,
    ):
        for body in (STREAM, LONGER, WHOLE, *OTHERS):
            assert (await client.post(app.url + CHAT, json=body)).status_code == 200


@given(st.lists(st.sampled_from(PIECES), max_size=12), st.lists(st.integers(1, 40), max_size=6))
def test_cut_by_frames_it_is_the_same_bytes_and_the_same_tokens(
    pieces: list[bytes], cuts: list[int]
) -> None:
    """Whatever the reads were: each frame is a chunk, and tokens stay where words are."""
    body, reads = b"".join(pieces), []
    start = 0
    for cut in [*cuts, len(body)]:
        if start < len(body):
            reads.append(body[start : start + cut])
            start += cut
    chunks = [Chunk(read, 3, age / 10) for age, read in enumerate(reads)]
    sse = ((b"content-type", b"text/event-stream"),)
    found = by_frames(sse, chunks)
    assert b"".join([chunk.data for chunk in found if isinstance(chunk.data, bytes)]) == body
    frames = [frame for frame in re.split(rb"(?<=\n\n)|(?<=\r\n\r\n)", body) if frame]
    assert [chunk.data for chunk in found] == frames
    if b"content" in body:
        assert sum(chunk.tokens for chunk in found) == 3 * len(reads)
    ages = [chunk.age_s or 0 for chunk in found]
    assert ages == sorted(ages)
    assert by_frames((), chunks) == tuple(chunks)


async def heard(app: App, clock: VirtualClock, body: dict[str, Any]) -> tuple[list[float], bytes]:
    """The instants of the pieces that bring words, since the question, and all bytes."""
    asked_at, instants, whole = clock.now(), [], b""
    async with (
        httpx.AsyncClient(headers=HEADERS, timeout=None) as client,
        client.stream("POST", app.url + CHAT, json=body) as reply,
    ):
        assert reply.headers["x-fakeai-cassette"].startswith("hit")
        async for piece in reply.aiter_raw():
            instants.append(clock.now() - asked_at)
            whole += piece
    return instants, whole


async def test_a_recording_goes_through_the_engine_of_a_fleet(
    serve: Serve, cassette: str, tmp_path: Path
) -> None:
    clock, ended = VirtualClock(), Ended()
    fleet = toml(tmp_path)
    app = await serve(
        clock=clock, observer=ended, mode="replay", cassette=(cassette,), profile=fleet,
        timing="profile",
    )  # fmt: skip
    instants, body = await heard(app, clock, STREAM)
    steps = [late - early for early, late in pairwise(instants) if late > early]
    assert len(steps) == pytest.approx(TOKENS - 1, abs=1)
    assert all(0.001 < step < 0.05 for step in steps)
    assert instants[0] > FRONT_S + max(steps)
    assert body.endswith(b"data: [DONE]\n\n")
    first, whole = ended.exchanges[0].reply, ended.exchanges[0].admission
    assert first is not None
    assert first.workload is not None
    assert first.workload.output_tokens == TOKENS
    assert whole.worker
    assert whole.cached_tokens == 0

    again, same = await heard(app, clock, STREAM)
    assert same == body
    assert again[0] < instants[0]
    assert ended.exchanges[1].admission.cached_tokens > 1000
    longer, _ = await heard(app, clock, LONGER)
    assert longer[0] < instants[0]
    assert ended.exchanges[2].admission.cached_tokens > 1000

    at_once, _ = await heard(app, clock, WHOLE)
    assert at_once[0] == pytest.approx(again[-1], rel=0.1)


async def test_company_slows_a_replayed_stream_down(
    serve: Serve, cassette: str, tmp_path: Path
) -> None:
    clock = VirtualClock()
    app = await serve(clock=clock, mode="replay", cassette=(cassette,), profile=toml(tmp_path),
                      timing="profile")  # fmt: skip
    alone, _ = await heard(app, clock, OTHERS[0])
    crowd = await asyncio.gather(*(heard(app, clock, body) for body in OTHERS[1:]))
    assert max(instants[-1] for instants, _ in crowd) > 1.2 * alone[-1]


async def test_a_hosted_profile_times_a_recording_too(serve: Serve, cassette: str) -> None:
    clock = VirtualClock()
    app = await serve(clock=clock, mode="replay", cassette=(cassette,), profile="anthropic",
                      timing="profile", speed=2.0)  # fmt: skip
    instants, _ = await heard(app, clock, STREAM)
    assert 0.2 < instants[0] < 2
    assert len({round(at, 6) for at in instants}) >= TOKENS - 1


async def test_without_being_told_a_recording_keeps_its_own_time(
    serve: Serve, cassette: str, tmp_path: Path
) -> None:
    clock = VirtualClock()
    app = await serve(clock=clock, mode="replay", cassette=(cassette,), profile=toml(tmp_path))
    assert app.fleet is None or not app.fleet.cluster.workers[0].engine.running
    instants, _ = await heard(app, clock, STREAM)
    assert instants[-1] < 5
