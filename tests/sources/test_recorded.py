"""What is recorded is replayed: bytes, cuts, times, failures; and a miss says what differs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path

import pytest

from fakeai_proxy.body import Body
from fakeai_proxy.cassette.format import Interaction
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.settings import CassetteSettings
from fakeai_proxy.clock import SystemClock, VirtualClock
from fakeai_proxy.dice import Dice
from fakeai_proxy.errors import ApiError, StreamCut, no_upstream
from fakeai_proxy.exchange import (
    HIT,
    LIVE,
    Chunk,
    Exchange,
    Headers,
    Origin,
    Reply,
    Request,
)
from fakeai_proxy.pipeline import Pipeline
from fakeai_proxy.proxy import sessions
from fakeai_proxy.shaping.pacing import Pacer, PacingSettings
from fakeai_proxy.shaping.scheduler import Scheduler
from fakeai_proxy.sources.recorded import EXPLAINED, Miss, Player, Recorder

UPSTREAM = "https://api.openai.com"
OPENAI = Origin("https", "api.openai.com", 443)
JSON: Headers = ((b"Content-Type", b"application/json"),)
SSE: Headers = ((b"Content-Type", b"text/event-stream"), (b"X-Odd", b"\xff"), (b"x-odd", b"2"))
ASK = b'{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}'
FRAMES = (
    b'data: {"model":"m","choices":[{"delta":{"content":"a"}}]}\n\n',
    b'data: {"choices":[{"delta":{"content":"b"},"finish_reason":"stop"}]}\n\ndata: {"usage":',
    b'{"prompt_tokens":9,"completion_tokens":20}}\n\n',
    b"data: [DONE]\n\n",
)


class Live:
    """An upstream of the test's own: chunks at the given ages, then the end or a failure."""

    def __init__(
        self,
        pieces: Sequence[bytes],
        headers: Headers = SSE,
        status: int = 200,
        failure: Exception | None = None,
        wait: asyncio.Event | None = None,
    ) -> None:
        self.pieces, self.headers, self.status = pieces, headers, status
        self.failure, self.wait = failure, wait
        self.asked = 0
        self.closed = False

    async def reply(self, exchange: Exchange) -> Reply:
        self.asked += 1
        await exchange.request.body.finish()
        if isinstance(self.failure, ApiError):
            raise self.failure
        return Reply(self.status, self.headers, self._chunks(), "Fine", provenance=LIVE,
                     head_age_s=0.25)  # fmt: skip

    async def _chunks(self) -> AsyncGenerator[Chunk]:
        try:
            for number, piece in enumerate(self.pieces):
                yield Chunk(piece, age_s=0.5 + number * 0.125)
            if self.wait is not None:
                await self.wait.wait()
            if self.failure is not None:
                raise self.failure
        finally:
            self.closed = True

    async def close(self) -> None: ...


class Screen:
    """A client that remembers when it got what."""

    def __init__(self, clock: VirtualClock | None = None) -> None:
        self.clock, self.seen, self.was_cut = clock, [], False
        self.reply: Reply | None = None

    @property
    def sink(self) -> Screen:
        return self

    def write(self, data: bytes) -> None:
        self.seen.append((self.clock.now() if self.clock else 0.0, data))

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def head(self, reply: Reply) -> bytes:
        self.reply = reply
        return b""

    def frame(self, data: bytes) -> bytes:
        return data

    def tail(self) -> bytes:
        return b""

    async def drain(self) -> None: ...

    def cut(self) -> None:
        self.was_cut = True


def library(path: Path, record: bool = True, **more: object) -> Library:
    chosen = CassetteSettings.model_validate({"cassette": (path,), "seal": "never", **more})
    return Library.open(chosen, SystemClock(), record=record)


def asking(
    body: bytes | Body = ASK,
    target: str = "/v1/chat/completions",
    headers: Headers = JSON,
    origin: Origin | None = None,
) -> Exchange:
    whole = body if isinstance(body, Body) else Body(body)
    request = Request("POST", target, headers, whole, origin)
    sessions.settle(request, "")
    return Exchange("req_1", request, 0.0)


async def drained(reply: Reply) -> list[bytes]:
    if isinstance(reply.chunks, Sequence):
        return [chunk.data for chunk in reply.chunks]  # type: ignore[misc]
    return [chunk.data async for chunk in reply.chunks]  # type: ignore[misc]


async def recorded(library: Library, source: Live, exchange: Exchange | None = None) -> list[bytes]:
    recorder = Recorder(source, library, VirtualClock(), UPSTREAM)
    return await drained(await recorder.reply(exchange or asking()))


def last(library: Library) -> Interaction:
    return library.load(library.index.entries[-1])


class Nowhere:
    async def reply(self, exchange: Exchange) -> Reply:
        raise AssertionError("asked for what is recorded")

    async def close(self) -> None: ...


def player(library: Library, upstream: str | None = UPSTREAM) -> Player:
    return Player(library, Miss(library, upstream), upstream)


async def test_a_stream_is_replayed_byte_for_byte_with_its_cuts_and_times(tmp_path: Path) -> None:
    assert await recorded(library(tmp_path / "c.fcz"), Live(FRAMES)) == list(FRAMES)
    again = library(tmp_path / "c.fcz", record=False)
    exchange = asking()
    reply = await Player(again, Nowhere(), UPSTREAM).reply(exchange)
    assert (reply.status, reply.headers[:-1], reply.reason) == (200, SSE, "Fine")
    assert reply.headers[-1][0] == EXPLAINED
    assert (reply.provenance, reply.head_age_s, reply.cut) == (HIT, 0.25, False)
    assert isinstance(reply.chunks, Sequence)
    assert [chunk.data for chunk in reply.chunks] == list(FRAMES)
    assert [chunk.age_s for chunk in reply.chunks] == [0.5, 0.625, 0.75, 0.875]
    assert sum(chunk.tokens for chunk in reply.chunks) == 20
    assert reply.chunks[0].tokens > 0
    assert reply.workload is not None
    assert (reply.workload.model, reply.workload.prompt_tokens) == ("gpt-4o-mini", 9)
    assert len(exchange.dice_key) == 16


async def test_the_view_is_computed(tmp_path: Path) -> None:
    held = library(tmp_path / "c.fcz")
    await recorded(held, Live(FRAMES))
    assert last(held).view == {
        "provider": "openai", "model": "gpt-4o-mini", "finish_reason": "stop", "ttft_ms": 500.0,
        "usage": {"prompt_tokens": 9, "completion_tokens": 20},
    }  # fmt: skip


@pytest.mark.parametrize("size", [2 << 20, 9 << 20])
async def test_a_large_reply_is_replayed_from_its_file(tmp_path: Path, size: int) -> None:
    pieces = [os.urandom(1 << 16) for _ in range(size >> 16)]
    headers = ((b"content-type", b"application/octet-stream"),)
    held = library(tmp_path / "c.fcz")
    await recorded(held, Live(pieces, headers))
    clock = VirtualClock()
    screen = Screen(clock)
    pacer = Pacer(PacingSettings(), None, Scheduler(clock), clock, Dice())
    await Pipeline(player(held), pacer, clock).serve(asking(), screen)
    assert [data for _, data in screen.seen if data] == pieces
    times = [at for at, data in screen.seen if data]
    assert times[0] == pytest.approx(0.5)
    assert times[-1] == pytest.approx(0.5 + (len(pieces) - 1) * 0.125)


async def test_a_large_request_body_is_matched_without_holding_it(tmp_path: Path) -> None:
    piece = b"the same words over and over, " * 4096

    async def upload() -> AsyncIterator[bytes]:
        for _ in range(600):  # 70 MB
            yield piece

    held = library(tmp_path / "c.fcz")
    await recorded(held, Live([b"{}"], JSON), asking(Body(upload())))
    asked = asking(Body(upload()))
    reply = await player(held).reply(asked)
    assert await drained(reply) == [b"{}"]
    assert asked.request.body.in_memory is None
    asked.request.body.close()


async def test_the_recording_is_written_before_the_client_has_seen_the_end(tmp_path: Path) -> None:
    for headers, pieces in (
        ((*JSON, (b"Content-Length", b"4")), [b"ab", b"cd"]),
        (SSE, list(FRAMES)),
    ):
        path = tmp_path / f"{len(pieces)}.fcz"
        never = asyncio.Event()
        reply = await Recorder(
            Live(pieces, headers, wait=never), library(path), VirtualClock(), UPSTREAM
        ).reply(asking())
        assert not isinstance(reply.chunks, Sequence)
        for number, _ in enumerate(pieces):
            entries = library(path, record=False).index.entries
            assert (number, len(entries)) == (number, 0)
            await anext(reply.chunks)
        held = library(path, record=False)
        assert [data.end for data in map(held.load, held.index.entries)] == ["eof"]
        await reply.chunks.aclose()
        assert len(library(path, record=False).index.entries) == 1


async def test_what_comes_after_the_last_frame_is_recorded_too(tmp_path: Path) -> None:
    held = library(tmp_path / "c.fcz")
    await recorded(held, Live([*FRAMES, b": bye\n\n"]))
    held.close()
    again = library(tmp_path / "c.fcz", record=False)
    assert len(again.index.entries) == 1
    assert await drained(await player(again).reply(asking())) == [*FRAMES, b": bye\n\n"]


@pytest.mark.parametrize(
    ("failure", "end"),
    [
        (StreamCut("broke off"), "reset"),
        (StreamCut("silent", "timeout"), "timeout"),
        (ConnectionResetError(), "client_gone"),
        (asyncio.CancelledError(), "client_gone"),
    ],
)
async def test_an_interrupted_reply_is_recorded_as_such(
    tmp_path: Path, failure: BaseException, end: str
) -> None:
    held = library(tmp_path / "c.fcz")
    with pytest.raises(type(failure)):
        await recorded(held, Live(FRAMES[:2], failure=failure))  # type: ignore[arg-type]
    held.close()
    plain = library(tmp_path / "c.fcz", record=False)
    assert last(plain).end == end
    with pytest.raises(ApiError, match="interrupted: --replay-interrupted"):
        await player(plain).reply(asking())
    asked = library(tmp_path / "c.fcz", record=False, replay_interrupted=True)
    reply = await player(asked).reply(asking())
    assert reply.cut
    assert await drained(reply) == list(FRAMES[:2])


async def test_a_client_that_goes_away_closes_the_source(tmp_path: Path) -> None:
    held, source = library(tmp_path / "c.fcz"), Live(FRAMES)
    reply = await Recorder(source, held, VirtualClock(), UPSTREAM).reply(asking())
    assert not isinstance(reply.chunks, Sequence)
    await anext(reply.chunks)
    await reply.chunks.aclose()
    held.close()
    assert source.closed
    response = last(held).response
    assert response is not None
    assert (response.end, response.body) == ("client_gone", FRAMES[0])


@pytest.mark.parametrize("status", [400, 429, 500, 529])
async def test_an_upstreams_error_is_recorded_as_it_was(tmp_path: Path, status: int) -> None:
    held = library(tmp_path / "c.fcz")
    headers = (*JSON, (b"Retry-After", b"7"))
    await recorded(held, Live([b'{"error": {}}'], headers, status))
    reply = await player(held).reply(asking())
    assert (reply.status, reply.headers[:-1]) == (status, headers)


async def test_our_own_errors_are_not_recorded(tmp_path: Path) -> None:
    held = library(tmp_path / "c.fcz")
    with pytest.raises(ApiError, match="no upstream"):
        await recorded(held, Live([], failure=no_upstream("POST", "/")))
    held.close()
    again = library(tmp_path / "c.fcz", record=False)
    assert (again.index.entries, again.index.opened) == ([], {})


async def test_a_scripted_reply_stays_one_and_is_recorded(tmp_path: Path) -> None:
    class Script:
        async def reply(self, exchange: Exchange) -> Reply:
            return Reply(200, JSON, [Chunk(b"{", 1, 0.5), Chunk(b"}", 1, 0.75)])

        async def close(self) -> None: ...

    held = library(tmp_path / "c.fcz")
    reply = await Recorder(Script(), held, VirtualClock(), UPSTREAM).reply(asking())
    assert isinstance(reply.chunks, list)
    response = last(held).response
    assert response is not None
    assert (response.cuts, response.gaps_us) == ((1, 1), (500_000, 250_000))


async def test_a_base_url_client_is_answered_with_a_proxied_clients_recording(
    tmp_path: Path,
) -> None:
    held = library(tmp_path / "c.fcz")
    await recorded(held, Live([b"{}"], JSON), asking(origin=OPENAI))
    elsewhere = Origin("https", "api.groq.com", 443)
    for upstream, origin in ((UPSTREAM, None), ("https://api.openai.com/v1", None), (None, None),
                             (None, OPENAI)):  # fmt: skip
        reply = await player(held, upstream).reply(asking(origin=origin))
        assert await drained(reply) == [b"{}"]
    for upstream, origin in (("https://api.groq.com", None), (UPSTREAM, elsewhere)):
        with pytest.raises(ApiError, match=r"host: recorded 'api\.openai\.com', given"):
            await player(held, upstream).reply(asking(origin=origin))


async def test_another_layout_of_the_same_json_hits_and_is_remembered(tmp_path: Path) -> None:
    held = library(tmp_path / "c.fcz")
    await recorded(held, Live([b"{}"], JSON))
    turned = json.dumps(dict(reversed(json.loads(ASK).items())), indent=1).encode()
    for _ in range(2):
        assert await drained(await player(held).reply(asking(turned))) == [b"{}"]


async def test_sessions_have_their_own_order(tmp_path: Path) -> None:
    held = library(tmp_path / "c.fcz")
    for answer in (b"1", b"2"):
        await recorded(held, Live([answer], JSON))

    async def answers(session: bytes) -> list[bytes]:
        headers = (*JSON, (b"X-Fakeai-Session", session))
        return [(await drained(await player(held).reply(asking(headers=headers))))[0]
                for _ in range(3)]  # fmt: skip

    assert await answers(b"one") == [b"1", b"2", b"2"]
    assert await answers(b"two") == [b"1", b"2", b"2"]


async def test_auto_records_once_and_replays_from_then_on(tmp_path: Path) -> None:
    held, source = library(tmp_path / "c.fcz"), Live([b"{}"], JSON)
    auto = Player(held, Recorder(source, held, VirtualClock(), UPSTREAM), UPSTREAM)
    for _ in range(3):
        assert await drained(await auto.reply(asking())) == [b"{}"]
    assert source.asked == 1


async def test_a_miss_names_the_nearest_and_what_differs(tmp_path: Path) -> None:
    held = library(tmp_path / "c.fcz")
    for text in ("Hello there, my old friend, how are you?", "Tell me about the sea"):
        body = {"model": "m", "messages": [{"role": "user", "content": text}]}
        await recorded(held, Live([b"{}"], JSON), asking(json.dumps(body).encode()))
    key = "sk-proj-" + "Z9" * 20
    text = f"Hello there, my new friend {key}, how are you?"
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    with pytest.raises(ApiError) as caught:
        await player(held).reply(asking(json.dumps(body).encode()))
    error = caught.value
    assert (error.status, error.code) == (404, "cassette_miss")
    assert error.headers == {"x-should-retry": "false"}
    assert "message 0 differs at word 4" in error.message
    assert f"--mode auto --cassette {tmp_path / 'c.fcz'} --upstream {UPSTREAM}" in error.message
    assert "is found with --match-ignore '$.messages[0].content'. Then: " in error.message
    nearest = error.detail["nearest"]
    assert isinstance(nearest, list)
    assert [bool(one["option"]) for one in nearest] == [True, False]
    assert key not in error.message + json.dumps(error.detail)


async def test_a_miss_in_an_empty_cassette_says_so(tmp_path: Path) -> None:
    held = library(tmp_path / "c.fcz")
    with pytest.raises(ApiError, match="The cassette is empty"):
        await player(held).reply(asking())


async def test_a_miss_on_another_route_names_what_there_is(tmp_path: Path) -> None:
    held = library(tmp_path / "c.fcz")
    await recorded(held, Live([b"{}"], JSON))
    with pytest.raises(ApiError, match="path: recorded '/v1/chat/completions', given '/v1/x'"):
        await player(held).reply(asking(target="/v1/x"))


async def test_a_recording_that_is_damaged_is_a_502(tmp_path: Path) -> None:
    held = library(tmp_path / "c.fcz")
    await recorded(held, Live([b"{}"], JSON))
    [file] = (tmp_path / "c.fcz").glob("live-*")
    data = bytearray(file.read_bytes())
    data[held.index.entries[0].place.offset + 20] ^= 255
    file.write_bytes(data)
    with pytest.raises(ApiError) as caught:
        await player(held).reply(asking())
    assert (caught.value.status, caught.value.code) == (502, "cassette_unreadable")


CHILD = """
import asyncio, sys
from pathlib import Path
from fakeai_proxy.clock import SystemClock
from tests.sources.test_recorded import JSON, Live, asking, drained, library
from fakeai_proxy.sources.recorded import Recorder

async def main():
    held, clock = library(Path(sys.argv[1])), SystemClock()
    for number in range(1_000_000):
        recorder = Recorder(Live([b"{}", b"%d" % number], JSON), held, clock)
        await drained(await recorder.reply(asking(b'{"n": %d}' % number)))
        print(number, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("acknowledged", [1, 7, 40, 150])
def test_a_killed_recorder_loses_nothing_that_was_acknowledged(
    tmp_path: Path, acknowledged: int
) -> None:
    path = tmp_path / "c.fcz"
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, cwd=root, text=True
    ) as child:
        assert child.stdout is not None
        seen = [int(child.stdout.readline()) for _ in range(acknowledged)]
        child.send_signal(signal.SIGKILL)
        seen += [
            int(line) for line in child.stdout.read().splitlines(keepends=True) if line[-1] == "\n"
        ]
    held = library(path, record=False)
    there = {held.load(entry).request.body for entry in held.index.entries}
    assert {b'{"n": %d}' % number for number in seen} <= there
    assert len(held.index.opened) <= 1
