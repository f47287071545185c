"""The list of models in Anthropic's shape."""

from __future__ import annotations

import anthropic
import httpx
import pytest

from fakeai_proxy.app import App
from tests.conftest import Serve
from tests.services.messages_asking import only_known_fields, sdk_at


async def test_the_sdk_pages_through_the_list_in_both_directions(app: App) -> None:
    async with sdk_at(app) as client:
        page = await client.models.list(limit=4)
        every = [model.id async for model in page]
        whole = await client.models.list(limit=1000)
        assert every == [model.id for model in whole.data]
        assert not whole.has_more
        assert len(every) == len(set(every)) > 10
        assert "claude-opus-4-6" in every
        assert "gpt-4o" not in every
        before = await client.models.list(limit=3, before_id=every[5])
        assert [model.id for model in before.data] == every[2:5]
        assert before.has_more
    for model in whole.data:
        only_known_fields(model)
    created = [model.created_at for model in whole.data]
    assert created == sorted(created, reverse=True)


async def test_a_model_tells_its_limits_and_abilities(app: App) -> None:
    async with sdk_at(app) as client:
        model = await client.models.retrieve("claude-haiku-4-5-20251001")
        with pytest.raises(anthropic.NotFoundError):
            await client.models.retrieve("claude-9")
        newest = await client.models.retrieve("claude-opus-5-5")
    assert model.display_name == "Claude Haiku 4.5"
    assert (model.line, model.max_input_tokens, model.max_tokens) == ("haiku", 200_000, 64_000)
    assert model.capabilities is not None
    assert model.capabilities.thinking.types.enabled.supported
    assert newest.capabilities is not None
    assert not newest.capabilities.thinking.types.enabled.supported


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"limit": "0"}, "limit: Input should be greater than or equal to 1"),
        ({"limit": "1001"}, "limit: Input should be less than or equal to 1000"),
        ({"limit": "x"}, "limit: Input should be a valid integer"),
        ({"after_id": "x"}, "after_id: "),
    ],
)
async def test_a_bad_page_is_refused(app: App, query: dict[str, str], words: str) -> None:
    headers = {"x-api-key": "k", "anthropic-version": "2023-06-01"}
    async with httpx.AsyncClient(headers=headers) as http:
        reply = await http.get(app.url + "/v1/models", params=query)
    assert reply.status_code == 400
    assert reply.json()["error"]["message"].startswith(words)


async def test_models_that_were_added_and_those_of_a_fleet_are_listed(serve: Serve) -> None:
    app = await serve(mode="synth", model=("my-model",), profile="1xh100-8b")
    async with sdk_at(app) as client:
        listed = [model.id async for model in client.models.list()]
        assert "llama-3.1-8b" in listed
        answer = await client.messages.create(
            model="llama-3.1-8b", max_tokens=5, messages=[{"role": "user", "content": "hi"}]
        )
    assert answer.usage.output_tokens == 5
