"""Conversations under the official SDK: kept by themselves, and as the memory of responses."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from fakeai_proxy.app import App
from tests.services.asking import WEATHER
from tests.services.threaded import threaded_app

HELLO: Any = {"role": "user", "content": "Hello, I keep lighthouses."}
PICTURE: Any = {
    "role": "user",
    "content": [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low"},
    ],
}
GET_WEATHER: Any = {"type": "function", **WEATHER["function"]}


async def said_in(client: AsyncOpenAI, name: str, **query: Any) -> list[Any]:
    return [item async for item in client.conversations.items.list(name, **query)]


async def test_a_conversation_lives_from_its_creation_to_its_end(client: AsyncOpenAI) -> None:
    made = await client.conversations.create(metadata={"topic": "sea"}, items=[HELLO])
    assert made.id.startswith("conv_")
    assert made.metadata == {"topic": "sea"}
    assert await client.conversations.retrieve(made.id) == made
    changed = await client.conversations.update(made.id, metadata={"topic": "land"})
    assert changed.metadata == {"topic": "land"}
    assert (changed.id, changed.created_at) == (made.id, made.created_at)
    gone = await client.conversations.delete(made.id)
    assert (gone.id, gone.deleted) == (made.id, True)
    for ask in (
        client.conversations.retrieve(made.id),
        client.conversations.delete(made.id),
        client.conversations.items.create(made.id, items=[HELLO]),
        client.responses.create(model="gpt-4o", input="Hi", conversation=made.id),
    ):
        with pytest.raises(openai.NotFoundError, match=f"'{made.id}' not found"):
            await ask


async def test_items_are_added_listed_in_pages_and_removed(client: AsyncOpenAI) -> None:
    name = (await client.conversations.create()).id
    assert await said_in(client, name) == []
    texts = [f"Message {k}" for k in range(7)]
    added = await client.conversations.items.create(
        name, items=[{"role": "user", "content": text} for text in texts]
    )
    ids = [item.id for item in added.data]
    assert len(set(ids)) == 7
    assert (added.first_id, added.last_id, added.has_more) == (ids[0], ids[-1], False)
    listed = await said_in(client, name, limit=2)
    assert [item.content[0].text for item in listed] == texts[::-1]
    assert [item.id for item in await said_in(client, name, order="asc", limit=3)] == ids
    one: Any = await client.conversations.items.retrieve(ids[3], conversation_id=name)
    assert (one.type, one.role, one.status) == ("message", "user", "completed")
    left = await client.conversations.items.delete(ids[3], conversation_id=name)
    assert left.id == name
    assert [item.id for item in await said_in(client, name, order="asc")] == ids[:3] + ids[4:]
    for ask in (client.conversations.items.retrieve, client.conversations.items.delete):
        with pytest.raises(openai.NotFoundError, match=ids[3]):
            await ask(ids[3], conversation_id=name)


async def test_an_id_is_given_once_in_a_conversation(client: AsyncOpenAI) -> None:
    name = (await client.conversations.create(items=[HELLO])).id
    (first,) = await said_in(client, name)
    again = await client.conversations.items.create(
        name, items=[{"type": "item_reference", "id": first.id}]
    )
    assert again.data[0].id != first.id
    assert [item.content for item in await said_in(client, name)] == [first.content] * 2


async def test_pictures_are_listed_where_they_are_asked_for(client: AsyncOpenAI) -> None:
    name = (await client.conversations.create(items=[PICTURE])).id
    for include, expected in (
        ([], None),
        (["message.input_image.image_url"], "https://example.com/a.png"),
        (["reasoning.encrypted_content", "message.input_image.image_url"],
         "https://example.com/a.png"),
        (["message.input_image.image_url", "reasoning.encrypted_content"],
         "https://example.com/a.png"),
    ):  # fmt: skip
        (item,) = await said_in(client, name, include=include)
        assert item.content[1].image_url == expected


async def test_a_response_goes_on_from_a_conversation_and_is_added_to_it(
    client: AsyncOpenAI,
) -> None:
    name = (await client.conversations.create(items=[HELLO])).id
    first = await client.responses.create(model="gpt-4o", input="And you?", conversation=name)
    assert first.conversation is not None
    assert first.conversation.id == name
    alone = await client.responses.create(model="gpt-4o", input="And you?")
    assert alone.conversation is None
    assert first.usage is not None
    assert alone.usage is not None
    assert first.usage.input_tokens > alone.usage.input_tokens
    items = await said_in(client, name, order="asc")
    assert [item.role for item in items] == ["user", "user", "assistant"]
    assert items[2].id == first.output[0].id
    assert items[2].content[0].text == first.output_text
    counted = await client.responses.input_tokens.count(
        model="gpt-4o", input="Go on", conversation={"id": name}
    )
    async with client.responses.stream(
        model="gpt-4o", input="Go on", conversation={"id": name}
    ) as stream:
        last = await stream.get_final_response()
    assert last.usage is not None
    assert last.usage.input_tokens == counted.input_tokens > first.usage.total_tokens
    newest = await said_in(client, name)
    assert newest[0].id == last.output[0].id


async def test_an_equal_request_hears_what_was_said_in_between(client: AsyncOpenAI) -> None:
    name = (await client.conversations.create()).id
    read = []
    for _ in range(3):
        answer = await client.responses.create(model="gpt-4o", input="More", conversation=name)
        assert answer.usage is not None
        read.append(answer.usage.input_tokens)
    assert read[0] < read[1] < read[2]
    ids = [item.id for item in await said_in(client, name)]
    assert len(set(ids)) == len(ids) == 6


async def test_a_tool_loop_in_a_conversation_ends(client: AsyncOpenAI) -> None:
    name = (await client.conversations.create()).id
    asked: Any = "What is the weather in Paris, in celsius?"
    turns = 0
    while turns < 4:
        turns += 1
        answer = await client.responses.create(
            model="gpt-5-mini", input=asked, conversation=name, tools=[GET_WEATHER]
        )
        calls = [item for item in answer.output if item.type == "function_call"]
        if not calls:
            break
        with pytest.raises(openai.BadRequestError, match="No tool output found for function call"):
            await client.responses.create(model="gpt-5-mini", input="So?", conversation=name)
        asked = [
            {"type": "function_call_output", "call_id": call.call_id, "output": "18 degrees"}
            for call in calls
        ]
    assert turns == 2
    assert "18 degrees" in answer.output_text
    kinds = [item.type for item in await said_in(client, name, order="asc")]
    assert kinds == ["message", "reasoning", "function_call", "function_call_output", "reasoning",
                     "message"]  # fmt: skip


async def test_a_background_response_joins_its_conversation(client: AsyncOpenAI) -> None:
    name = (await client.conversations.create()).id
    made = await client.responses.create(
        model="gpt-4o", input="Hello", conversation=name, background=True
    )
    assert made.status == "queued"
    assert [item.role for item in await said_in(client, name)] == ["assistant", "user"]


@pytest.mark.parametrize(
    ("path", "body", "status", "param", "code"),
    [
        ("", {"items": "hello"}, 400, "items", "invalid_type"),
        ("", {"items": [{"role": "king", "content": "x"}]}, 400, "items[0].role", "invalid_value"),
        ("", {"items": [{"type": "message"}]}, 400, "items[0].role", "missing_required_parameter"),
        ("", {"items": [{"role": "user", "content": [{"type": "output_text", "text": "x"}]}]}, 400,
         "items[0].content[0]", "invalid_value"),
        ("", {"items": [{"type": "item_reference", "id": "msg_x"}]}, 404, "input", None),
        ("", {"items": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-x"}]}]}, 404,
         "items[0].content[0].file_id", None),
        ("/{id}/items", {"items": [{"role": "user", "content": [
            {"type": "input_image", "file_id": "file-x"}]}]}, 404, "items[0].content[0].file_id", None),
        ("", {"items": [{"role": "user", "content": "x"}] * 21}, 400, "items",
         "array_above_max_length"),
        ("", {"metadata": {"k": "v" * 513}}, 400, "metadata.k", "string_above_max_length"),
        ("", {"colour": "red"}, 400, "colour", "unknown_parameter"),
        ("/{id}", {}, 400, "metadata", "missing_required_parameter"),
        ("/{id}/items", {"items": []}, 400, "items", "empty_array"),
        ("/{id}/items?limit=0", None, 400, "limit", "integer_below_min_value"),
        ("/{id}/items?limit=x", None, 400, "limit", "invalid_type"),
        ("/{id}/items?order=up", None, 400, "order", "invalid_value"),
        ("/{id}/items?after=msg_x", None, 404, "input", None),
        ("/conv_x", None, 404, None, None),
    ],
    ids=str,
)  # fmt: skip
async def test_what_is_wrong_is_refused(
    client: AsyncOpenAI, app: App, path: str, body: Any, status: int, param: str, code: str
) -> None:
    name = (await client.conversations.create()).id
    url = "/conversations" + path.format(id=name)
    asked = client.get(url, cast_to=object) if body is None else (
        client.post(url, cast_to=object, body=body)
    )  # fmt: skip
    with pytest.raises(openai.APIStatusError) as caught:
        await asked
    error: Any = caught.value.body
    assert (caught.value.status_code, error["param"], error["code"]) == (status, param, code)


def test_the_synchronous_client_keeps_conversations_too() -> None:
    with (
        threaded_app() as url,
        OpenAI(base_url=url + "/v1", api_key="sk-t", _strict_response_validation=True) as client,
    ):
        made = client.conversations.create(items=[HELLO])
        answer = client.responses.create(model="gpt-4o", input="Hi", conversation=made.id)
        items = list(client.conversations.items.list(made.id, limit=1))
        assert items[0].id == answer.output[0].id
        assert len(items) == 3
