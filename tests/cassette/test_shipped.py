"""The cassette that is shipped plays, through the program that a reader of the README starts."""

from __future__ import annotations

from pathlib import Path

import openai
import pytest

from fakeai_proxy.profiles import shipped
from tests.conftest import Serve

QUICKSTART = str(Path(str(shipped("cassettes"))) / "quickstart.jsonl")
LIGHTHOUSES = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Tell me about lighthouses"}],
    "max_tokens": 60,
}


async def test_the_shipped_cassette_answers_the_official_client(serve: Serve) -> None:
    app = await serve(mode="replay", cassette=(QUICKSTART,), timing="none")
    async with openai.AsyncOpenAI(base_url=app.url + "/v1", api_key="any", max_retries=0) as client:
        whole = await client.chat.completions.create(**LIGHTHOUSES)
        stream = await client.chat.completions.create(**LIGHTHOUSES, stream=True)
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
        assert (whole.choices[0].message.content or "").startswith("A good place to start")
        assert "".join(pieces).startswith("There is a lot to say about lighthouses")
        vector = await client.embeddings.create(
            model="text-embedding-3-small",
            input="lighthouse",
            dimensions=8,
            encoding_format="float",
        )
        assert len(vector.data[0].embedding) == 8
        with pytest.raises(openai.NotFoundError, match="gpt-nine"):
            await client.chat.completions.create(
                model="gpt-nine", messages=[{"role": "user", "content": "Hello"}]
            )
