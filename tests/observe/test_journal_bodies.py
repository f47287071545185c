"""Bodies in the journal: only where they are asked for, without secrets, not longer than wanted; and the
journal as a file."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from fakeai_proxy.app import App
from fakeai_proxy.errors import ConfigError
from fakeai_proxy.observe import journal_file
from tests.conftest import Serve, serving
from tests.doubles.upstream import Answer, FakeUpstream
from tests.observe.asking import CHAT, ask, chat
from tests.observe.test_journal import JOURNAL, entries, exchange

FULL = Path("/dev/full")
KEY = "sk-proj-PlantedPlantedPlanted1234"


async def newest(app: App) -> dict[str, Any]:
    [entry, *_] = await entries(app)
    assert "request_body" not in entry
    return dict((await ask(app, f"{JOURNAL}/{entry['id']}")).body)


async def test_bodies_are_kept_without_the_secrets_in_them(serve: Serve) -> None:
    app = await serve(journal_bodies=65_536)
    said = {"role": "user", "content": f"My key is {KEY}, and Authorization: Bearer {KEY}"}
    await ask(
        app, "/v1/chat/completions", "POST", {**CHAT, "messages": [said], "stream": True, "max_tokens": 9},
        {"authorization": f"Bearer {KEY}"},
    )  # fmt: skip
    told = await newest(app)
    assert "Planted" not in json.dumps(told)
    assert "My key is REDACTED.credential" in told["request_body"]
    assert told["response_body"].startswith("data: {")
    assert told["response_body"].endswith("data: [DONE]\n\n")


async def test_a_secret_at_the_end_of_what_is_kept_is_not_cut_in_two(serve: Serve) -> None:
    body = json.dumps({**CHAT, "user": KEY}).encode()
    app = await serve(journal_bodies=body.index(KEY.encode()) + 12)
    await ask(app, "/v1/chat/completions", "POST", body, {"authorization": "Bearer any"})
    told = await newest(app)
    assert told["request_body"].endswith('"user": "REDACTED.ope')
    assert len(told["response_body"]) == len(told["request_body"])


async def test_what_an_upstream_encoded_is_readable(serve: Serve) -> None:
    answer = Answer(
        200,
        [(b"Content-Type", b"application/json"), (b"Content-Encoding", b"gzip")],
        [gzip.compress(json.dumps({"said": "Boats", "key": KEY}).encode())],
    )
    async with FakeUpstream() as upstream:
        upstream.on("POST", "/v1/chat/completions", answer)
        app = await serve(mode="pass", upstream=upstream.url, journal_bodies=1_000)
        await chat(app)
        told = await newest(app)
    assert json.loads(told["request_body"]) == CHAT
    assert json.loads(told["response_body"])["said"] == "Boats"
    assert "Planted" not in told["response_body"]


async def test_a_refusal_has_the_request_alone(serve: Serve) -> None:
    app = await serve(journal_bodies=100)
    await chat(app, model="of-nobody")
    told = await newest(app)
    assert told["request_body"].startswith('{"model": "of-nobody"')
    assert told["response_body"] == ""


async def test_unasked_there_are_none(serve: Serve) -> None:
    app = await serve()
    await chat(app)
    assert not {"request_body", "response_body"} & set(await newest(app))


async def test_every_exchange_is_a_line_of_the_file_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_file, "_PIECE_LINES", 2)
    path = tmp_path / "logs" / "journal.jsonl"
    for life in range(2):
        async with serving(journal_file=path, journal_bodies=50) as app:
            for number in range(5):
                app.journal.finished(exchange(life * 10 + number))
            await chat(app)
            [told, *_] = await entries(app)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["id"] for line in lines[:5]] == [f"req_{number}" for number in range(5)]
    assert lines[6]["id"] == "req_10"
    assert len(lines) == 12
    assert {name: lines[11][name] for name in told} == told
    assert lines[11]["request_body"].startswith('{"model"')
    assert path.stat().st_mode & 0o077 == 0


async def test_lines_are_written_before_the_end_and_after_a_reset(
    serve: Serve, tmp_path: Path
) -> None:
    path = tmp_path / "journal.jsonl"
    app = await serve(journal_file=path)
    app.journal.finished(exchange(1))
    await written(app, path, 1)
    await ask(app, JOURNAL, "DELETE")
    app.journal.finished(exchange(2))
    await written(app, path, 2)


async def written(app: App, path: Path, lines: int) -> None:
    async with asyncio.timeout(20):
        while (await asyncio.to_thread(path.read_text)).count("\n") != lines:
            await ask(app, "/_fakeai/health")


async def test_what_leaves_the_journal_too_early_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "journal.jsonl"
    async with serving(journal_file=path, journal_size=3) as app:
        for number in range(10):
            app.journal.finished(exchange(number))
    assert path.read_text().count("\n") == 3
    assert "7 exchanges are not in" in caplog.text


@pytest.mark.skipif(not FULL.exists(), reason="there is no device that is always full")
async def test_a_disk_that_takes_no_more_does_not_stop_the_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(journal_file=FULL) as app:
        await chat(app)
    assert "takes no more of the journal" in caplog.text


async def test_a_file_that_cannot_be_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="journal_file"):
        async with serving(journal_file=tmp_path):
            pass
    with pytest.raises(ConfigError, match="journal-size"):
        async with serving(journal_file=tmp_path / "a.jsonl", journal_size=0):
            pass
