"""The openai SDK, blocking and asynchronous, streaming and not; nothing in it knows of a proxy."""

from __future__ import annotations

import asyncio
import json
import sys

from openai import AsyncOpenAI, OpenAI

CALL = {"model": "gpt-4o", "messages": [{"role": "user", "content": sys.argv[1]}]}


def blocking() -> dict[str, object]:
    client = OpenAI()
    answer = client.chat.completions.create(**CALL)
    stream = client.chat.completions.create(**CALL, stream=True)
    return {
        "sync": answer.choices[0].message.content,
        "sync_id": answer.id,
        "sync_stream": "".join(chunk.choices[0].delta.content or "" for chunk in stream),
    }


async def asynchronous() -> dict[str, object]:
    client = AsyncOpenAI()
    answer = await client.chat.completions.create(**CALL)
    stream = await client.chat.completions.create(**CALL, stream=True)
    pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
    return {
        "async": answer.choices[0].message.content,
        "async_id": answer.id,
        "async_stream": "".join(pieces),
    }


print(json.dumps(blocking() | asyncio.run(asynchronous())))
