"""The containers room under the vendor's SDK."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from fakeai_proxy.clock import VirtualClock
from tests.conftest import Serve
from tests.services.threaded import threaded_app

DATA = bytes(range(256))


async def not_found(asking: Any) -> str:
    with pytest.raises(openai.NotFoundError) as caught:
        await asking
    return str(caught.value.message)


async def test_a_container_is_made_listed_and_deleted(client: AsyncOpenAI) -> None:
    made = await client.containers.create(name="Mine")
    assert (made.object, made.name, made.status, made.memory_limit) == (
        "container", "Mine", "running", "1g",
    )  # fmt: skip
    assert made.id.startswith("cntr_")
    assert made.expires_after is not None
    assert (made.expires_after.anchor, made.expires_after.minutes) == ("last_active_at", 20)
    found = await client.containers.retrieve(made.id)
    assert (found.id, found.created_at) == (made.id, made.created_at)
    other = await client.containers.create(
        name="Other", memory_limit="4g", expires_after={"anchor": "last_active_at", "minutes": 5},
        network_policy={"type": "allowlist", "allowed_domains": ["a.example"]},
    )  # fmt: skip
    assert other.network_policy is not None
    assert other.network_policy.allowed_domains == ["a.example"]
    assert [one.id async for one in client.containers.list(limit=1)] == [other.id, made.id]
    assert [one.id async for one in client.containers.list(name="Mine")] == [made.id]
    await client.containers.delete(made.id)
    assert f"Container with id '{made.id}' not found." in await not_found(
        client.containers.retrieve(made.id)
    )


async def test_files_of_a_container_come_back_byte_for_byte(client: AsyncOpenAI) -> None:
    container = await client.containers.create(name="Mine")
    kept = await client.files.create(file=("k.bin", DATA * 2), purpose="user_data")
    sent = await client.containers.files.create(container.id, file=("s.bin", DATA))
    copied = await client.containers.files.create(container.id, file_id=kept.id)
    assert (sent.object, sent.bytes, sent.source) == ("container.file", 256, "user")
    assert sent.container_id == container.id
    assert sent.path.startswith("/mnt/data/")
    assert sent.path.endswith("-s.bin")
    files = client.containers.files
    listed = [one.id async for one in files.list(container.id, order="asc", limit=1)]
    assert listed == [sent.id, copied.id]
    got = await files.content.retrieve(sent.id, container_id=container.id)
    assert got.content == DATA
    # A copy is a copy.
    await client.files.delete(kept.id)
    got = await files.content.retrieve(copied.id, container_id=container.id)
    assert got.content == DATA * 2
    found = await files.retrieve(sent.id, container_id=container.id)
    assert found.model_dump() == sent.model_dump()
    await files.delete(sent.id, container_id=container.id)
    assert "Container file with id" in await not_found(
        files.retrieve(sent.id, container_id=container.id)
    )


async def test_a_container_begins_with_the_files_named(client: AsyncOpenAI) -> None:
    ids = [
        (await client.files.create(file=(f"{k}.txt", DATA), purpose="user_data")).id for k in "ab"
    ]
    made = await client.containers.create(name="Mine", file_ids=ids)
    paths = [one.path async for one in client.containers.files.list(made.id, order="asc")]
    assert [path[-6:] for path in paths] == ["-a.txt", "-b.txt"]
    assert "No such File object: file-none" in await not_found(
        client.containers.create(name="x", file_ids=[ids[0], "file-none"])
    )


async def test_what_is_in_one_container_is_not_in_another(client: AsyncOpenAI) -> None:
    one, other = [await client.containers.create(name=name) for name in "ab"]
    file = await client.containers.files.create(one.id, file=("a", DATA))
    files = client.containers.files
    await not_found(files.retrieve(file.id, container_id=other.id))
    await not_found(files.content.retrieve(file.id, container_id=other.id))
    assert "Container with id 'cntr_none' not found." in await not_found(
        files.retrieve(file.id, container_id="cntr_none")
    )
    await client.containers.delete(one.id)
    await not_found(files.retrieve(file.id, container_id=one.id))


async def test_a_container_expires_when_nobody_uses_it(serve: Serve) -> None:
    clock = VirtualClock(autojump=False)
    app = await serve(clock, mode="synth")
    async with AsyncOpenAI(base_url=app.url + "/v1", api_key="k", max_retries=0) as client:
        made = await client.containers.create(name="Mine")
        file = await client.containers.files.create(made.id, file=("a", DATA))
        clock.advance(1199)
        used = await client.containers.retrieve(made.id)
        assert (used.status, used.last_active_at) == ("running", made.created_at + 1199)
        clock.advance(1199)
        await client.containers.files.retrieve(file.id, container_id=made.id)
        clock.advance(1200)
        assert (await client.containers.retrieve(made.id)).status == "expired"
        files = client.containers.files
        for asked in (
            files.retrieve(file.id, container_id=made.id), files.create(made.id, file=("b", DATA)),
            files.content.retrieve(file.id, container_id=made.id),
        ):  # fmt: skip
            assert "Container is expired." in await not_found(asked)
        await client.containers.delete(made.id)


@pytest.mark.parametrize("name", ["../../etc/passwd", "..\\..\\x", "..", "/", "a/\0b", "n" * 3000])
async def test_a_name_leads_nowhere_out_of_the_container(client: AsyncOpenAI, name: str) -> None:
    made = await client.containers.create(name="Mine")
    file = await client.containers.files.create(made.id, file=(name, DATA))
    folder, _, last = file.path.rpartition("/")
    assert folder == "/mnt/data"
    assert len(last) < 255
    assert "\0" not in last
    assert "\\" not in last


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": "a", "memory_limit": "2g"}, "memory_limit"),
        ({"name": "a", "expires_after": {"anchor": "created_at", "minutes": 5}}, "expires_after.anchor"),
        ({"name": "a", "expires_after": {"anchor": "last_active_at", "minutes": 0}}, "expires_after.minutes"),
        ({"name": "a", "file_ids": "x"}, "file_ids"),
    ],
)  # fmt: skip
async def test_a_container_that_cannot_be_is_refused(
    client: AsyncOpenAI, body: dict[str, object], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.post("/containers", body=body, cast_to=object)
    assert caught.value.param == param


def test_a_blocking_client_does_all_of_it() -> None:
    with threaded_app() as url, OpenAI(
        base_url=url + "/v1", api_key="k", max_retries=0, _strict_response_validation=True
    ) as client:  # fmt: skip
        made = client.containers.create(name="Mine")
        file = client.containers.files.create(made.id, file=("a", DATA))
        assert [one.id for one in client.containers.files.list(made.id)] == [file.id]
        content = client.containers.files.content.retrieve(file.id, container_id=made.id)
        assert content.read() == DATA
        client.containers.delete(made.id)
        assert list(client.containers.list()) == []
