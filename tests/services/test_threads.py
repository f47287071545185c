"""Threads and their messages under the vendor's SDK."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import pytest
from openai import AsyncOpenAI

from fakeai_proxy.app import App
from tests.services.assistant_asking import CODE, QUIET, STORY, assistant, thread
from tests.services.media import picture
from tests.services.refusing import refused

pytestmark = QUIET


async def test_a_thread_is_made_found_changed_and_deleted(client: AsyncOpenAI) -> None:
    threads = client.beta.threads
    made = await threads.create(
        messages=[{"role": "user", "content": "One"}, {"role": "assistant", "content": "Two"}],
        metadata={"a": "b"},
    )
    assert made.id.startswith("thread_")
    assert (made.object, made.metadata) == ("thread", {"a": "b"})
    assert (await threads.retrieve(made.id)).model_dump() == made.model_dump()
    file = await client.files.create(file=("a.csv", b"1,2"), purpose="assistants")
    changed = await threads.update(
        made.id, metadata={"c": "d"}, tool_resources={"code_interpreter": {"file_ids": [file.id]}}
    )
    assert changed.metadata == {"c": "d"}
    assert changed.tool_resources is not None
    assert changed.tool_resources.code_interpreter is not None
    assert changed.tool_resources.code_interpreter.file_ids == [file.id]
    said = [
        (one.role, one.content[0].text.value)  # type: ignore[union-attr] # texts were sent
        async for one in threads.messages.list(made.id, order="asc")
    ]
    assert said == [("user", "One"), ("assistant", "Two")]
    gone = await threads.delete(made.id)
    assert (gone.id, gone.object, gone.deleted) == (made.id, "thread.deleted", True)
    for asking in (
        threads.retrieve(made.id),
        threads.messages.list(made.id),
        threads.delete(made.id),
    ):
        status, _, _, message = await refused(asking)
        assert (status, message) == (404, f"No thread found with id '{made.id}'.")


async def test_a_message_is_made_found_changed_and_deleted(client: AsyncOpenAI) -> None:
    place = await thread(client)
    messages = client.beta.threads.messages
    made = await messages.create(place, role="user", content="Hello", metadata={"a": "b"})
    assert made.id.startswith("msg_")
    assert (made.object, made.thread_id, made.role, made.status) == (
        "thread.message", place, "user", "completed",
    )  # fmt: skip
    assert (made.run_id, made.assistant_id, made.attachments) == (None, None, [])
    (part,) = made.content
    assert part.type == "text"
    assert (part.text.value, part.text.annotations) == ("Hello", [])
    found = await messages.retrieve(made.id, thread_id=place)
    assert found.model_dump() == made.model_dump()
    changed = await messages.update(made.id, thread_id=place, metadata={"c": "d"})
    assert changed.metadata == {"c": "d"}
    assert changed.content == made.content
    gone = await messages.delete(made.id, thread_id=place)
    assert (gone.object, gone.deleted) == ("thread.message.deleted", True)
    status, _, _, message = await refused(messages.retrieve(made.id, thread_id=place))
    assert (status, message) == (404, f"No message found with id '{made.id}'.")


async def test_messages_show_pictures_by_url_and_by_file(client: AsyncOpenAI) -> None:
    place = await thread(client)
    file = await client.files.create(
        file=("a.png", b64decode(picture(40, 30, "red").partition(",")[2])), purpose="vision"
    )
    content: Any = [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "https://a.example/b.png", "detail": "low"}},
        {"type": "image_file", "image_file": {"file_id": file.id}},
    ]
    made = await client.beta.threads.messages.create(place, role="user", content=content)
    _, linked, kept = made.content
    assert linked.type == "image_url"
    assert (linked.image_url.url, linked.image_url.detail) == ("https://a.example/b.png", "low")
    assert kept.type == "image_file"
    assert (kept.image_file.file_id, kept.image_file.detail) == (file.id, "auto")
    run = await client.beta.threads.runs.create_and_poll(
        thread_id=place, assistant_id=await assistant(client), poll_interval_ms=20
    )
    assert (run.status, run.last_error) == ("completed", None)
    (said, _) = (await client.beta.threads.messages.list(place)).data
    assert "pixels" in said.content[0].text.value  # type: ignore[union-attr] # a text


async def test_what_is_attached_for_code_is_the_threads(client: AsyncOpenAI) -> None:
    place = await thread(client)
    file = await client.files.create(file=("a.csv", b"1,2"), purpose="assistants")
    attached: Any = [{"file_id": file.id, "tools": [CODE]}]
    made = await client.beta.threads.messages.create(
        place, role="user", content="Sum it up", attachments=attached
    )
    assert made.attachments is not None
    assert made.attachments[0].file_id == file.id
    found = await client.beta.threads.retrieve(place)
    assert found.tool_resources is not None
    assert found.tool_resources.code_interpreter is not None
    assert found.tool_resources.code_interpreter.file_ids == [file.id]
    attached[0]["file_id"] = "file-none"
    status, param, _, message = await refused(
        client.beta.threads.messages.create(
            place, role="user", content="And it", attachments=attached
        )
    )
    assert (status, param, message) == (404, "attachments", "No such File object: file-none")


async def test_messages_are_listed_in_pages_and_by_run(client: AsyncOpenAI) -> None:
    place = await thread(client, *[f"Say {k}" for k in range(4)])
    messages = client.beta.threads.messages
    ids = [one.id async for one in messages.list(place, order="asc", limit=3)]
    assert len(ids) == 4
    assert [one.id async for one in messages.list(place, limit=3)] == ids[::-1]
    page = await messages.list(place, order="asc", before=ids[2], limit=1)
    assert [one.id for one in page.data] == [ids[1]]
    run = await client.beta.threads.runs.create_and_poll(
        thread_id=place, assistant_id=await assistant(client), poll_interval_ms=20
    )
    (said,) = (await messages.list(place, run_id=run.id)).data
    assert (said.run_id, said.role) == (run.id, "assistant")
    assert (await messages.list(place, run_id="run_none")).data == []


async def test_what_is_in_one_thread_is_not_in_another(client: AsyncOpenAI) -> None:
    one, other = await thread(client, STORY), await thread(client)
    (message,) = (await client.beta.threads.messages.list(one)).data
    status, *_ = await refused(client.beta.threads.messages.retrieve(message.id, thread_id=other))
    assert status == 404
    run = await client.beta.threads.runs.create_and_poll(
        thread_id=one, assistant_id=await assistant(client), poll_interval_ms=20
    )
    status, _, _, said = await refused(client.beta.threads.runs.retrieve(run.id, thread_id=other))
    assert (status, said) == (404, f"No run found with id '{run.id}'.")


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"role": "user"}, "content", "missing_required_parameter"),
        ({"role": "system", "content": "x"}, "role", "invalid_value"),
        ({"role": "user", "content": " "}, "content", "invalid_value"),
        ({"role": "user", "content": []}, "content", "empty_array"),
        ({"role": "user", "content": "x" * 256_001}, "content", "string_above_max_length"),
        ({"role": "user", "content": [{"type": "text", "text": "x" * 256_001}]}, "content[0].text",
         "string_above_max_length"),
        ({"role": "user", "content": [{"type": "audio"}]}, "content[0].type", "invalid_value"),
        ({"role": "user", "content": "x", "metadata": {str(k): "" for k in range(17)}}, "metadata",
         "object_above_max_properties"),
        ({"role": "user", "content": "x", "file_ids": []}, "file_ids", "unknown_parameter"),
    ],
)  # fmt: skip
async def test_a_message_that_cannot_be_is_refused(
    client: AsyncOpenAI, body: dict[str, Any], param: str, code: str
) -> None:
    place = await thread(client)
    options: Any = {"headers": {"OpenAI-Beta": "assistants=v2"}}
    status, found, said, _ = await refused(
        client.post(f"/threads/{place}/messages", body=body, cast_to=object, options=options)
    )
    assert (status, found, said) == (400, param, code)
    listed = await client.beta.threads.messages.list(place)
    assert listed.data == []


async def test_no_id_leads_out_of_its_place(client: AsyncOpenAI, app: App) -> None:
    for place in ("..", "a/../b", "%2e%2e", "x" * 3000, "thread_\N{SNOWMAN}"):
        options: Any = {"headers": {"OpenAI-Beta": "assistants=v2"}}
        status, *_ = await refused(client.get(f"/threads/{place}", cast_to=object, options=options))
        assert status in (400, 404)
