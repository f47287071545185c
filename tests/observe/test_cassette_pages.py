"""What the control API tells of cassettes: what they hold, what was found on them, what was missed."""

from __future__ import annotations

from pathlib import Path

from fakeai_proxy.cassette.tried import KEPT_BYTES_MAX, Explanation, Later, Tried, explained
from tests.conftest import Serve
from tests.observe.asking import ask, chat

CASSETTES = "/_fakeai/v1/cassettes"


async def test_hits_and_misses_are_told_with_their_explanations(
    serve: Serve, tmp_path: Path
) -> None:
    cassette = str(tmp_path / "told.fcz")
    upstream = await serve(mode="synth")
    recorder = await serve(mode="record", upstream=upstream.url, cassette=(cassette,))
    assert (await chat(recorder)).status == 200
    assert (await ask(recorder, CASSETTES)).body["data"][0]["recordings"] == 1
    await recorder.close()

    app = await serve(mode="replay", cassette=(cassette,))
    for _ in range(2):
        assert (await chat(app)).status == 200
    missed = await chat(app, max_tokens=77)
    assert missed.status == 404
    seen = (await ask(app, CASSETTES)).body
    assert (seen["hits"], seen["misses"], seen["on_miss"]) == (2, 1, "error")
    assert [(one["path"], one["recordings"], one["hits"]) for one in seen["data"]] == [
        (cassette, 1, 2)
    ]
    assert seen["data"][0]["bytes"] > 0

    [told] = (await ask(app, f"{CASSETTES}/misses")).body["data"]
    assert (told["method"], told["path"]) == ("POST", "/v1/chat/completions")
    assert told["explanation"] in missed.message
    assert "max_tokens" in str(told["nearest"][0]["differences"])
    assert (await ask(app, f"{CASSETTES}/misses/{told['id']}")).body == told
    entry = (await ask(app, f"/_fakeai/v1/journal/{told['id']}")).body
    assert entry["status"] == 404
    assert (await ask(app, f"{CASSETTES}/misses/req_1")).code == "miss_not_found"

    assert "cassettes" in (await ask(app, "/_fakeai/v1/reset", "POST")).body["reset"]
    again = (await ask(app, CASSETTES)).body
    assert (again["hits"], again["misses"], again["data"][0]["recordings"]) == (0, 0, 1)


async def test_a_miss_that_something_else_answers_is_explained_when_somebody_asks(
    serve: Serve, tmp_path: Path
) -> None:
    cassette = str(tmp_path / "told.fcz")
    upstream = await serve(mode="synth")
    recorder = await serve(mode="record", upstream=upstream.url, cassette=(cassette,))
    assert (await chat(recorder)).status == 200
    await recorder.close()

    app = await serve(mode="hybrid", cassette=(cassette,))
    assert (await chat(app, user="4711")).status == 200
    [told] = (await ask(app, f"{CASSETTES}/misses")).body["data"]
    assert told["answered_by"] == "synth"
    assert "There is no recording of POST /v1/chat/completions." in told["explanation"]
    assert "To record it: fakeai-proxy --mode auto" in told["explanation"]
    assert told["nearest"][0]["option"] == "--match-ignore '$.user'"
    assert (await ask(app, f"{CASSETTES}/misses/{told['id']}")).body == told


async def test_a_miss_that_was_recorded_is_held_against_what_was_there_before(
    serve: Serve, tmp_path: Path
) -> None:
    cassette = str(tmp_path / "grows.fcz")
    upstream = await serve(mode="synth")
    app = await serve(mode="auto", upstream=upstream.url, cassette=(cassette,))
    for tokens in (11, 12):
        assert (await chat(app, max_tokens=tokens)).status == 200
    later, first = (await ask(app, f"{CASSETTES}/misses")).body["data"]
    assert first["nearest"] == []
    assert first["explanation"] == "There is no recording of POST /v1/chat/completions."
    [near] = later["nearest"]
    assert "max_tokens" in near["differences"][0]
    assert "To record it" not in later["explanation"]


def test_requests_are_kept_for_explanations_as_long_as_there_is_room() -> None:
    tried = Tried()
    for number in range(3):
        explanation = Explanation(f"why {number}", [])
        later = Later(KEPT_BYTES_MAX // 2, lambda explanation=explanation: explanation)
        tried.miss(f"req_{number}", 0.0, "GET", "/", later)
    told = [missed.message for missed in explained(tried.newest_first())]
    assert told == ["why 2", "why 1", ""]
    [named] = explained(tried.newest_first(1, "req_1"))
    assert (named.message, named.later) == ("why 1", None)


async def test_without_cassettes_the_list_is_empty(serve: Serve) -> None:
    app = await serve(mode="synth")
    assert (await ask(app, CASSETTES)).body == {
        "object": "list", "data": [], "hits": 0, "misses": 0, "on_miss": None
    }  # fmt: skip
