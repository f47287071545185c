"""Answers paced by a fleet, through real sockets on a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from fakeai_proxy.app import App
from fakeai_proxy.body import Body
from fakeai_proxy.clock import VirtualClock, turn
from fakeai_proxy.exchange import Chunk, Exchange, Reply, Request, Workload
from fakeai_proxy.fleet.worker import Worker
from fakeai_proxy.shaping.fleet_pacing import FleetPacing
from fakeai_proxy.shaping.scheduler import Scheduler
from tests.conftest import Ended, Serve
from tests.doubles.fleets import fleet, toml
from tests.shaping.test_pacing import Paper

CHAT = "/v1/chat/completions"
MODEL = "llama-3.1-8b"


def question(text: str = "Tell me more. " * 200, **more: object) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **more}


@asynccontextmanager
async def asking(app: App) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": "Bearer sk-test"}
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=app.url, headers=headers, timeout=None, limits=limits
    ) as client:
        yield client


async def stream(app: App, clock: VirtualClock, **body: object) -> tuple[list[float], str]:
    """The instants at which pieces came, since the question, and all that came."""
    options = {"stream": True, "stream_options": {"include_usage": True}, **body}
    asked_at = clock.now()
    instants, text = [], ""
    async with (
        asking(app) as client,
        client.stream("POST", CHAT, json=question(**options)) as reply,
    ):
        async for piece in reply.aiter_raw():
            instants.append(clock.now() - asked_at)
            text += piece.decode()
    return instants, text


def cached_in(text: str) -> int:
    return int(text.split('"cached_tokens":')[1].split(",", maxsplit=1)[0])


def workers(app: App) -> list[Worker]:
    assert app.fleet is not None
    return app.fleet.cluster.workers


def check(app: App) -> None:
    assert app.fleet is not None
    app.fleet.cluster.check()


@pytest.fixture
def one(tmp_path: Path) -> str:
    return toml(tmp_path)


async def test_an_equal_prompt_has_its_first_token_sooner_and_says_why(
    serve: Serve, one: str
) -> None:
    clock = VirtualClock()
    app = await serve(clock=clock, profile=one)
    first, said = await stream(app, clock)
    second, again = await stream(app, clock)
    assert cached_in(said) == 0
    assert cached_in(again) > 500
    assert cached_in(again) % 16 == 0
    assert second[0] < first[0]
    check(app)


async def test_a_conversation_finds_its_answers_in_the_cache(serve: Serve, one: str) -> None:
    app = await serve(clock=VirtualClock(), profile=one)
    body = question("Name a lighthouse.", max_tokens=200, min_tokens=100)
    async with asking(app) as client:
        first = (await client.post(CHAT, json=body)).json()
        message = first["choices"][0]["message"]
        body["messages"] += [
            {"role": "assistant", "content": message["content"]},
            {"role": "user", "content": "And another?"},
        ]
        second = (await client.post(CHAT, json=body)).json()
    total = first["usage"]["total_tokens"]
    # All whole blocks of the first turn, but for its last token, which nothing has computed.
    assert second["usage"]["prompt_tokens_details"]["cached_tokens"] == (total - 1) // 16 * 16


async def test_openais_own_models_count_hits_as_openai_does(serve: Serve, one: str) -> None:
    app = await serve(clock=VirtualClock(), profile=one)
    usual = question("Why? " * 700, model="gpt-4o")
    short = question("Why? " * 300, model="gpt-4o")
    async with asking(app) as client:
        found = []
        for body in (usual, usual, short, short):
            usage = (await client.post(CHAT, json=body)).json()["usage"]
            found.append(usage["prompt_tokens_details"]["cached_tokens"])
    assert found[0] == found[2] == found[3] == 0
    assert found[1] >= 1024
    assert found[1] % 128 == 0


async def test_another_salt_shares_nothing(serve: Serve, one: str) -> None:
    app = await serve(clock=VirtualClock(), profile=one)
    found = []
    async with asking(app) as client:
        for salt in ("a", "b", "a"):
            usage = (await client.post(CHAT, json=question(cache_salt=salt))).json()["usage"]
            found.append(usage["prompt_tokens_details"]["cached_tokens"])
    assert found[:2] == [0, 0]
    assert found[2] > 0


async def test_a_server_that_groups_tokens_sends_them_in_groups(
    serve: Serve, tmp_path: Path
) -> None:
    one = toml(tmp_path, engine="{ stream_interval = 8 }")
    clock = VirtualClock()
    app = await serve(clock=clock, profile=one)
    grouped, _ = await stream(app, clock, max_tokens=24, ignore_eos=True)
    (tmp_path / "each").mkdir()
    other = VirtualClock()
    app = await serve(clock=other, profile=toml(tmp_path / "each"))
    single, _ = await stream(app, other, max_tokens=24, ignore_eos=True)
    assert len({round(at, 6) for at in grouped}) == 3
    assert len({round(at, 6) for at in single}) == 24
    assert any(grouped[0] == pytest.approx(at) for at in single[6:9])
    assert grouped[-1] == pytest.approx(single[-1])


async def test_a_whole_answer_waits_for_its_last_token(serve: Serve, one: str) -> None:
    clock = VirtualClock()
    app = await serve(clock=clock, profile=one)
    streamed, _ = await stream(app, clock, max_tokens=50, ignore_eos=True)
    asked_at = clock.now()
    async with asking(app) as client:
        whole = await client.post(
            CHAT, json=question("Other. " * 400, max_tokens=50, ignore_eos=True)
        )
    assert clock.now() - asked_at == pytest.approx(streamed[-1], rel=0.05)
    assert streamed[-1] > 4 * streamed[0]
    assert int(whole.headers["content-length"]) == len(whole.content)


async def test_streams_of_one_batch_get_their_tokens_together(serve: Serve, one: str) -> None:
    clock = VirtualClock()
    app = await serve(clock=clock, profile=one)
    both = await asyncio.gather(
        stream(app, clock, text="One. " * 50, max_tokens=40, ignore_eos=True),
        stream(app, clock, text="Two. " * 90, max_tokens=40, ignore_eos=True),
    )
    first, second = (set(instants) for instants, _ in both)
    assert len(first) > 30
    assert len(first & second) >= 0.9 * len(first)


async def test_many_streams_make_each_slower(serve: Serve, one: str) -> None:
    clock = VirtualClock()
    app = await serve(clock=clock, profile=one)
    alone, _ = await stream(app, clock, max_tokens=60, ignore_eos=True)
    crowd = await asyncio.gather(
        *(
            stream(app, clock, text=f"{k}. " * 300, max_tokens=60, ignore_eos=True)
            for k in range(32)
        )
    )
    assert min(instants[-1] for instants, _ in crowd) > 1.3 * alone[-1]


async def test_embeddings_take_their_prefill(serve: Serve, one: str) -> None:
    clock = VirtualClock()
    app = await serve(clock=clock, profile=one)
    took = []
    async with asking(app) as client:
        for count in (10, 6000):
            asked_at = clock.now()
            body = {"model": "text-embedding-3-small", "input": "word " * count}
            assert (await client.post("/v1/embeddings", json=body)).status_code == 200
            took.append(clock.now() - asked_at)
    assert 0.005 < took[0] < 0.02
    assert took[1] > 5 * took[0]


@pytest.mark.parametrize("whole", [True, False])
async def test_a_client_that_leaves_frees_its_blocks_at_once(
    serve: Serve, one: str, whole: bool
) -> None:
    clock, ended = VirtualClock(autojump=False), Ended()
    app = await serve(clock=clock, observer=ended, profile=one)
    engine = workers(app)[0].engine

    async def settle(done: Any) -> None:
        for _ in range(200_000):
            if done():
                return
            await turn()
        raise AssertionError("it did not come to that")

    async with asking(app) as client:
        body = question(stream=not whole, max_tokens=500, ignore_eos=True)
        asked = asyncio.create_task(client.post(CHAT, json=body))
        await settle(lambda: app.fleet is not None and app.fleet.cluster.next_at < 1e9)
        clock.advance(0.2)
        assert engine.cache.used > 0
        asked.cancel()
        await settle(lambda: ended.exchanges)
    assert engine.cache.used == 0
    assert not engine.running
    assert ended.exchanges[0].end == "client_gone"
    check(app)


async def test_a_full_queue_is_a_503_that_says_when_to_come_back(
    serve: Serve, tmp_path: Path
) -> None:
    one_seat = toml(tmp_path, max_queue=1, engine="{ max_num_seqs = 1 }")
    app = await serve(clock=VirtualClock(), profile=one_seat)
    async with asking(app) as client:
        replies = await asyncio.gather(
            *(client.post(CHAT, json=question(f"{k}", max_tokens=200)) for k in range(6))
        )
    refused = [reply for reply in replies if reply.status_code != 200]
    assert len(refused) >= 2
    for reply in refused:
        assert reply.status_code == 503
        assert int(reply.headers["retry-after"]) >= 1
        assert reply.json()["error"]["code"] == 503
    assert sum(reply.status_code == 200 for reply in replies) >= 1
    check(app)


async def test_a_prompt_that_no_engine_could_hold_is_refused(serve: Serve, tmp_path: Path) -> None:
    small = toml(tmp_path, num_gpu_blocks=32)
    app = await serve(clock=VirtualClock(), profile=small)
    async with asking(app) as client:
        reply = await client.post(CHAT, json=question("word " * 600))
    assert reply.status_code == 400
    assert "512" in reply.json()["error"]["message"]


@pytest.mark.parametrize("speed", [0.5, 100.0])
async def test_speed_scales_the_fleet(serve: Serve, one: str, speed: float) -> None:
    usual_clock, other_clock = VirtualClock(), VirtualClock()
    usual, _ = await stream(await serve(clock=usual_clock, profile=one), usual_clock)
    app = await serve(clock=other_clock, profile=one, speed=speed)
    scaled, _ = await stream(app, other_clock)
    assert scaled[0] == pytest.approx(usual[0] / speed)
    assert scaled[-1] == pytest.approx(usual[-1] / speed)


async def test_without_a_profile_answers_come_at_once(serve: Serve) -> None:
    clock = VirtualClock()
    app = await serve(clock=clock, profile="none")
    await stream(app, clock, model="gpt-4o")
    assert app.fleet is None
    assert clock.now() == 0


async def test_choices_of_one_prompt_are_all_made(serve: Serve, one: str) -> None:
    clock = VirtualClock()
    app = await serve(clock=clock, profile=one)
    instants, text = await stream(app, clock, n=3, max_tokens=20, ignore_eos=True)
    assert len(set(instants)) >= 18
    assert text.count('"content":"') == 3 * 21
    assert '"completion_tokens":60' in text


async def test_the_exchange_tells_what_the_fleet_did(serve: Serve, one: str) -> None:
    clock, ended = VirtualClock(), Ended()
    app = await serve(clock=clock, observer=ended, profile=one)
    for _ in range(2):
        await stream(app, clock)
    first, second = (exchange.admission for exchange in ended.exchanges)
    assert first.worker == second.worker == workers(app)[0].name
    assert first.cached_tokens == 0
    assert second.cached_tokens > 0
    assert first.queue_s == pytest.approx(0.005)


async def test_a_recording_can_be_played_at_the_pace_of_a_fleet(
    serve: Serve, one: str, tmp_path: Path
) -> None:
    clock = VirtualClock()
    cassette = (str(tmp_path / "recorded.fcz"),)
    origin = await serve(clock=clock, profile="none", model=(MODEL,))
    recorder = await serve(clock=clock, mode="record", upstream=origin.url, cassette=cassette)
    _, said = await stream(recorder, clock, max_tokens=30, ignore_eos=True)
    await recorder.close()
    took = {}
    for timing in ("recorded", "profile"):
        player = await serve(
            clock=clock, mode="replay", cassette=cassette, profile=one, timing=timing
        )
        instants, again = await stream(player, clock, max_tokens=30, ignore_eos=True)
        assert again == said
        took[timing] = instants[-1]
        assert (player.fleet is not None) == (timing == "profile")
        if timing == "profile":
            check(player)
    assert took["recorded"] < 0.01
    assert took["profile"] > 0.2


async def test_a_live_stream_can_be_slowed_to_the_pace_of_a_fleet(serve: Serve, one: str) -> None:
    clock = VirtualClock()
    origin = await serve(clock=clock, profile="none", model=(MODEL,))
    app = await serve(clock=clock, mode="pass", upstream=origin.url, profile=one, timing="profile")
    _, text = await stream(app, clock, max_tokens=40, ignore_eos=True)
    assert text.endswith("data: [DONE]\n\n")
    assert clock.now() > 0.2
    assert not workers(app)[0].engine.running
    check(app)


async def test_a_stream_goes_on_when_its_worker_dies(serve: Serve, tmp_path: Path) -> None:
    clock = VirtualClock()
    app = await serve(clock=clock, profile=toml(tmp_path, replicas=2))
    asked = asyncio.create_task(stream(app, clock, max_tokens=60, ignore_eos=True))
    victim = await killed(app, clock)
    instants, text = await asked
    assert text.count('"content":"') == 61
    gaps = [after - before for before, after in pairwise(instants)]
    assert max(gaps) > 2 * sorted(gaps)[len(gaps) // 2], "the answer so far was computed again"
    assert [worker for worker in workers(app) if worker.generation_tokens] != [victim]
    check(app)


async def test_a_stream_is_cut_when_nobody_takes_it_over(serve: Serve, tmp_path: Path) -> None:
    clock, ended = VirtualClock(), Ended()
    profile = toml(tmp_path, 'on_death = "fail"', replicas=2)
    app = await serve(clock=clock, observer=ended, profile=profile)
    asked = asyncio.create_task(stream(app, clock, max_tokens=60, ignore_eos=True))
    await killed(app, clock)
    with pytest.raises(httpx.RemoteProtocolError):
        await asked
    assert ended.exchanges[0].end == "cut"


async def test_a_whole_answer_whose_worker_dies_is_an_error(serve: Serve, tmp_path: Path) -> None:
    clock = VirtualClock()
    app = await serve(clock=clock, profile=toml(tmp_path, 'on_death = "fail"', replicas=2))
    async with asking(app) as client:
        body = question(max_tokens=60, ignore_eos=True)
        asked = asyncio.create_task(client.post(CHAT, json=body))
        await killed(app, clock)
        reply = await asked
    assert reply.status_code == 502
    assert reply.json()["error"]["code"] == "engine_dead"


async def test_a_fleet_that_is_dead_says_so(serve: Serve, one: str) -> None:
    clock = VirtualClock()
    app = await serve(clock=clock, profile=one)
    assert app.fleet is not None
    app.fleet.cluster.kill(workers(app)[0], 0.0)
    async with asking(app) as client:
        reply = await client.post(CHAT, json=question())
    assert reply.status_code == 503
    assert reply.json()["error"]["type"] == "ServiceUnavailableError"
    assert int(reply.headers["retry-after"]) > 1


async def killed(app: App, clock: VirtualClock) -> Worker:
    """The worker that has the one request, killed when it has given out 20 tokens."""
    assert app.fleet is not None
    while True:
        await turn()
        for worker in workers(app):
            for sequence in worker.engine.running:
                if worker.engine.generated(sequence) >= 20:
                    app.fleet.cluster.kill(worker, clock.now(), "XID 79")
                    app.fleet.wake()
                    return worker


async def test_prompts_and_answers_may_be_made_apart(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "apart.toml"
    pool = '[[pool]]\nname = "{0}"\nrole = "{0}"\nmodel = "llama-3.1-8b"\ngpu = "h100"\n'
    file.write_text(
        'description = "d"\nsource = "A test of its own"\nserver = "dynamo"\n'
        + pool.format("prefill")
        + pool.format("decode")
    )
    clock, ended = VirtualClock(), Ended()
    app = await serve(clock=clock, observer=ended, profile=str(file))
    first, text = await stream(app, clock, max_tokens=30, ignore_eos=True)
    second, again = await stream(app, clock, max_tokens=30, ignore_eos=True)
    assert text.count('"content":"') == again.count('"content":"') == 31
    assert len(set(first)) >= 29
    assert second[0] < first[0]
    assert cached_in(again) > 500
    assert {worker.pool.role: worker.generation_tokens for worker in workers(app)} == {
        "prefill": 2, "decode": 58,
    }  # fmt: skip
    check(app)


async def test_a_slow_reader_waits_and_the_engine_does_not(one: str) -> None:
    clock = VirtualClock(autojump=False)
    driver, scheduler = fleet(clock), Scheduler(clock)
    paper, exchange = Paper(clock), Exchange("req_1", Request("POST", "/", (), Body()), 0.0)
    chunks = [Chunk(b"%d," % k, 1) for k in range(30)]
    workload = Workload("llama-3.1-8b", range(64), 30)
    reply = Reply(200, (), chunks, workload=workload)
    async with FleetPacing(exchange, reply, workload, driver, scheduler) as pacing:
        playing = asyncio.ensure_future(pacing.play(chunks, paper))
        await turn()
        clock.advance(0.1)
        begun = len(paper.written)
        paper.full = True
        clock.advance(10.0)
        assert 0 < begun == len(paper.written)
        assert not driver.cluster.workers[0].engine.running, "the engine has long gone on"
        assert not playing.done()
        paper.full = False
        clock.advance(0.01)
        await playing
    assert b"".join(data for _, data in paper.written) == (
        b"H" + b"".join(b"%d," % k for k in range(30)) + b"T"
    )
    assert exchange.sent_bytes == sum(len(b"%d," % k) for k in range(30))
