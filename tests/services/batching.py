"""What the tests of batches ask, and how they wait."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from openai import AsyncOpenAI
from openai.types import Batch

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock

CHAT = "/v1/chat/completions"
OVER = ("completed", "failed", "expired", "cancelled")


def connected(app: App) -> AsyncOpenAI:
    return AsyncOpenAI(
        base_url=app.url + "/v1", api_key="k", max_retries=0, _strict_response_validation=True
    )


def question(k: int, **body: Any) -> dict[str, Any]:
    asked = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": f"What is {k}?"}]}
    return {
        "custom_id": f"line-{k}",
        "method": "POST",
        "url": CHAT,
        "body": {**asked, "max_tokens": 20, **body},
    }


def jsonl(lines: Sequence[Any]) -> bytes:
    return b"".join(
        line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines
    )


async def created(
    client: AsyncOpenAI, lines: Sequence[Any], endpoint: str = CHAT, **more: Any
) -> Batch:
    file = await client.files.create(file=("in.jsonl", jsonl(lines)), purpose="batch")
    return await client.batches.create(
        input_file_id=file.id,
        endpoint=endpoint,  # type: ignore[arg-type]  # tests ask for more
        completion_window="24h",
        **more,
    )


async def ended(client: AsyncOpenAI, batch: Batch, clock: VirtualClock | None = None) -> Batch:
    """With a clock that stands still, time passes with every look."""
    while batch.status not in OVER:
        batch = await client.batches.retrieve(batch.id)
        if clock is not None and not clock.autojump:
            clock.advance(0.1)
    return batch


async def told(client: AsyncOpenAI, file_id: str | None) -> list[dict[str, Any]]:
    if file_id is None:
        return []
    text = (await client.files.content(file_id)).text
    return [json.loads(line) for line in text.splitlines()]


async def results(client: AsyncOpenAI, batch: Batch) -> list[dict[str, Any]]:
    """Of both files."""
    outputs = await told(client, batch.output_file_id)
    return outputs + await told(client, batch.error_file_id)


def names(lines: Sequence[dict[str, Any]]) -> list[str]:
    return [line["custom_id"] for line in lines]
