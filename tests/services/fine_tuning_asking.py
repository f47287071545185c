"""What the tests of fine-tuning ask with."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from openai import AsyncOpenAI
from openai.types.fine_tuning import FineTuningJob

from fakeai_proxy.app import App

MODEL = "gpt-4o-mini-2024-07-18"
OVER = ("succeeded", "failed", "cancelled")


def chat(question: str, answer: str) -> dict[str, Any]:
    return {
        "messages": [
            {"role": "system", "content": "You are terse."},
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]
    }


EXAMPLES = [chat(f"What is {n} plus {n}?", f"It is {2 * n}.") for n in range(12)]


def jsonl(examples: list[Any]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in examples)


async def upload(client: AsyncOpenAI, examples: list[Any], name: str = "train.jsonl") -> str:
    made = await client.files.create(file=(name, jsonl(examples)), purpose="fine-tune")
    return made.id


async def ended(client: AsyncOpenAI, job_id: str) -> FineTuningJob:
    for _ in range(2000):
        job = await client.fine_tuning.jobs.retrieve(job_id)
        if job.status in OVER:
            return job
    raise AssertionError(f"still {job.status}")


@asynccontextmanager
async def asking(app: App, *, strict: bool = True) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(
        base_url=app.url + "/v1",
        api_key="sk-test",
        max_retries=0,
        _strict_response_validation=strict,
    ) as made:
        yield made
