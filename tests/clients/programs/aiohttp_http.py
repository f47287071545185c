"""aiohttp, told to follow the environment: 20 requests side by side, and a stream."""

from __future__ import annotations

import asyncio
import json
import sys

import aiohttp

URL = "https://api.openai.com/v1/chat/completions"
CALL = {"model": "gpt-4o", "messages": [{"role": "user", "content": sys.argv[1]}]}


async def main() -> dict[str, object]:
    async with aiohttp.ClientSession(
        trust_env=True, headers={"Authorization": "Bearer sk-test"}
    ) as session:

        async def ask() -> str:
            async with session.post(URL, json=CALL) as reply:
                return str((await reply.json())["choices"][0]["message"]["content"])

        texts = await asyncio.gather(*(ask() for _ in range(20)))
        async with session.post(URL, json={**CALL, "stream": True}) as reply:
            lines = [line.decode().strip() async for line in reply.content if line.strip()]
    return {"texts": texts, "last_line": lines[-1], "pieces": len(lines)}


print(json.dumps(asyncio.run(main())))
