"""Responses in the background: whoever asked may leave, and is told when it has ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import orjson
from openai import AsyncOpenAI

from fakeai_proxy.clock import VirtualClock
from tests.conftest import Serve
from tests.doubles.fleets import toml
from tests.services.test_responses import ASK
from tests.services.webhook_receiver import receiving

HEADERS = {"authorization": "Bearer k"}
ENDED = ("completed", "incomplete", "cancelled")


async def _ended(client: AsyncOpenAI, name: str, clock: VirtualClock) -> Any:
    while (found := await client.responses.retrieve(name)).status not in ENDED:
        await clock.sleep_until(clock.now() + 1)
    return found


async def test_each_end_is_told_once_by_a_webhook(serve: Serve) -> None:
    async with receiving() as receiver:
        clock = VirtualClock()
        app = await serve(clock, mode="synth", webhook=(receiver.url,))
        async with AsyncOpenAI(base_url=app.url + "/v1", api_key="k", max_retries=0) as client:
            create = client.responses.create
            done = await create(model="gpt-4o", input=ASK, background=True)
            cut = await create(model="gpt-4o", input=ASK, background=True, max_output_tokens=16)
            stopped = await create(
                model="gpt-4o", input="Write 900 words about tea.", background=True
            )
            for _ in range(2):
                await client.responses.cancel(stopped.id)
            for made in (done, cut, stopped):
                await _ended(client, made.id, clock)
            while len(receiver.heard) < 3:
                await clock.sleep_until(clock.now() + 1)
            # Read to its end once more, by somebody who comes late.
            async for _ in await client.responses.retrieve(done.id, stream=True):
                pass
            told = [orjson.loads(text) for _, text in receiver.heard]
            assert {(event["type"], event["data"]["id"]) for event in told} == {
                ("response.completed", done.id), ("response.incomplete", cut.id),
                ("response.cancelled", stopped.id),
            }  # fmt: skip
            assert len(told) == 3


async def test_a_stream_whose_reader_left_can_be_read_again(serve: Serve, tmp_path: Path) -> None:
    clock = VirtualClock()
    app = await serve(clock, mode="synth", profile=toml(tmp_path))
    body = {"model": "llama-3.1-8b", "input": ASK, "background": True, "stream": True}
    heard: list[Any] = []
    async with httpx.AsyncClient(base_url=app.url + "/v1", headers=HEADERS, timeout=None) as http:
        async with http.stream("POST", "/responses", json=body) as got:
            async for line in got.aiter_lines():
                if line.startswith("data: "):
                    heard.append(orjson.loads(line.removeprefix("data: ")))
                if len(heard) == 8:
                    break
        name = heard[0]["response"]["id"]
        async with AsyncOpenAI(base_url=app.url + "/v1", api_key="k", max_retries=0) as client:
            whole = await _ended(client, name, clock)
            again = await client.responses.retrieve(name, stream=True, starting_after=3)
            events = [event async for event in again]
            assert [event.sequence_number for event in events[:4]] == [4, 5, 6, 7]
            assert [event.type for event in events[:4]] == [event["type"] for event in heard[4:]]
            last: Any = events[-1]
            assert last.response == whole
            assert await client.responses.retrieve(name) == whole


async def test_who_has_the_last_event_finds_it_all(serve: Serve, tmp_path: Path) -> None:
    """Behind a fleet, where nobody knows beforehand how much of a prompt was cached."""
    app = await serve(VirtualClock(), mode="synth", profile=toml(tmp_path))
    async with AsyncOpenAI(base_url=app.url + "/v1", api_key="k", max_retries=0) as client:
        conversation = await client.conversations.create()
        prompt = "Tell me more. " * 60
        for turn in range(3):
            stream = await client.responses.create(
                model="llama-3.1-8b", input=prompt, conversation=conversation.id, stream=True
            )
            async for event in stream:
                if event.type in ("response.completed", "response.incomplete"):
                    items = await client.conversations.items.list(conversation.id)
                    assert len(items.data) == 2 * (turn + 1)
                    assert await client.responses.retrieve(event.response.id) == event.response
                    assert event.response.usage is not None
                    cached = event.response.usage.input_tokens_details.cached_tokens
                    assert (cached > 0) == (turn > 0)
        completions = client.chat.completions
        async for chunk in await completions.create(
            model="llama-3.1-8b", messages=[{"role": "user", "content": prompt}], store=True,
            stream=True, stream_options={"include_usage": True},
        ):  # fmt: skip
            if chunk.usage is not None:
                kept = await completions.retrieve(chunk.id)
                assert kept.usage == chunk.usage
