"""Recordings that no longer count: too old, or asked for again; the new one has the old one's place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fakeai_proxy.cassette import rewriting, sealing
from fakeai_proxy.cassette.leniency import Leniency
from fakeai_proxy.cassette.library import Library
from fakeai_proxy.cassette.settings import CassetteSettings
from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.errors import ApiError, ConfigError
from fakeai_proxy.exchange import HIT, STALE, Exchange
from fakeai_proxy.sources.gate import Gate, numbers_of
from fakeai_proxy.sources.recorded import Miss, Player, Recorder
from tests.sources.test_recorded import JSON, UPSTREAM, Live, asking, drained

DAY_S = 86_400.0
EPOCH = 1_750_000_000.0


def asked(number: int, run: str = "a") -> bytes:
    """The second turn of an agent whose call has an id of its own in every run."""
    said = [{"role": "user", "content": f"question {number}"},
            {"role": "tool", "tool_call_id": f"call_{run}012345", "content": "42"}]  # fmt: skip
    return json.dumps({"model": "m", "messages": said}).encode()


class Place:
    """A cassette, opened on a day."""

    def __init__(self, path: Path, day: float, *others: Path, record: bool = True) -> None:
        self.clock = VirtualClock(epoch=EPOCH + day * DAY_S)
        settings = CassetteSettings(cassette=(path, *others))
        self.library = Library.open(settings, self.clock, record=record)

    def player(
        self,
        answer: bytes = b"new",
        again: tuple[str, ...] = (),
        match: str = "exact",
        **live: object,
    ) -> Player:
        self.live = Live([answer], JSON, **live)  # type: ignore[arg-type] # of the test's own
        gate = Gate(7 * DAY_S, numbers_of(again, self.library), self.clock.wall)
        recorder = Recorder(self.live, self.library, self.clock, UPSTREAM)
        leniency = Leniency(match)  # type: ignore[arg-type] # agent or exact
        return Player(self.library, recorder, UPSTREAM, leniency, gate=gate)

    async def record(self, *answers: bytes, number: int = 1) -> None:
        for answer in answers:
            recorder = Recorder(Live([answer], JSON), self.library, self.clock, UPSTREAM)
            await drained(await recorder.reply(asking(asked(number))))
        self.library.close()

    def answers(self) -> list[bytes]:
        found = [self.library.load(entry) for entry in self.library.index.entries]
        return [bytes(one.response.body) for one in found if one.response]  # type: ignore[arg-type]


async def said(player: Player, body: bytes, session: str = "") -> tuple[bytes, Exchange]:
    exchange = asking(body)
    exchange.request.session = session
    reply = await player.reply(exchange)
    return b"".join(await drained(reply)), exchange


async def test_a_replay_of_what_is_too_old_is_a_miss_that_says_so(tmp_path: Path) -> None:
    path = tmp_path / "c.fcz"
    await Place(path, 0).record(b"old")
    for day, expected in ((6.9, HIT), (8.5, STALE)):
        place = Place(path, day, record=False)
        gate = Gate(7 * DAY_S, (), place.clock.wall)
        miss = Miss(place.library, UPSTREAM, place.clock)
        player = Player(place.library, miss, UPSTREAM, gate=gate)
        exchange = asking(asked(1))
        if expected == HIT:
            await player.reply(exchange)
        else:
            with pytest.raises(ApiError) as caught:
                await player.reply(exchange)
            assert "is 8d12h old, more than --max-age allows" in caught.value.message
            assert f"--rerecord {exchange.recording:016x}" in caught.value.message
            assert caught.value.code == "cassette_miss"
        assert exchange.verdict == expected


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("form", ["c.fcz", "c.jsonl", "c.jsonl.zst"])
async def test_what_is_recorded_anew_has_the_place_of_the_old(
    tmp_path: Path, form: str, sealed: bool
) -> None:
    path = tmp_path / form
    await Place(path, 0).record(b"one", b"two", b"three")
    if sealed and form == "c.fcz":
        sealing.seal(path)
    before = Place(path, 0, record=False).library.index.entries
    ids = [entry.label.id for entry in before]
    place = Place(path, 8)
    player = place.player(b"two anew", (f"{ids[1]:016x}",))
    # All are too old, too: each is asked again once, in its turn.
    assert [(await said(player, asked(1)))[0] for _ in range(3)] == [b"two anew"] * 3
    assert place.live.asked == 3
    assert [(await said(player, asked(1), "other"))[0] for _ in range(3)] == [b"two anew"] * 3
    assert place.live.asked == 3
    place.library.close()
    again = Place(path, 8, record=False).library.index
    assert [entry.label.id for entry in again.entries] == ids


@pytest.mark.parametrize("seals", [(), ("before",), ("after",), ("before", "after"),
                                   ("before", "after", "whole")])  # fmt: skip
async def test_only_the_one_that_was_named_is_asked_again(
    tmp_path: Path, seals: tuple[str, ...]
) -> None:
    path = tmp_path / "c.fcz"
    await Place(path, 0).record(b"one", b"two", b"three")
    if "before" in seals:
        sealing.seal(path)
    place = Place(path, 1)
    second = place.library.index.entries[1].label.id
    player = place.player(b"two anew", (f"{second:016x}"[:9],))
    heard = [await said(player, asked(1)) for _ in range(3)]
    assert [text for text, _ in heard] == [b"one", b"two anew", b"three"]
    assert [exchange.verdict for _, exchange in heard] == [HIT, STALE, HIT]
    assert [(await said(player, asked(1), "s"))[0] for _ in range(3)] == [
        b"one", b"two anew", b"three"
    ]  # fmt: skip
    assert place.live.asked == 1
    assert place.answers() == [b"one", b"two anew", b"three"]
    place.library.close()
    if "after" in seals:
        sealing.seal(path)
    if "whole" in seals:
        sealing.seal(path, again=True)
    assert Place(path, 1, record=False).answers() == [b"one", b"two anew", b"three"]
    rewriting.rewrite([path], tmp_path / "copy.jsonl")
    assert Place(tmp_path / "copy.jsonl", 1, record=False).answers() == [
        b"one", b"two anew", b"three"
    ]  # fmt: skip


@pytest.mark.parametrize("sealed", [False, True])
async def test_one_of_another_cassette_is_replaced_in_the_one_that_is_recorded_into(
    tmp_path: Path, sealed: bool
) -> None:
    mine, shared = tmp_path / "mine.fcz", tmp_path / "shared.fcz"
    await Place(shared, 0).record(b"old")
    if sealed:
        sealing.seal(shared)
    place = Place(mine, 8, shared)
    player = place.player()
    assert (await said(player, asked(1)))[0] == b"new"
    place.library.close()
    assert Place(shared, 8, record=False).answers() == [b"old"]
    both = Place(mine, 8, shared)
    assert set(both.answers()) == {b"new"}
    player = both.player()
    assert [(await said(player, asked(1)))[0] for _ in range(2)] == [b"new", b"new"]
    assert both.live.asked == 0


@pytest.mark.parametrize("status", [500, 429, 401])
async def test_a_back_end_that_fails_takes_nothing_away(tmp_path: Path, status: int) -> None:
    path = tmp_path / "c.fcz"
    await Place(path, 0).record(b"old")
    place = Place(path, 8)
    player = place.player(b"failed", status=status)
    heard, exchange = await said(player, asked(1))
    assert (heard, exchange.verdict) == (b"failed", STALE)
    place.library.close()
    assert Place(path, 8, record=False).answers() == [b"old"]
    assert not Place(path, 8, record=False).library.index.opened


async def test_a_lenient_match_finds_the_latest(tmp_path: Path) -> None:
    path = tmp_path / "c.fcz"
    await Place(path, 0).record(b"old")
    place = Place(path, 8)
    player = place.player(match="agent")
    verdicts = [(await said(player, asked(1, run)))[1].verdict for run in ("b1", "b1", "c1", "a")]
    assert verdicts == [STALE, HIT, HIT, HIT]
    assert place.live.asked == 1
    place.library.close()
    again = Place(path, 8)
    assert again.answers() == [b"new"]
    assert (await said(again.player(match="agent"), asked(1, "d1")))[1].verdict == HIT


async def test_an_id_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.fcz"
    await Place(path, 0).record(b"old")
    with pytest.raises(ConfigError, match="no recording whose id begins with zz"):
        Place(path, 0).player(again=("zz",))
