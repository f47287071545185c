"""What the control API tells of cassettes: what they hold, what was found on them, what was missed."""

from __future__ import annotations

from pathlib import Path

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
    assert (await ask(recorder, CASSETTES)).body["data"][0]["interactions"] == 1
    await recorder.close()

    app = await serve(mode="replay", cassette=(cassette,))
    for _ in range(2):
        assert (await chat(app)).status == 200
    missed = await chat(app, max_tokens=77)
    assert missed.status == 404
    seen = (await ask(app, CASSETTES)).body
    assert (seen["hits"], seen["misses"], seen["on_miss"]) == (2, 1, "error")
    assert [(one["path"], one["interactions"], one["hits"]) for one in seen["data"]] == [
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
    assert (again["hits"], again["misses"], again["data"][0]["interactions"]) == (0, 0, 1)


async def test_a_miss_that_something_else_answers_is_counted_without_an_explanation(
    serve: Serve, tmp_path: Path
) -> None:
    cassette = tmp_path / "empty.jsonl"
    cassette.write_text("")
    app = await serve(mode="hybrid", cassette=(str(cassette),))
    assert (await chat(app)).status == 200
    [told] = (await ask(app, f"{CASSETTES}/misses")).body["data"]
    assert (told["answered_by"], told["explanation"]) == ("synth", None)


async def test_without_cassettes_the_list_is_empty(serve: Serve) -> None:
    app = await serve(mode="synth")
    assert (await ask(app, CASSETTES)).body == {
        "object": "list", "data": [], "hits": 0, "misses": 0, "on_miss": None
    }  # fmt: skip
