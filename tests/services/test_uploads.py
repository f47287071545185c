"""The uploads room under the vendor's SDK."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock
from tests.conftest import Serve
from tests.services.threaded import threaded_app

DATA = bytes(range(256)) * 40


async def begin(client: AsyncOpenAI, size: int = len(DATA), **more: Any) -> Any:
    given = {"filename": "a.bin", "purpose": "user_data", "mime_type": "text/plain", **more}
    return await client.uploads.create(bytes=size, **given)


async def add(client: AsyncOpenAI, upload_id: str, data: bytes) -> str:
    part = await client.uploads.parts.create(upload_id, data=data)
    assert (part.object, part.upload_id) == ("upload.part", upload_id)
    assert part.id.startswith("part_")
    return part.id


async def refused(asking: Any) -> tuple[int, str | None, str]:
    with pytest.raises(openai.APIStatusError) as caught:
        await asking
    return caught.value.status_code, caught.value.param, caught.value.message


async def test_parts_sent_in_any_order_become_a_file_in_the_order_named(
    client: AsyncOpenAI,
) -> None:
    upload = await begin(client)
    assert (upload.status, upload.bytes, upload.file) == ("pending", len(DATA), None)
    assert upload.expires_at == upload.created_at + 3600
    pieces = [DATA[:1000], DATA[1000:5000], DATA[5000:]]
    stray = await add(client, upload.id, b"never named")
    later = await add(client, upload.id, pieces[2])
    first, second = await asyncio.gather(*[add(client, upload.id, one) for one in pieces[:2]])
    done = await client.uploads.complete(
        upload.id, part_ids=[first, second, later], md5=hashlib.md5(DATA).hexdigest()
    )
    assert done.status == "completed"
    assert done.file is not None
    assert (done.file.bytes, done.file.filename, done.file.purpose) == (
        len(DATA), "a.bin", "user_data",
    )  # fmt: skip
    assert (await client.files.content(done.file.id)).content == DATA
    assert await client.files.retrieve(done.file.id) == done.file
    assert stray not in (first, second, later)


async def test_what_does_not_add_up_is_refused_and_may_be_put_right(client: AsyncOpenAI) -> None:
    upload = await begin(client)
    one, two = await add(client, upload.id, DATA[:9]), await add(client, upload.id, DATA[9:])
    complete = client.uploads.complete
    status, param, words = await refused(complete(upload.id, part_ids=[one]))
    assert (status, param) == (400, "part_ids")
    assert f"9 bytes in total, but the Upload was created for {len(DATA)} bytes" in words
    status, param, _ = await refused(complete(upload.id, part_ids=[two, one], md5="0" * 32))
    assert (status, param) == (400, "md5")
    status, param, words = await refused(complete(upload.id, part_ids=[one, "part_none"]))
    assert (status, param) == (400, "part_ids")
    assert "part_none" in words
    assert (await refused(complete(upload.id, part_ids=[one, one])))[:2] == (400, "part_ids")
    assert (await refused(complete(upload.id, part_ids=[])))[:2] == (400, "part_ids")
    assert (await client.files.list()).data == []
    assert (await complete(upload.id, part_ids=[one, two])).status == "completed"


async def test_an_upload_ends_once(client: AsyncOpenAI) -> None:
    upload = await begin(client)
    part = await add(client, upload.id, DATA)
    asked = [client.uploads.complete(upload.id, part_ids=[part]) for _ in range(4)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(one, openai.BadRequestError) for one in answers) == 3
    assert len((await client.files.list()).data) == 1
    for late in (
        client.uploads.complete(upload.id, part_ids=[part]), client.uploads.cancel(upload.id),
        client.uploads.parts.create(upload.id, data=b"x"),
    ):  # fmt: skip
        status, _, words = await refused(late)
        assert (status, "status is 'completed'" in words) == (400, True)


async def test_a_cancelled_upload_takes_nothing_more(client: AsyncOpenAI) -> None:
    upload = await begin(client)
    part = await add(client, upload.id, DATA)
    assert (await client.uploads.cancel(upload.id)).status == "cancelled"
    status, _, words = await refused(client.uploads.complete(upload.id, part_ids=[part]))
    assert (status, "status is 'cancelled'" in words) == (400, True)


async def test_an_upload_expires(serve: Serve) -> None:
    clock = VirtualClock(autojump=False)
    app = await serve(clock, mode="synth")
    async with AsyncOpenAI(base_url=app.url + "/v1", api_key="k", max_retries=0) as client:
        upload = await begin(client)
        clock.advance(3599)
        await add(client, upload.id, DATA)
        clock.advance(1)
        status, _, words = await refused(client.uploads.parts.create(upload.id, data=b"x"))
        assert (status, "status is 'expired'" in words) == (400, True)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"bytes": 0}, "bytes"),
        ({"bytes": (8 << 30) + 1}, "bytes"),
        ({"bytes": "10"}, "bytes"),
        ({"purpose": "answers"}, "purpose"),
        ({"filename": ""}, "filename"),
        ({"filename": "a.txt", "purpose": "batch"}, "file"),
        ({"mime_type": None}, "mime_type"),
        ({"expires_after": {"anchor": "created_at", "seconds": 1}}, "expires_after.seconds"),
    ],
)
async def test_an_upload_that_cannot_be_is_refused_at_once(
    app: App, change: dict[str, object], param: str
) -> None:
    body = {"filename": "a", "purpose": "user_data", "bytes": 1, "mime_type": "text/plain"}
    async with httpx.AsyncClient(headers={"authorization": "Bearer k"}) as http:
        answer = await http.post(app.url + "/v1/uploads", json={**body, **change})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_parts_of_nothing_are_404(client: AsyncOpenAI) -> None:
    for asked in (
        client.uploads.parts.create("upload_none", data=b"x"), client.uploads.cancel("upload_none"),
        client.uploads.complete("upload_none", part_ids=["a"]),
    ):  # fmt: skip
        status, _, words = await refused(asked)
        assert (status, "No such Upload object: upload_none" in words) == (404, True)


async def test_the_parts_of_one_upload_are_not_those_of_another(client: AsyncOpenAI) -> None:
    one, other = await begin(client), await begin(client)
    part = await add(client, one.id, DATA)
    status, param, _ = await refused(client.uploads.complete(other.id, part_ids=[part]))
    assert (status, param) == (400, "part_ids")


def test_the_blocking_client_cuts_a_file_up_by_itself() -> None:
    with threaded_app() as url, OpenAI(
        base_url=url + "/v1", api_key="k", max_retries=0, _strict_response_validation=True
    ) as client:  # fmt: skip
        done = client.uploads.upload_file_chunked(
            file=DATA, filename="a.bin", bytes=len(DATA), mime_type="text/plain",
            purpose="user_data", part_size=3000, md5=hashlib.md5(DATA).hexdigest(),
        )  # fmt: skip
        assert done.file is not None
        assert client.files.content(done.file.id).read() == DATA
