"""Files that are taken up again when they change, and those that cannot be."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fakeai_proxy import reloading
from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.fleet.worker import Worker
from tests.conftest import Serve, serving
from tests.doubles.upstream import FakeUpstream, json_reply
from tests.observe.asking import Got, ask, chat

RELOAD = "/_fakeai/v1/reload"
HOSTED = """
description = "A token at once"
source = "A test's own invention"
illustrative = true
[[latency]]
model = "*"
ttft_p50_ms = {ms}
ttft_sigma = 0.0
itl_p50_ms = 0.001
"""
SCENARIO = """
name = "mine"
description = "Of a test"
source = "A test's own invention"
illustrative = true
[[phase]]
name = "{name}"
faults = ["{fault}"]
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reloading, "LOOK_REAL_S", 0.02)


async def once(app: App, true: Callable[[Any], bool]) -> dict[str, Any]:
    """What is told of the one file that is watched, when that is so."""
    async with asyncio.timeout(20):
        while True:
            [told] = (await ask(app, RELOAD)).body["data"]
            if true(told):
                return dict(told)


async def taken(app: App, path: Path, text: str) -> dict[str, Any]:
    """What is told of a file once its new content has been tried."""
    [before] = app.reloading.told()
    before_error = before["error"]
    await asyncio.to_thread(path.write_text, text)
    return await once(
        app, lambda told: told["times"] != before["times"] or told["error"] != before_error
    )


async def reloaded(app: App) -> dict[str, Any]:
    [told] = (await ask(app, RELOAD, "POST")).body["data"]
    return dict(told)


async def test_a_file_of_faults_is_taken_up_and_others_rules_stay(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "faults.toml"
    path.write_text('[[fault]]\nfault = "429"\n[[fault]]\nfault = "503"\np = 0\n')
    app = await serve(faults=path, fault=("500:p=0",))
    await ask(app, "/_fakeai/v1/faults", "POST", {"rule": "404:p=0"})
    assert (await chat(app)).status == 429
    told = await taken(app, path, '[[fault]]\nfault = "418"\n[[fault]]\nfault = "429"\np = 0.5\n')
    assert (told["times"], told["error"]) == (1, None)
    rules = [rule["rule"] for rule in (await ask(app, "/_fakeai/v1/faults")).body["data"]]
    assert rules == [
        "status:code=500,p=0", "status:code=418", "status:code=429,p=0.5", "status:code=404,p=0"
    ]  # fmt: skip
    assert (await chat(app)).status == 418

    told = await taken(app, path, '[[fault]]\nfault = "no-such"\n')
    assert "no-such" in told["error"]
    assert "what was in force before stays" in caplog.text
    assert (await chat(app)).status == 418
    status = (await ask(app, "/_fakeai/v1/status")).body["files"]
    assert status == [told]

    told = await taken(app, path, '[[fault]]\nfault = "402"\n')
    assert (told["times"], told["error"]) == (2, None)
    assert (await chat(app)).status == 402


async def test_rules_that_a_file_still_has_go_on_counting(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "faults.toml"
    path.write_text('[[fault]]\nfault = "429"\n')
    app = await serve(faults=path)
    await chat(app)
    await asyncio.to_thread(path.write_text, '[[fault]]\nfault = "429"\n[[fault]]\nfault = "503"\n')
    assert (await reloaded(app))["times"] == 1
    told = (await ask(app, "/_fakeai/v1/faults")).body["data"]
    assert [(rule["rule"], rule["applied"]) for rule in told] == [
        ("status:code=429", 1),
        ("status:code=503", 0),
    ]


async def test_a_hosted_profile_is_taken_up(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(HOSTED.format(ms=1.0))
    app = await serve(profile=str(path))
    assert app.pacer.profile is not None
    await taken(app, path, HOSTED.format(ms=2.0))
    latency = app.pacer.profile.for_model("gpt-4o")
    assert latency.ttft_p50_ms == 2.0
    told = await taken(app, path, HOSTED.format(ms="'soon'"))
    assert "mine.toml" in told["error"]
    assert app.pacer.profile.for_model("gpt-4o").ttft_p50_ms == 2.0


async def test_a_fleet_takes_up_what_it_can_and_says_what_it_cannot(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "fleet.toml"
    quick = (Path(__file__).parent.parent / "profiles" / "fleets" / "quick.toml").read_text()
    path.write_text(quick)
    clock = VirtualClock(autojump=False)
    app = await serve(clock, profile=str(path))
    assert app.site is not None
    before = list(app.site.workers)
    more = quick.replace(f"replicas = {len(before)}", f"replicas = {len(before) + 2}")
    assert more != quick
    caplog.set_level("INFO")
    await taken(app, path, more)
    assert len(living(app.site.workers)) == len(before) + 2

    renewed = more.replace(
        "[[pool]]", "[router]\npolicy = 'round_robin'\n\n[[pool]]\ntp = 2\nmax_queue = 7", 1
    )
    told = await taken(app, path, renewed)
    assert (told["times"], told["error"]) == (2, None)
    assert "profile: in force: router.policy, pool.quick.max_queue" in caplog.text
    assert "profile: in force as new workers start: pool.quick.tp" in caplog.text
    assert {worker.life for worker in before} == {"ready"}
    clock.advance(600)
    assert [worker.pool.tp for worker in living(app.site.workers)] == [2] * (len(before) + 2)
    assert {worker.life for worker in before} == {"dead"}
    fleet = (await ask(app, "/_fakeai/v1/fleet")).body
    assert (fleet["router"], len(fleet["workers"])) == ("round_robin", len(before) + 2)

    for change, key in (
        ('model = "llama-3.1-8b"', "pool.quick.model"),
        ("gpus_per_node = 3", "gpus_per_node"),
    ):
        if key == "pool.quick.model":
            other = renewed.replace(change, 'model = "qwen3-32b"')
        else:
            other = f"{change}\n{renewed}"
        assert other != renewed
        told = await taken(app, path, other)
        assert f"only a restart can change {key}, and" in told["error"]
    assert len(living(app.site.workers)) == len(before) + 2
    told = await taken(
        app, path, renewed.replace("tp = 2", "tp = 2\ngpu_memory_utilization = 0.01")
    )
    assert "needs 8 GiB on each of 2 h100" in told["error"]
    assert len(living(app.site.workers)) == len(before) + 2


def living(workers: list[Worker]) -> list[Worker]:
    return [each for each in workers if each.life in ("starting", "ready")]


async def test_a_scenario_goes_on_with_what_its_file_says_now(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(SCENARIO.format(name="one", fault="429"))
    app = await serve(scenario=str(path))
    assert (await chat(app)).status == 429
    begun_at = app.scenario.begun_at
    await taken(app, path, SCENARIO.format(name="other", fault="503"))
    assert (await chat(app)).status == 503
    assert app.scenario.begun_at == begun_at
    assert (await ask(app, "/_fakeai/v1/scenario")).body["phase"] == "other"
    await ask(app, "/_fakeai/v1/scenario", "DELETE")
    told = await taken(app, path, SCENARIO.format(name="third", fault="500"))
    assert "stopped" in told["error"]
    assert (await chat(app)).status == 200


async def test_a_responder_is_told_of_as_well(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "answers.py"
    path.write_text("def answer(ask):\n    return 'one'\n")
    app = await serve(responder=f"{path}:answer")
    assert said(await chat(app)) == "one"
    await taken(app, path, "def answer(ask):\n    return 'other'\n")
    assert said(await chat(app)) == "other"
    told = await taken(app, path, "def answer(ask:\n")
    assert "SyntaxError" in told["error"]
    assert said(await chat(app)) == "other"


def said(reply: Got) -> str:
    return str(reply.body["choices"][0]["message"]["content"])


async def recording(place: Path, *answers: str) -> None:
    async with (
        FakeUpstream() as upstream,
        serving(mode="record", upstream=upstream.url, cassette=(place,)) as app,
    ):
        for answer in answers:
            upstream.on("POST", "/v1/chat/completions", json_reply({"said": answer}))
            await chat(app, model=answer)


@pytest.mark.parametrize("name", ["one.fcz", "one.jsonl"])
@pytest.mark.parametrize("match", ["exact", "agent"])
async def test_a_cassette_that_changed_is_replayed_as_it_is(
    serve: Serve, tmp_path: Path, name: str, match: str
) -> None:
    place, later = tmp_path / name, tmp_path / f"later-{name}"
    await recording(place, "a")
    await recording(later, "a", "b")
    app = await serve(mode="replay", cassette=(place,), match=match)
    assert (await chat(app, model="a")).body == {"said": "a"}
    assert (await chat(app, model="b")).code == "cassette_miss"

    def replaced() -> None:
        if place.is_dir():
            shutil.rmtree(place)
            shutil.copytree(later, place)
        else:
            shutil.copy(later, place)

    await asyncio.to_thread(replaced)
    await once(app, lambda told: told["times"] == 1)
    assert (await chat(app, model="a")).body == {"said": "a"}
    assert (await chat(app, model="b")).body == {"said": "b"}

    await asyncio.to_thread(shutil.rmtree if place.is_dir() else Path.unlink, place)
    told = await once(app, lambda told: told["error"] is not None)
    assert "no such cassette" in told["error"]
    assert (await chat(app, model="b")).body == {"said": "b"}


async def test_what_is_recorded_into_is_not_read_again(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with FakeUpstream() as upstream:
        upstream.on("POST", "/v1/chat/completions", json_reply({"said": "a"}))
        app = await serve(mode="auto", upstream=upstream.url, cassette=(tmp_path / "a.fcz",))
        [cassettes] = app.reloading._watched
        before = cassettes.seen
        await chat(app)
        async with asyncio.timeout(20):
            while cassettes.seen == before or cassettes.signature() != cassettes.seen:
                await ask(app, RELOAD)
        assert not caplog.records, "what we record ourselves is nothing to warn of"
        told = await reloaded(app)
    assert "recorded into" in told["error"]
    assert told["times"] == 0


async def test_where_no_file_is_named_there_is_nothing_to_do(serve: Serve) -> None:
    app = await serve(profile="quick")
    assert (await ask(app, RELOAD, "POST")).body == {"object": "list", "data": []}
