"""A cassette of every version of the format and of the manifest: each is opened, replayed and rewritten for
ever, and nothing of it is lost."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from fakeai_proxy.app import App
from fakeai_proxy.cassette import manifest, rewriting, sealing
from fakeai_proxy.cassette.format import VERSION, Interaction
from fakeai_proxy.cassette.rewriting import silent
from tests.cassette.made import held
from tests.conftest import serving

GOLDEN = Path(__file__).parent / "golden"
#: How many interactions are in each.
HELD = {
    "version-1.jsonl": 1,
    "sockets.jsonl": 1,
    "manifest-1.fcz": 4,
    "manifest-2.fcz": 5,
}


@pytest.fixture(params=HELD)
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy: whoever opens a cassette may derive files from it."""
    source, copy = GOLDEN / request.param, tmp_path / request.param
    if source.is_dir():
        shutil.copytree(source, copy)
    else:
        shutil.copy(source, copy)
    return copy


def records(path: Path) -> list[tuple[Interaction, bytes, bytes]]:
    return sorted(held(path), key=lambda one: one[0].id)


def test_there_is_one_of_each_version() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == set(HELD)
    versions = {
        json.loads((path / manifest.NAME).read_bytes())["version"] for path in GOLDEN.glob("*.fcz")
    }
    assert versions == set(range(1, manifest.VERSION + 1))
    heads = {
        json.loads(path.read_bytes().splitlines()[0])["version"] for path in GOLDEN.glob("*.jsonl")
    }
    assert heads == set(range(1, VERSION + 1))


def test_it_is_opened_whole(golden: Path) -> None:
    found = records(golden)
    assert len(found) == HELD[golden.name]
    for record, asked, answered in found:
        assert record.response is not None
        assert record.whole
        if record.response.is_socket:
            assert len(record.response.messages) == 12
            assert record.response.messages[-1].data == b"\x03\xe8bye"
        elif record.request.target.endswith("speech"):
            assert answered == (bytes(range(256)) * 300)[:70_000]
        else:
            assert answered == b"data: {}\n\ndata: [DONE]\n\n"
            assert (record.response.cuts, record.response.gaps_us) == ((10, 14), (412_345, 20_001))
            assert record.response.headers[1] == (b"X-Odd", b"\xff")
            assert json.loads(asked)["model"] == "gpt-4o-mini"


async def test_it_is_replayed(golden: Path) -> None:
    found = await asyncio.to_thread(records, golden)
    async with serving(mode="replay", cassette=(golden,), timing="none") as app:
        for record, asked, answered in found:
            assert record.response is not None
            if record.response.is_socket:
                await _converse(app, record)
            else:
                assert await _asked(app, record, asked) == answered


async def _asked(app: App, record: Interaction, body: bytes) -> bytes:
    headers = {"content-type": "application/json"}
    async with httpx.AsyncClient(base_url=app.url, trust_env=False) as client:
        answer = await client.post(record.request.target, content=body, headers=headers)
    assert answer.status_code == 200
    return answer.content


async def _converse(app: App, record: Interaction) -> None:
    assert record.response is not None
    url = app.url.replace("http", "ws", 1) + record.request.target
    heard: list[bytes] = []
    async with connect(url, proxy=None) as socket:
        for one in record.response.messages:
            if one.op in ("text", "binary") and one.sender == "client":
                await socket.send(one.data, text=one.op == "text")
            elif one.op == "text":
                heard.append(str(await socket.recv()).encode())
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert (socket.close_code, socket.close_reason) == (1000, "bye")
    assert heard == [one.data for one in record.response.messages
                     if (one.sender, one.op) == ("server", "text")]  # fmt: skip


@pytest.mark.parametrize("form", ["w.fcz", "w.jsonl", "w.jsonl.zst"])
def test_it_is_rewritten_without_loss(golden: Path, tmp_path: Path, form: str) -> None:
    before = records(golden)
    target = tmp_path / form
    rewriting.rewrite((golden,), target, None, silent)
    again = tmp_path / f"again-{form}"
    rewriting.rewrite((target,), again, None, silent)
    for path in (target, again):
        assert records(path) == before
    if form == "w.fcz":
        sealing.seal(again, again=True)
        assert records(again) == before


def test_what_a_later_version_says_is_kept(golden: Path, tmp_path: Path) -> None:
    """In records, in messages, in the manifest, and whole records of other kinds."""
    said = _later(golden)
    if golden.is_dir():
        sealing.seal(golden, again=True)
    else:
        rewriting.rewrite((golden,), golden, None, silent)
    assert _later(golden) == said
    assert said or golden.name == "manifest-1.fcz"


def _later(path: Path) -> list[Any]:
    if path.is_dir():
        return [json.loads((path / manifest.NAME).read_bytes()).get("later")] * ("2" in path.name)
    return [line.count(b'"later"') for line in path.read_bytes().splitlines() if b"later" in line]
