"""The smallest whole lives: a request in, an answer out."""

from __future__ import annotations

from openai import AsyncOpenAI

from tests.conftest import Serve


async def test_the_official_client_lists_the_models(serve: Serve) -> None:
    app = await serve()
    async with AsyncOpenAI(base_url=f"{app.url}/v1", api_key="k") as client:
        models = [model.id async for model in client.models.list()]
    assert "gpt-4o-mini" in models
