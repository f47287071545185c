"""`Was it called with this`: the control API's verify, and the profile that can be changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fakeai_proxy
from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock
from tests.conftest import Serve
from tests.observe.asking import Got, ask, chat

PROFILE = "/_fakeai/v1/profile"


async def verify(app: App, **wanted: Any) -> Got:
    return await ask(app, "/_fakeai/v1/verify", "POST", wanted)


async def test_calls_are_counted_by_what_they_were_asked(serve: Serve) -> None:
    app = await serve(mode="synth", keep_calls=100)
    await chat(app, temperature=0.2)
    await chat(app, model="gpt-4o", temperature=0.9)
    found = (await verify(app, path="/v1/chat/*", json={"$.temperature": 0.2})).body
    assert (found["ok"], found["count"], found["kept"]) == (True, 1, 2)
    assert found["matches"][0]["model"] == "gpt-4o-mini"
    assert found["near"][0]["misfits"] == ["at $.temperature there is 0.9"]
    for wanted, ok in (
        ({"contains": "lighthouses", "count": 2}, True),
        ({"contains": "lighthouses", "count": 1}, False),
        ({"model": "gpt-4o", "status": 200, "source": "synth", "at_most": 1}, True),
        ({"method": "post", "at_least": 3}, False),
        ({"body": '"temperature": 0.9'}, True),
        ({"body": "no such words", "at_most": 0}, True),
        ({"json": {"$.messages[0].role": "user"}, "at_least": 2, "at_most": 2}, True),
        ({"json": {"$.nothing": 1}}, False),
        ({"host": "api.openai.com"}, False),
    ):
        assert (await verify(app, **wanted)).body["ok"] is ok, wanted
    wrong = await verify(app, json={"$..[": 1})
    assert (wrong.status, wrong.body["error"]["param"]) == (400, "json")
    assert "calls" in (await ask(app, "/_fakeai/v1/reset", "POST")).body["reset"]
    assert (await verify(app, count=0)).body["ok"] is True


async def test_a_key_in_a_prompt_is_not_told(serve: Serve) -> None:
    app = await serve(mode="synth", keep_calls=5)
    key = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"
    await chat(app, messages=[{"role": "user", "content": f"My key is {key}"}])
    assert key.encode() not in (await verify(app)).data


async def test_no_more_calls_are_kept_than_asked_for(serve: Serve) -> None:
    app = await serve(mode="synth", keep_calls=2)
    for _ in range(3):
        await chat(app)
    found = (await verify(app, count=2)).body
    assert (found["ok"], found["kept"], found["calls_max"]) == (True, 2, 2)


async def test_without_keeping_calls_it_says_how_to(serve: Serve) -> None:
    app = await serve(mode="synth")
    refused = await verify(app)
    assert (refused.status, refused.code) == (409, "no_calls_kept")
    assert "--keep-calls" in refused.message


async def test_the_embedded_servers_own_memory_is_asked(serve: Serve) -> None:
    async with fakeai_proxy.serve(profile="none") as server:
        await chat(server.app)
        assert (await verify(server.app, contains="lighthouses", count=1)).body["ok"]
        assert server.calls.matching(json={"$.model": "gpt-4o-mini"}, body="lighthouses")


async def test_a_hosted_profile_is_exchanged_and_its_speed_too(serve: Serve) -> None:
    clock = VirtualClock()
    app = await serve(clock, mode="synth", profile="openai")

    async def spent() -> float:
        began = clock.now()
        assert (await chat(app)).status == 200
        return clock.now() - began

    slow = await spent()
    told = (await ask(app, PROFILE)).body
    assert (told["profile"], told["kind"], told["speed"]) == ("openai", "hosted", 1.0)
    assert (await ask(app, PROFILE, "PUT", {"speed": 100})).body["speed"] == 100
    assert 0 < await spent() < slow / 50
    told = (await ask(app, PROFILE, "PUT", {"profile": "none"})).body
    assert (told["profile"], told["kind"]) == ("none", "none")
    assert await spent() == 0
    unknown = await ask(app, PROFILE, "PUT", {"profile": "nobodys"})
    assert unknown.status == 400
    refused = await ask(app, PROFILE, "PUT", {"profile": "1xh100-8b"})
    assert (refused.status, refused.code) == (409, "profile_fixed")
    for said in (unknown.body, refused.body):  # what it may be instead, and nothing else
        assert "'openai', and 'none'." in said["error"]["message"]
        assert "8xh100" not in said["error"]["message"]


async def test_where_nothing_follows_a_profile_none_is_named_and_recordings_still_have_a_speed(
    serve: Serve, tmp_path: Path
) -> None:
    cassette = tmp_path / "a.jsonl"
    cassette.touch()
    app = await serve(mode="replay", cassette=(cassette,))
    assert (await ask(app, "/_fakeai/v1/status")).body["profile"] == ""
    told = (await ask(app, PROFILE)).body
    assert (told["profile"], told["choices"], told["speed_changes"]) == ("", [], True)
    assert (await ask(app, PROFILE, "PUT", {"speed": 4})).body["speed"] == 4
    at_once = await serve(mode="synth", profile="none", timing="none")
    assert not (await ask(at_once, PROFILE)).body["speed_changes"]
    refused = await ask(at_once, PROFILE, "PUT", {"profile": "openai", "speed": 4})
    assert (refused.status, refused.code) == (409, "profile_fixed")
    assert (await ask(at_once, PROFILE)).body["profile"] == "none"  # all of it, or nothing


async def test_a_fleet_stays_the_one_it_is(serve: Serve) -> None:
    app = await serve(VirtualClock(), mode="synth", profile="1xh100-8b")
    told = (await ask(app, PROFILE)).body
    assert (told["kind"], bool(told["models"])) == ("fleet", True)
    for change in ({"profile": "openai"}, {"speed": 2}):
        assert (await ask(app, PROFILE, "PUT", change)).code == "profile_fixed"
