"""httpx: blocking and asynchronous; a stream read line by line."""

from __future__ import annotations

import asyncio
import json
import sys

import httpx

URL = "https://api.openai.com/v1/chat/completions"
CALL = {"model": "gpt-4o", "messages": [{"role": "user", "content": sys.argv[1]}]}
KEY = {"Authorization": "Bearer sk-test"}


async def streamed() -> list[str]:
    async with (
        httpx.AsyncClient(headers=KEY, timeout=30) as client,
        client.stream("POST", URL, json={**CALL, "stream": True}) as reply,
    ):
        return [line async for line in reply.aiter_lines() if line]


with httpx.Client(headers=KEY, timeout=30) as client:
    answer = client.post(URL, json=CALL)
lines = asyncio.run(streamed())
print(
    json.dumps(
        {
            "version": answer.http_version,
            "text": answer.json()["choices"][0]["message"]["content"],
            "last_line": lines[-1],
            "pieces": len(lines),
        }
    )
)
