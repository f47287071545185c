"""What comes and goes with requests is freed with them, and not when a collector comes by, which is rare:
meanwhile a recorder would hold hundreds of bodies."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from fakeai_proxy.exchange import Exchange
from tests.conftest import Ended, serving

KEY = {"authorization": "Bearer sk-x", "x-api-key": "sk-x", "anthropic-version": "2023-06-01"}
ASKED = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 20}
#: What `_asked` and `_left` ask for.
ASKED_HERE = 7
ENDLESS = {**ASKED, "stream": True, "max_tokens": 4_000, "min_tokens": 4_000, "ignore_eos": True}


class Counted(Ended):
    """Says when so many have ended; keeps none."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.over = asyncio.Event()
        self._left = count

    def finished(self, exchange: Exchange) -> None:
        self._left -= 1
        if not self._left:
            self.over.set()


@pytest.fixture
def nobody_collects() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.set_debug(0)
    gc.enable()


def collected() -> set[str]:
    """The types of ours that only a collector frees."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    found = {str(type(one)) for one in gc.garbage}
    gc.garbage.clear()
    return {name for name in found if "fakeai_proxy" in name or "aiohttp" in name}


async def _asked(address: str) -> None:
    """Whole answers, streams and errors of two vendors."""
    async with aiohttp.ClientSession(address, headers=KEY) as session:
        for path, model in (("chat/completions", "gpt-4o-mini"), ("messages", "claude-sonnet-4-5")):
            for more in ({}, {"stream": True}, {"model": "nobody"}):
                body = {**ASKED, "model": model, **more}
                async with session.post(f"/v1/{path}", json=body) as answer:
                    await answer.read()


async def _left(host: str, port: str) -> None:
    """Who leaves in the middle of a stream."""
    reader, writer = await asyncio.open_connection(host, port)
    body = json.dumps(ENDLESS).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-x\r\n"
    writer.write(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
    await reader.readline()
    writer.transport.abort()


@pytest.mark.parametrize("mode", ["synth", "record", "auto", "hybrid", "replay", "pass", "diff"])
@pytest.mark.usefixtures("nobody_collects")
async def test_an_exchange_leaves_nothing_to_collect(mode: str, tmp_path: Path) -> None:
    ended, cassette = Counted(ASKED_HERE), (str(tmp_path / "c.fcz"),)
    places: dict[str, object] = {} if mode in ("synth", "pass") else {"cassette": cassette}
    async with serving() as upstream:
        if mode not in ("synth", "hybrid", "replay"):
            places["upstream"] = upstream.url
        if mode in ("hybrid", "replay", "diff"):
            async with serving(mode="record", upstream=upstream.url, cassette=cassette) as app:
                await _asked(app.url)
        async with serving(observer=ended, mode=mode, **places) as app:
            gc.collect()
            await _asked(app.url)
            await _left(*str(app.url).removeprefix("http://").split(":"))
            await ended.over.wait()
            for gathered in (app.journal, app.outcomes):
                if gathered is not None:
                    gathered.catch_up()
            assert not collected()
