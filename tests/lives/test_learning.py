"""Record, fit, synthesize: what a fitted profile answers is held against the recording, stream by stream
on a virtual clock, by the two-sample Kolmogorov-Smirnov test."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import httpx
import pytest

from fakeai_proxy.cli.recording_fit import Wanted, fit_recordings
from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.profiles.hosted_check import Samples, check, reads_of
from fakeai_proxy.shaping.faults.parsing import read_file
from tests.cassette import learnt
from tests.conftest import Serve

STREAMS = 240
ASKED = 90
KEY = {"authorization": "Bearer any-key"}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fitted")
    cassette = learnt.written(folder / "known.jsonl", STREAMS)
    wanted = Wanted(
        folder / "own.toml", folder / "faults.toml", folder / "limits.toml", folder / "fit.svg",
        as_json=True, strict=True,
    )  # fmt: skip
    with redirect_stdout(io.StringIO()) as out:
        assert fit_recordings([cassette], wanted) == 0
    told = json.loads(out.getvalue())
    assert len(told["checks"]) == 6
    assert all(row["passes"] for row in told["checks"])
    return folder


async def test_synth_of_a_fitted_profile_is_like_the_recording(serve: Serve, fitted: Path) -> None:
    clock = VirtualClock()
    app = await serve(clock=clock, mode="synth", profile=str(fitted / "own.toml"))
    heard = {model: Samples.empty() for model in learnt.MODELS}

    async def ask(client: httpx.AsyncClient, model: str, number: int) -> None:
        prompt = learnt.PROMPTS[number % len(learnt.PROMPTS)]
        asked_at = clock.now()
        body = {
            "model": model, "stream": True, "max_completion_tokens": 60, "ignore_eos": True,
            "messages": [{"role": "user", "content": f"{number}" + " and" * (prompt - 10)}],
        }  # fmt: skip
        instants = []
        async with client.stream("POST", f"{app.url}/v1/chat/completions", json=body) as reply:
            assert reply.status_code == 200
            async for piece in reply.aiter_raw():
                said = piece.count(b'"delta":{"content":"')
                instants += [clock.now() - asked_at] * (said - piece.count(b'"content":""'))
        heard[model].add(instants[0], *reads_of(instants, 0.0005))

    async with httpx.AsyncClient(timeout=None, headers=KEY) as client:
        for model in learnt.MODELS:
            # One after the other: the clock does not go on between a question and its arrival.
            for number in range(ASKED):
                await ask(client, model, number)
    known = learnt.measured(STREAMS)
    for model in learnt.MODELS:
        rows = check(model, known[model], heard[model])
        assert len(rows) == 3
        assert all(row.passes for row in rows), rows
    swapped = check("swapped", known["gpt-4o"], heard["gpt-4o-mini"])
    assert not any(row.passes for row in swapped), swapped


def test_what_was_refused_and_what_limits_were_told_come_as_files_that_load(fitted: Path) -> None:
    from fakeai_proxy.profiles.limits import load_limits

    rules = read_file(fitted / "faults.toml")
    assert len(rules) == 2
    limits, _ = load_limits(str(fitted / "limits.toml"))
    assert limits.vendor == "openai"
    assert [row.amounts for row in limits.limit] == [{"rpm": 500, "tpm": 30000}] * 2
    assert "known.jsonl" in limits.source
    assert (fitted / "fit.svg").read_text("utf-8").count("<svg") == 1


async def test_the_learnt_faults_come_as_often_as_they_were_recorded(
    serve: Serve, fitted: Path
) -> None:
    app = await serve(mode="synth", faults=str(fitted / "faults.toml"))
    statuses = []
    async with httpx.AsyncClient(headers=KEY) as client:
        for number in range(200):
            reply = await client.post(
                f"{app.url}/v1/embeddings",
                json={"model": "text-embedding-3-small", "input": f"{number}"},
            )
            assert reply.status_code == 200
            reply = await client.post(
                f"{app.url}/v1/chat/completions",
                json={"model": "gpt-4o", "max_tokens": 1,
                      "messages": [{"role": "user", "content": f"{number}"}]},
            )  # fmt: skip
            statuses.append(reply.status_code)
            if reply.status_code == 503:
                assert reply.headers["retry-after"] == "3"
    assert 2 <= statuses.count(503) <= 22
    assert statuses.count(200) + statuses.count(503) == 200
