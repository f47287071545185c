"""Chat completions that are stored: listed, read, changed and deleted with the official SDK."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from fakeai_proxy.app import App
from tests.services.asking import ASK, RAIN, WEATHER, question
from tests.services.threaded import threaded_app


async def stored(client: AsyncOpenAI, text: str, model: str = "gpt-4o", **metadata: str) -> str:
    answer = await client.chat.completions.create(
        model=model, messages=question(text), store=True, metadata=metadata, max_tokens=8
    )
    return answer.id


async def test_a_stored_completion_is_what_was_answered(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model="gpt-4o", messages=ASK, store=True, metadata={"team": "sea"}, seed=3
    )
    kept = await client.chat.completions.retrieve(answer.id)
    assert kept.model_dump(include={"id", "choices", "created", "model", "usage"}) == (
        answer.model_dump(include={"id", "choices", "created", "model", "usage"})
    )
    assert kept.metadata == {"team": "sea"}
    assert getattr(kept, "seed", None) == 3
    changed = await client.chat.completions.update(answer.id, metadata={"team": "land"})
    assert changed.metadata == {"team": "land"}
    gone = await client.chat.completions.delete(answer.id)
    assert (gone.id, gone.deleted, gone.object) == (answer.id, True, "chat.completion.deleted")
    with pytest.raises(openai.NotFoundError):
        await client.chat.completions.retrieve(answer.id)
    assert [each async for each in client.chat.completions.list()] == []


async def test_what_is_not_to_be_stored_is_not(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="gpt-4o", messages=ASK)
    with pytest.raises(openai.NotFoundError):
        await client.chat.completions.retrieve(answer.id)


async def test_a_list_is_paged_and_filtered(client: AsyncOpenAI) -> None:
    ids = [await stored(client, f"Tea {k}", team="ab"[k % 2], k=str(k)) for k in range(5)]
    other = await stored(client, "Tea", "gpt-4o-mini", team="a")
    listed = client.chat.completions.list
    assert [each.id async for each in listed(limit=2)] == [*ids, other]
    assert [each.id async for each in listed(limit=2, order="desc")] == [other, *reversed(ids)]
    assert [each.id async for each in listed(model="gpt-4o-mini")] == [other]
    assert [each.id async for each in listed(metadata={"team": "b"})] == ids[1::2]
    both: dict[str, str] = {"team": "a", "k": "2"}
    assert [each.id async for each in listed(metadata=both, limit=1)] == [ids[2]]
    page = await listed(limit=2, after=ids[1])
    assert ([each.id for each in page.data], page.has_more) == (ids[2:4], True)


async def test_the_messages_of_a_stored_completion(app: App, client: AsyncOpenAI) -> None:
    parts: list[Any] = [{"type": "text", "text": "Is it raining?"}]
    messages: list[Any] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": parts},
    ]
    answer = await client.chat.completions.create(model="gpt-4o", messages=messages, store=True)
    # Whatever the SDK's types say, most messages are not an assistant's.
    async with AsyncOpenAI(base_url=app.url + "/v1", api_key="sk-test") as lenient:
        listed = [each async for each in lenient.chat.completions.messages.list(answer.id)]
        assert [each.id for each in listed] == [f"{answer.id}-0", f"{answer.id}-1"]
        assert [each.role for each in listed] == ["system", "user"]
        assert listed[0].content == "Be brief."
        assert listed[1].content is None
        assert listed[1].to_dict()["content_parts"] == parts
        after = await lenient.chat.completions.messages.list(answer.id, after=listed[0].id, limit=1)
        assert ([each.id for each in after.data], after.has_more) == ([listed[1].id], False)


async def test_a_streamed_answer_and_its_calls_are_stored(client: AsyncOpenAI) -> None:
    async with client.chat.completions.stream(
        model="gpt-4o",
        messages=RAIN,
        tools=[WEATHER],
        store=True,  # type: ignore[list-item]  # a dict
    ) as stream:
        final = await stream.get_final_completion()
    kept = await client.chat.completions.retrieve(final.id)
    made, told = kept.choices[0].message.tool_calls, final.choices[0].message.tool_calls
    assert made is not None
    assert told is not None
    assert [call.id for call in made] == [call.id for call in told]


@pytest.mark.parametrize(
    ("query", "param"),
    [({"limit": 0}, "limit"), ({"limit": 101}, "limit"), ({"order": "up"}, "order"),
     ({"after": "chatcmpl-x"}, "after")],
)  # fmt: skip
async def test_a_bad_page_is_refused(
    client: AsyncOpenAI, query: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.list(**query)
    assert caught.value.param == param


def test_the_sync_client_stores_too() -> None:
    with threaded_app() as url, OpenAI(base_url=url + "/v1", api_key="sk-test") as client:
        made = client.chat.completions.create(model="gpt-4o", messages=ASK, store=True)
        assert [each.id for each in client.chat.completions.list()] == [made.id]
        assert client.chat.completions.delete(made.id).deleted
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.update(made.id, metadata={})
