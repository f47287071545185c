"""`fakeai-proxy journal` against a running server."""

from __future__ import annotations

import asyncio
import importlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fakeai_proxy.app import App
from fakeai_proxy.cli.columns import Row
from fakeai_proxy.cli.journal import journal
from fakeai_proxy.cli.running import asked
from fakeai_proxy.errors import ConfigError, FakeAIError
from tests.conftest import Serve
from tests.observe.asking import chat


async def said(*arguments: str) -> Result:
    runner = CliRunner()
    return await asyncio.to_thread(
        runner.invoke, journal, [*arguments], standalone_mode=False, env={"TZ": "UTC"}
    )


async def asked_twice(serve: Serve, **settings: object) -> App:
    app = await serve(**settings)
    await chat(app)
    await chat(app, model="of-nobody")
    return app


async def test_it_lists_what_was_answered_oldest_first(serve: Serve) -> None:
    app = await asked_twice(serve)
    lines = (await said(app.url)).stdout.splitlines()
    assert lines[0].split()[:5] == ["TIME", "STATUS", "SOURCE", "ROUTE", "MODEL"]
    assert re.match(
        r"[\d:.]{12}  200 +SYNTH +/chat/completions +gpt-4o-mini .* 0\.0\d{5}  stop$", lines[1]
    )
    assert " 404 " in lines[2]
    few = (await said(app.url, "--limit", "1", "--status", "2xx")).stdout.splitlines()
    assert few[1:] == lines[1:2]


async def test_it_is_json_for_programs(serve: Serve) -> None:
    app = await asked_twice(serve)
    got = await said(app.url, "--json", "--route", "/chat/completions")
    told = [json.loads(line) for line in got.stdout.splitlines()]
    assert [entry["status"] for entry in told] == [200, 404]


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
async def test_it_exports_by_the_name_of_the_file(
    serve: Serve, tmp_path: Path, suffix: str
) -> None:
    app = await asked_twice(serve)
    file = tmp_path / f"all.{suffix}"
    got = await said(app.url, "--export", str(file))
    assert f"Wrote {file}" in got.stderr
    data = file.read_bytes()
    assert len(data.splitlines()) == {"jsonl": 2, "csv": 3}.get(suffix, len(data.splitlines()))
    assert data.startswith({"jsonl": b'{"id"', "csv": b"id,arrived", "parquet": b"PAR1"}[suffix])


async def test_it_follows_until_the_server_ends(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = await serve()
    opened, shown = threading.Event(), threading.Event()

    @contextmanager
    def noticed(*arguments: Any) -> Iterator[HTTPResponse]:
        with asked(*arguments) as answer:
            assert answer.readline() == b"retry: 1000\n"
            opened.set()
            yield answer

    def line(row: Row) -> str:
        shown.set()
        return as_it_is(row)

    command = importlib.import_module("fakeai_proxy.cli.journal")
    as_it_is = command._line
    monkeypatch.setattr(command, "asked", noticed)
    monkeypatch.setattr(command, "_line", line)
    following = asyncio.ensure_future(said(app.url, "--follow", "--status", "404"))
    assert await asyncio.to_thread(opened.wait, 20)
    await chat(app)
    await chat(app, model="of-nobody")
    assert await asyncio.to_thread(shown.wait, 20)
    await app.close()
    got = await following
    assert re.fullmatch(r"[\d:.]{12} 404 +- +/chat/completions .*\n", got.stdout)
    assert isinstance(got.exception, FakeAIError)
    assert "has ended" in str(got.exception)


async def test_what_cannot_be_is_said(serve: Serve, tmp_path: Path) -> None:
    app = await serve(admin_token="open-sesame")
    assert "--admin-token" in str((await said(app.url)).exception)
    assert (await said(app.url, "--token", "open-sesame")).exception is None
    nowhere = await said("http://127.0.0.1:9")
    assert "Start one, or name its URL" in str(nowhere.exception)
    assert "http://" in str((await said("127.0.0.1:9")).exception)
    odd = await said(app.url, "--export", str(tmp_path / "all.xls"))
    assert isinstance(odd.exception, ConfigError)
    assert ".parquet" in str(odd.exception)
    placed = await said(
        app.url, "--token", "open-sesame", "--export", str(tmp_path / "nowhere" / "all.csv")
    )
    assert "nowhere/all.csv: No such file" in str(placed.exception)


async def test_a_reader_that_leaves_is_no_server_that_does_not_answer(serve: Serve) -> None:
    app = await serve()

    def leaves() -> None:
        with asked(app.url, None, "status", {}):
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        await asyncio.to_thread(leaves)
