"""Replay of what is not quite what was recorded, and of what is asked more often than it was."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from fakeai_proxy.cassette import sealing
from fakeai_proxy.cassette.leniency import Leniency
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.settings import CassetteSettings
from fakeai_proxy.clock import SystemClock
from fakeai_proxy.errors import ApiError
from fakeai_proxy.exchange import Request
from fakeai_proxy.proxy import sessions
from fakeai_proxy.sources.recorded import EXPLAINED, Miss, Player
from tests.sources.test_recorded import JSON, UPSTREAM, Live, asking, drained, library, recorded


def opened(path: Path, **settings: object) -> Library:
    chosen = CassetteSettings.model_validate({"cassette": (path,), **settings})
    return Library.open(chosen, SystemClock())


def asked(number: int, run: str) -> bytes:
    """The second turn of an agent whose call has an id of its own in every run."""
    said = [{"role": "user", "content": f"question {number}"},
            {"role": "tool", "tool_call_id": f"call_{run}0123", "content": "42"}]  # fmt: skip
    return json.dumps({"model": "m", "messages": said}).encode()


async def fill(path: Path, runs: int = 1) -> None:
    held = library(path)
    for number in range(3):
        for run in range(runs):
            await recorded(
                held, Live([b"%d-%d" % (number, run)], JSON), asking(asked(number, "old"))
            )
    held.close()


async def said(player: Player, body: bytes, headers: object = JSON) -> tuple[bytes, str]:
    """The body and how it was found."""
    reply = await player.reply(asking(body, headers=headers))  # type: ignore[arg-type]  # headers
    [explained] = [value for name, value in reply.headers if name == EXPLAINED]
    return b"".join(await drained(reply)), explained.decode()


@pytest.mark.parametrize("sealed", [False, True])
async def test_an_agents_second_run_is_answered_by_its_first(tmp_path: Path, sealed: bool) -> None:
    path = tmp_path / "c.fcz"
    await fill(path)
    if sealed:
        sealing.seal(path)
    held = opened(path)
    strict = Player(held, Miss(held, UPSTREAM), UPSTREAM)
    with pytest.raises(ApiError):
        await strict.reply(asking(asked(1, "new")))
    agent = Player(held, Miss(held, UPSTREAM), UPSTREAM, Leniency("agent"))
    body, explained = await said(agent, asked(1, "new"))
    assert body == b"1-0"
    assert explained.startswith("hit; id=")
    assert explained.endswith("match=agent")
    assert (await said(agent, asked(1, "old")))[1].endswith("match=exact")
    with pytest.raises(ApiError):
        await agent.reply(asking(asked(7, "new")))


async def test_what_is_recorded_later_is_found_too(tmp_path: Path) -> None:
    path = tmp_path / "c.fcz"
    await fill(path)
    held = library(path)
    agent = Player(held, Miss(held, UPSTREAM), UPSTREAM, Leniency("agent"))
    with pytest.raises(ApiError):
        await agent.reply(asking(asked(9, "new")))
    await recorded(held, Live([b"nine"], JSON), asking(asked(9, "old")))
    assert (await said(agent, asked(9, "new")))[0] == b"nine"


async def test_loose_warns_at_every_hit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "c.fcz"
    await fill(path)
    held = opened(path)
    loose = Player(held, Miss(held, UPSTREAM), UPSTREAM, Leniency("loose"))
    for _ in range(2):
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Question 2"}]})
        assert (await said(loose, body.encode()))[0] == b"2-0"
    warnings = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert len([one for one in warnings if "loose" in one.getMessage()]) == 2


@pytest.mark.parametrize(
    ("repeat", "expected"),
    [("last", [b"0-0", b"0-1", b"0-1", b"0-1"]), ("loop", [b"0-0", b"0-1", b"0-0", b"0-1"])],
)
@pytest.mark.parametrize("match", ["exact", "agent"])
async def test_what_is_asked_more_often_than_it_was_recorded(
    tmp_path: Path, repeat: str, expected: list[bytes], match: str
) -> None:
    path = tmp_path / "c.fcz"
    await fill(path, runs=2)
    held = opened(path, repeat=repeat)
    player = Player(held, Miss(held, UPSTREAM), UPSTREAM, Leniency(match))  # type: ignore[arg-type]
    run = "old" if match == "exact" else "new"
    assert [(await said(player, asked(0, run)))[0] for _ in range(4)] == expected


async def test_with_repeat_error_one_too_many_is_a_miss_that_says_so(tmp_path: Path) -> None:
    path = tmp_path / "c.fcz"
    await fill(path)
    held = opened(path, repeat="error")
    player = Player(held, Miss(held, UPSTREAM), UPSTREAM)
    await said(player, asked(0, "old"))
    with pytest.raises(ApiError) as caught:
        await player.reply(asking(asked(0, "old")))
    assert "recorded once" in caught.value.message
    assert "--repeat" in caught.value.message
    # Another session has its own.
    await said(player, asked(0, "old"), (*JSON, (b"x-fakeai-session", b"two")))


@pytest.mark.parametrize(
    ("target", "headers", "user", "session", "left"),
    [
        ("/v1/models", ((b"X-Fakeai-Session", b"a"),), "", "a", "/v1/models"),
        ("/s/test-1/v1/models?x=1", (), "", "test-1", "/v1/models?x=1"),
        ("/s/test-1/v1/models", ((b"x-fakeai-session", b"a"),), "", "a", "/v1/models"),
        ("/v1/models", ((b"cookie", b"a=b; fakeai_session=c1"),), "", "c1", "/v1/models"),
        ("/v1/models", (), "worker3", "worker3", "/v1/models"),
        ("/v1/models", ((b"proxy-authorization", b"Basic d29ya2VyMzp4"),), "", "worker3", "/v1/models"),
        ("/v1/models", ((b"proxy-authorization", b"Basic !"),), "", "", "/v1/models"),
        ("/s/", (), "", "", "/s/"),
        ("/s/x", (), "", "", "/s/x"),
        ("/s/a b/v1", (), "", "", "/s/a b/v1"),
    ],
)  # fmt: skip
def test_a_session_is_told_in_many_ways(
    target: str, headers: tuple[tuple[bytes, bytes], ...], user: str, session: str, left: str
) -> None:
    request = Request("GET", target, headers, asking().request.body)
    sessions.settle(request, user)
    assert (request.session, request.target) == (session, left)
