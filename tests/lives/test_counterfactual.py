"""A recorded agent that goes another way from one of its turns: forked, edited, and answered by synth, live
or another recording."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from openai import AsyncOpenAI

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock
from tests.cassette.made import held
from tests.cli.test_cassette_packing import run, said
from tests.conftest import Ended, Serve, serving

MODEL = "gpt-4o-mini"
TURNS = 5
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "look_up",
            "description": "Look something up.",
            "parameters": {
                "type": "object", "properties": {"word": {"type": "string"}},
                "required": ["word"], "additionalProperties": False,
            },
        },
    }
]  # fmt: skip


async def agent(app: App, *, streams: bool = False, session: str = "") -> list[str]:
    """Calls its tool in every turn but the last; what it found goes into the next. What the model
    said, turn by turn."""
    heard = []
    base_url = f"{app.url}/s/{session}/v1" if session else f"{app.url}/v1"
    async with AsyncOpenAI(api_key="any-key", base_url=base_url, max_retries=0) as client:
        messages: list[Any] = [{"role": "user", "content": "What is a lighthouse for?"}]
        for turn in range(TURNS):
            choice: Any = "required" if turn < TURNS - 1 else "none"
            asked = {"model": MODEL, "messages": messages, "tools": TOOLS, "tool_choice": choice}
            if streams:
                async with client.chat.completions.stream(**asked) as stream:
                    message = (await stream.get_final_completion()).choices[0].message
            else:
                message = (await client.chat.completions.create(**asked)).choices[0].message
            if turn == TURNS - 1:
                heard.append(str(message.content))
                break
            assert message.tool_calls
            (call,) = message.tool_calls
            assert call.type == "function"
            heard.append(call.function.arguments)
            messages.append({
                "role": "assistant",
                "tool_calls": [{"id": call.id, "type": "function", "function": {
                    "name": call.function.name, "arguments": call.function.arguments}}],
            })  # fmt: skip
            found = f"Turn {turn}: {len(call.function.arguments)} of {call.function.arguments}"
            messages.append({"role": "tool", "tool_call_id": call.id, "content": found})
    return heard


async def record(
    place: Path, *, streams: bool = False, sessions: tuple[str, ...] = ("",), upstream: str = ""
) -> list[str]:
    heard: list[str] = []
    async with (
        serving(mode="synth", seed=7) as synth,
        serving(mode="record", upstream=upstream or synth.url, cassette=(str(place),)) as app,
    ):
        for session in sessions:
            heard = await agent(app, streams=streams, session=session)
    return heard


def edit_answer(monkeypatch: pytest.MonkeyPatch, folder: Path, word: str) -> None:
    """$EDITOR has the model look `word` up."""
    program = folder / "editor.py"
    program.write_text(
        "import json, sys\n"
        "told = json.load(open(sys.argv[1]))\n"
        "body = told['response']['body']['json']\n"
        "call = body['choices'][0]['message']['tool_calls'][0]\n"
        f"call['function']['arguments'] = json.dumps({{'word': {word!r}}})\n"
        "json.dump(told, open(sys.argv[1], 'w'))\n"
    )
    monkeypatch.setenv("VISUAL", f"python3 {program}")


def outcomes(ended: Ended) -> list[str]:
    return [exchange.verdict for exchange in ended.exchanges]


@pytest.mark.parametrize("streams", [False, True])
async def test_a_branch_is_the_recording_up_to_its_turn_and_goes_on_by_synth(
    serve: Serve, tmp_path: Path, streams: bool
) -> None:
    base, branch = tmp_path / "base.fcz", tmp_path / "branch.fcz"
    recorded = await record(base, streams=streams)
    before = held(base)
    told = said("fork", base, "2", branch)
    assert f"{branch}: turns 1 to 2; 3 left behind" in told
    ended = Ended()
    app = await serve(
        observer=ended, mode="hybrid", on_miss="record-synth", cassette=(str(branch),), seed=99
    )
    went = await agent(app, streams=streams)
    await app.close()
    assert outcomes(ended) == ["HIT", "HIT", "NEW", "NEW", "NEW"]
    assert went[:2] == recorded[:2]
    assert went[2:] != recorded[2:]
    assert held(base) == before
    assert len(held(branch)) == TURNS

    again = Ended()
    app = await serve(observer=again, mode="replay", cassette=(str(branch),))
    assert await agent(app, streams=streams) == went
    await app.close()
    assert outcomes(again) == ["HIT"] * TURNS


async def test_what_is_made_up_is_replayed_at_the_pace_at_which_it_was(
    serve: Serve, tmp_path: Path
) -> None:
    branch, clock = tmp_path / "branch.fcz", VirtualClock()
    app = await serve(
        clock=clock,
        mode="hybrid",
        on_miss="record-synth",
        profile="anthropic",
        cassette=(str(branch),),
    )
    made_up = await instants(app, clock)
    await app.close()
    assert made_up[0] > 0.1
    assert made_up[-1] > made_up[0] + 0.1
    app = await serve(clock=(clock := VirtualClock()), mode="replay", cassette=(str(branch),))
    assert await instants(app, clock) == pytest.approx(made_up, abs=0.002)


async def test_a_conversation_that_is_made_up_is_not_recorded(serve: Serve, tmp_path: Path) -> None:
    branch = tmp_path / "branch.fcz"
    app = await serve(mode="hybrid", on_miss="record-synth", cassette=(str(branch),))
    headers = {"authorization": "Bearer any-key"}
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.ws_connect(f"{app.url}/v1/realtime?model=gpt-realtime") as socket,
    ):
        assert (await socket.receive_json())["type"] == "session.created"
    await app.close()
    assert held(branch) == []


async def instants(app: App, clock: VirtualClock) -> list[float]:
    """Of a stream's first and last words, in seconds."""
    async with AsyncOpenAI(api_key="any-key", base_url=f"{app.url}/v1", max_retries=0) as client:
        started_at, found = clock.now(), []
        async for chunk in await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Why?"}], stream=True, max_tokens=30
        ):
            if chunk.choices and chunk.choices[0].delta.content:
                found.append(clock.now() - started_at)
    return [found[0], found[-1]]


async def test_an_edited_answer_sends_the_program_another_way(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, branch = tmp_path / "base.fcz", tmp_path / "branch.jsonl"
    ended = Ended()
    async with serving(mode="synth", seed=7) as live:
        recorded = await record(base, upstream=live.url)
        edit_answer(monkeypatch, tmp_path, "a word of quite another length")
        ids = [record.id for record, _, _ in held(base)]
        assert "the last one edited" in said("fork", base, ids[1], branch, "--edit")
        app = await serve(observer=ended, mode="auto", cassette=(str(branch),), upstream=live.url)
        went = await agent(app)
        await app.close()
    assert outcomes(ended) == ["HIT", "HIT", "NEW", "NEW", "NEW"]
    assert went[0] == recorded[0]
    assert went[1] == '{"word": "a word of quite another length"}'
    assert went[4] != recorded[4]
    parted = run("diff", base, branch)
    assert "1 same, 3 request, 4 text" in parted.stdout


async def test_another_recording_goes_on_from_the_fork(serve: Serve, tmp_path: Path) -> None:
    """What is on both is the branch's; what comes after it, the other's."""
    base, other, branch = (tmp_path / f"{name}.fcz" for name in ("base", "other", "branch"))
    recorded = await record(base)
    await record(other)
    said("fork", base, "3", branch)
    app = await serve(mode="replay", cassette=(str(branch), str(other)))
    assert await agent(app) == recorded


async def test_a_turn_is_named_within_its_session(serve: Serve, tmp_path: Path) -> None:
    base, branch = tmp_path / "base.fcz", tmp_path / "branch.fcz"
    await record(base, sessions=("ann", "bob"))
    assert "turns 1 to 2 of session bob; 3 left" in said("fork", base, "bob:2", branch)
    assert [record.session for record, _, _ in held(branch)] == ["bob", "bob"]
    assert [json.loads(body)["model"] for _, body, _ in held(branch)] == [MODEL] * 2
    missing = tmp_path / "missing.fcz"
    for turn, reason in (
        ("2", "Say SESSION:TURN. Recorded: ann, bob"),
        ("bob:9", "there is no turn 9: the session has 1 to 5"),
        ("eve:1", "there is no session 'eve'"),
        ("zzzz", "no turns have an id that begins with zzzz"),
    ):
        result = run("fork", base, turn, missing)
        assert result.exit_code == 1
        assert reason in result.output
    assert "is there already" in run("fork", base, "ann:1", branch).output
    assert not missing.exists()
