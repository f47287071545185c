"""The files room under the vendor's SDK."""

from __future__ import annotations

import io
from pathlib import Path

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock
from tests.conftest import Serve, serving
from tests.services.threaded import threaded_app

#: Every byte there is, and what looks like the end of a part.
BYTES = bytes(range(256)) * 3 + b"\r\n--boundary--\r\n\r\n--" + b"\0" * 5
TUNING = b'{"messages": []}\n{"messages": []}\n'


def connected(app: App) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=app.url + "/v1", api_key="k", max_retries=0)


async def put(client: AsyncOpenAI, name: str = "a.bin", purpose: str = "user_data", **more: object):  # type: ignore[no-untyped-def]  # as the SDK has it
    return await client.files.create(
        file=(name, io.BytesIO(BYTES)),
        purpose=purpose,  # type: ignore[arg-type]  # tests ask for more
        **more,  # type: ignore[arg-type]  # tests ask for more
    )


async def test_a_file_comes_back_byte_for_byte(client: AsyncOpenAI) -> None:
    made = await put(client, "Grüße \U0001f600.bin")
    assert (made.object, made.bytes, made.filename, made.purpose, made.status) == (
        "file", len(BYTES), "Grüße \U0001f600.bin", "user_data", "processed",
    )  # fmt: skip
    assert made.id.startswith("file-")
    assert made.expires_at is None
    assert await client.files.retrieve(made.id) == made
    assert (await client.files.content(made.id)).content == BYTES


async def test_a_deleted_file_is_gone(client: AsyncOpenAI) -> None:
    made = await put(client)
    deleted = await client.files.delete(made.id)
    assert (deleted.id, deleted.object, deleted.deleted) == (made.id, "file", True)
    for gone in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError) as caught:
            await gone(made.id)
        assert (caught.value.param, caught.value.code) == ("id", None)
        assert f"No such File object: {made.id}" in caught.value.message


async def test_equal_files_have_ids_of_their_own_and_share_nothing_visible(
    client: AsyncOpenAI,
) -> None:
    first, second = await put(client), await put(client)
    assert first.id != second.id
    await client.files.delete(first.id)
    assert (await client.files.content(second.id)).content == BYTES


async def test_lists_are_paged_ordered_and_filtered(client: AsyncOpenAI) -> None:
    ids = [(await put(client, f"{k}.png", ["vision", "user_data"][k % 2])).id for k in range(5)]
    assert [one.id async for one in client.files.list()] == ids[::-1]
    assert [one.id async for one in client.files.list(order="asc", limit=2)] == ids
    page = await client.files.list(limit=2, after=ids[4])
    assert ([one.id for one in page.data], page.has_more) == (ids[3:1:-1], True)
    body = (await client.files.with_raw_response.list(limit=2)).http_response.json()
    assert (body["object"], body["first_id"], body["last_id"]) == ("list", ids[4], ids[3])
    assert [one.id async for one in client.files.list(purpose="vision")] == ids[4::-2]
    empty = (await client.files.with_raw_response.list(purpose="batch")).http_response.json()
    assert empty == {
        "object": "list", "data": [], "has_more": False, "first_id": None, "last_id": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "param", "code"),
    [
        ({"limit": 0}, "limit", "integer_below_min_value"),
        ({"limit": 10_001}, "limit", "integer_above_max_value"),
        ({"limit": "ten"}, "limit", "invalid_type"),
        ({"limit": "\u0663"}, "limit", "invalid_type"),
        ({"order": "random"}, "order", "invalid_value"),
        ({"after": "file-none"}, "id", None),
    ],
)
async def test_a_list_that_cannot_be_is_refused(
    client: AsyncOpenAI, query: dict[str, object], param: str, code: str | None
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        await client.files.list(extra_query=query)
    assert caught.value.status_code in (400, 404)
    assert (caught.value.param, caught.value.code) == (param, code)


@pytest.mark.parametrize(
    ("name", "purpose", "data", "words"),
    [
        ("a.txt", "fine-tune", TUNING, "Invalid file format for Fine-Tuning API. Must be .jsonl"),
        ("a", "batch", TUNING, "Invalid file format for Batch API. Must be .jsonl"),
        ("a.exe", "assistants", b"x", "Invalid extension exe. Supported formats: "),
        ("a.txt", "vision", b"x", "Invalid extension txt."),
        ("a.jsonl", "fine-tune", b'{"a": 1}\n\n[1]\n', "Line 3 is not a dictionary (HINT: line"),
        ("a.jsonl", "fine-tune", b'{"a": 1}\n{"b"', 'Line 2 is not a dictionary (HINT: line starts'),
        ("a.jsonl", "evals", b"\xff\n", "Line 1 is not a dictionary"),
        ("a.txt", "user_data", b"", "File is empty."),
    ],
)  # fmt: skip
async def test_a_file_that_its_purpose_does_not_allow_is_refused_and_not_kept(
    client: AsyncOpenAI, name: str, purpose: str, data: bytes, words: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.files.create(file=(name, data), purpose=purpose)  # type: ignore[arg-type]  # a str
    assert words in caught.value.message
    assert (await client.files.list()).data == []


async def test_good_lines_are_taken_with_or_without_a_last_newline(client: AsyncOpenAI) -> None:
    for data in (TUNING, TUNING.strip(), b"\xef\xbb\xbf" + TUNING.replace(b"\n", b"\r\n")):
        made = await client.files.create(file=("a.jsonl", data), purpose="fine-tune")
        assert (await client.files.content(made.id)).content == data


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({}, "purpose", "missing_required_parameter"),
        ({"purpose": "answers"}, "purpose", "invalid_value"),
        (
            {"purpose": "vision", "expires_after[anchor]": "created_at", "expires_after[seconds]": "60"},
            "expires_after.seconds", "integer_below_min_value",
        ),
        (
            {"purpose": "vision", "expires_after[seconds]": "3600"},
            "expires_after.anchor", "missing_required_parameter",
        ),
    ],
)  # fmt: skip
async def test_a_form_that_says_too_little_or_nonsense_is_refused(
    app: App, fields: dict[str, str], param: str, code: str
) -> None:
    async with httpx.AsyncClient(headers={"authorization": "Bearer sk-test"}) as http:
        answer = await http.post(
            app.url + "/v1/files", data=fields, files={"file": ("a.png", b"x")}
        )
    assert answer.status_code == 400
    assert (answer.json()["error"]["param"], answer.json()["error"]["code"]) == (param, code)


async def test_a_form_without_its_file_is_refused(app: App) -> None:
    async with httpx.AsyncClient(headers={"authorization": "Bearer sk-test"}) as http:
        for given in (
            {"purpose": (None, "vision")},
            {"purpose": (None, "vision"), "file": (None, "x")},
        ):
            answer = await http.post(app.url + "/v1/files", files=given)
            assert answer.status_code == 400
            assert answer.json()["error"]["param"] == "file"
        answer = await http.post(app.url + "/v1/files", json={"purpose": "vision"})
        assert answer.status_code in (400, 415)


async def test_files_expire(serve: Serve) -> None:
    clock = VirtualClock(autojump=False)
    app = await serve(clock, mode="synth")
    async with connected(app) as client:
        after = {"anchor": "created_at", "seconds": 3600}
        short = await put(client, expires_after=after)
        batch = await client.files.create(file=("a.jsonl", TUNING), purpose="batch")
        assert short.expires_at == short.created_at + 3600
        assert batch.expires_at == batch.created_at + 30 * 86_400
        clock.advance(3600)
        assert [one.id async for one in client.files.list()] == [batch.id]
        with pytest.raises(openai.NotFoundError):
            await client.files.content(short.id)


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "..\\x", "/etc/passwd", 'a"b\r\nx: y', "\u202e\0gpj", "." * 300]
)
async def test_a_name_is_a_name_and_never_a_path(app: App, name: str, tmp_path: Path) -> None:
    async with httpx.AsyncClient(headers={"authorization": "Bearer sk-test"}) as http:
        made = await http.post(
            app.url + "/v1/files", data={"purpose": "user_data"}, files={"file": (name, BYTES)}
        )
        assert made.status_code == 200, made.text
        got = await http.get(f"{app.url}/v1/files/{made.json()['id']}/content")
    assert got.content == BYTES
    assert "x" not in got.headers
    assert got.headers["content-disposition"].startswith("attachment; filename=")


@pytest.mark.parametrize(
    "file_id",
    ["..%2F..%2Fetc", "%00", "file-%27%20OR%201=1--", "%2e%2e", "*", "%ff", "file-" * 2000],
)
async def test_an_id_is_an_id_and_never_a_path(app: App, file_id: str) -> None:
    async with httpx.AsyncClient(headers={"authorization": "Bearer sk-test"}) as http:
        for place in (file_id, file_id + "/content"):
            answer = await http.get(f"{app.url}/v1/files/{place}")
            assert answer.status_code == 404
            assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_a_blocking_client_does_all_of_it() -> None:
    with threaded_app() as url, OpenAI(
        base_url=url + "/v1", api_key="k", max_retries=0, _strict_response_validation=True
    ) as client:  # fmt: skip
        made = client.files.create(file=("a.jsonl", TUNING), purpose="fine-tune")
        assert client.files.wait_for_processing(made.id) == made
        assert [one.id for one in client.files.list(limit=1)] == [made.id]
        assert client.files.content(made.id).read() == TUNING
        assert client.files.delete(made.id).deleted


async def test_files_outlive_the_server_that_took_them(tmp_path: Path) -> None:
    settings: dict[str, object] = {"mode": "synth", "data": tmp_path, "store": None}
    async with serving(**settings) as app, connected(app) as client:
        made = await put(client)
    async with serving(**settings) as app, connected(app) as client:
        assert await client.files.retrieve(made.id) == made
        assert (await client.files.content(made.id)).content == BYTES
        # A seed gives the same ids again, which are taken.
        again = await put(client)
        assert again.id != made.id
        assert len((await client.files.list()).data) == 2


def test_a_text_where_a_file_belongs_is_told_so(app_url: str) -> None:
    form = {"purpose": (None, "batch"), "file": (None, "text")}
    answer = httpx.post(f"{app_url}/v1/files", files=form, headers={"authorization": "Bearer k"})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == (
        "Invalid type for 'file': expected a file, but got a string instead."
    )
