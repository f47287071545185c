"""Pictures, recordings and documents within a chat request: what they cost, what is said about them, and
how bad ones are refused."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError

from fakeai_proxy.app import App
from fakeai_proxy.services.answer.hearing import mp3_seconds, wav_seconds
from fakeai_proxy.services.answer.vision import image_tokens
from tests.conftest import Serve
from tests.services.asking import count, refused
from tests.services.media import document, mp3, picture, wav


@pytest.fixture
async def app(serve: Serve) -> App:
    return await serve(mode="synth", model=("gpt-4o-audio-preview", "gpt-4o-mini-audio-preview"))


def shown(url: str, detail: str | None = None) -> list[Any]:
    image = {"url": url} if detail is None else {"url": url, "detail": detail}
    return [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": image},
            ],
        }
    ]


@pytest.mark.parametrize(
    ("model", "size", "detail", "tokens"),
    [
        # The examples of the vendor's guide, and what was measured of a picture of 128 x 64.
        ("gpt-4o", (1024, 1024), "high", 765),
        ("gpt-4o", (2048, 4096), "high", 1105),
        ("gpt-4o", (4096, 8192), "low", 85),
        ("gpt-4o", (128, 64), "high", 255),
        ("gpt-4o-mini", (128, 64), "low", 2833),
        ("gpt-4o-mini", (128, 64), "high", 8500),
        ("gpt-4.1", (128, 64), "auto", 255),
        ("gpt-4.1-mini", (1024, 1024), "auto", 1659),
        ("gpt-4.1-mini", (1800, 2400), "high", 2352),
        ("gpt-4.1-mini", (128, 64), "low", 13),
        ("gpt-4.1-nano", (128, 64), "high", 20),
        ("o4-mini", (128, 64), "high", 14),
        ("o3", (128, 64), "low", 75),
        ("o1", (128, 64), "high", 225),
        ("gpt-5", (1024, 1024), "high", 630),
    ],
)
def test_a_picture_costs_what_the_vendor_says(
    model: str, size: tuple[int, int], detail: str, tokens: int
) -> None:
    assert image_tokens(model, size, detail) == tokens


def test_no_picture_has_more_patches_than_the_most() -> None:
    for width in (1, 31, 33, 640, 1999, 9000):
        for height in (1, 32, 481, 3000, 16_000):
            assert 1 <= image_tokens("o4-mini", (width, height), "high") <= round(1536 * 1.72)


@pytest.mark.parametrize("form", ["png", "jpeg", "gif", "webp"])
async def test_an_answer_speaks_of_the_picture_that_it_was_shown(
    client: AsyncOpenAI, form: str
) -> None:
    ask = shown(picture(640, 480, "blue", form))
    answer = await client.chat.completions.create(model="gpt-4o", messages=ask)
    assert "640 by 480 pixels, mostly blue" in str(answer.choices[0].message.content)
    bare = await client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "What is this?"}]
    )
    assert answer.usage is not None
    assert bare.usage is not None
    assert answer.usage.prompt_tokens - bare.usage.prompt_tokens == 85 + 2 * 170
    assert answer.usage.completion_tokens == count(answer.choices[0].message.content or "")


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("data:image/png;base64,AAAA", "invalid_image_format", "unsupported image"),
        ("data:image/png;base64,@@@", "invalid_base64", "base64"),
        ("data:text/plain;base64,AAAA", "invalid_value", "unsupported MIME type 'text/plain'"),
        ("not a url", "invalid_value", "without the 'data:' prefix"),
        ("ftp://example.com/a.png", "invalid_value", "without the 'data:' prefix"),
        (picture(8, 8, "red")[:-40], "invalid_image_format", "unsupported image"),
    ],
)
async def test_a_bad_picture_is_refused(
    client: AsyncOpenAI, url: str, code: str, said: str
) -> None:
    status, _, found, message = await refused(client, messages=shown(url))
    assert (status, found) == (400, code)
    assert said in message


async def test_models_that_cannot_see_or_hear_say_so(client: AsyncOpenAI) -> None:
    ask = shown(picture(8, 8, "red"))
    status, param, _, message = await refused(client, model="gpt-3.5-turbo", messages=ask)
    assert (status, param) == (400, "messages.[0].content.[1].type")
    assert message == "Invalid content type. image_url is only supported by certain models."
    status, _, _, message = await refused(client, messages=heard(wav(0.1), "wav"))
    assert status == 400
    assert "input_audio is only supported by certain models" in message


# --- sound --------------------------------------------------------------------------------------


def heard(data: str, form: str) -> list[Any]:
    part = {"type": "input_audio", "input_audio": {"data": data, "format": form}}
    return [{"role": "user", "content": [part]}]


@pytest.mark.parametrize(
    ("data", "form", "seconds"),
    [(wav(2.5), "wav", 2.5), (mp3(100), "mp3", 100 * 1152 / 44_100)],
    ids=["wav", "mp3"],
)
async def test_a_recording_costs_ten_tokens_a_second(
    client: AsyncOpenAI, data: str, form: str, seconds: float
) -> None:
    answer = await client.chat.completions.create(
        model="gpt-4o-audio-preview", messages=heard(data, form)
    )
    assert answer.usage is not None
    details = answer.usage.prompt_tokens_details
    assert details is not None
    assert details.audio_tokens == 1 + int(seconds * 10)
    assert details.text_tokens == answer.usage.prompt_tokens - details.audio_tokens
    assert f"{seconds:.1f} seconds" in str(answer.choices[0].message.content)


async def test_what_is_no_recording_is_refused(client: AsyncOpenAI) -> None:
    for data, form in (("AAAA", "wav"), ("AAAA", "mp3"), (wav(0.1), "mp3")):
        status, param, code, message = await refused(
            client, model="gpt-4o-audio-preview", messages=heard(data, form)
        )
        assert (status, param, code) == (400, "messages[0].content[0].input_audio", "invalid_value")
        assert message == f"The data provided for 'input_audio' is not of valid {form} format."


def test_headers_that_lie_are_no_trouble() -> None:
    assert wav_seconds(b"RIFF\0\0\0\0WAVE") is None
    assert wav_seconds(b"RIFF\0\0\0\0WAVEdata\xff\xff\xff\xff" + bytes(8)) is None
    assert mp3_seconds(b"\xff\xfb" * 50) is None
    assert mp3_seconds(bytes(200_000)) is None


# --- documents ----------------------------------------------------------------------------------


async def test_a_document_costs_its_text_and_a_picture_of_each_page(client: AsyncOpenAI) -> None:
    def ask(data: str) -> list[Any]:
        file = {"file_data": data, "filename": "terms.pdf"}
        return [{"role": "user", "content": [{"type": "file", "file": file}]}]

    words = "The tenant waters the tomatoes. " * 40
    costs = []
    for pages in (1, 3):
        answer = await client.chat.completions.create(
            model="gpt-4o", messages=ask(document(words, pages))
        )
        assert answer.usage is not None
        costs.append(answer.usage.prompt_tokens)
        assert f"has {pages} page" in str(answer.choices[0].message.content)
    assert (costs[1] - costs[0]) // 2 > count(words)


async def test_a_document_that_was_uploaded_is_read_as_one_that_comes_along(
    client: AsyncOpenAI,
) -> None:
    data = document("The tenant waters the tomatoes. " * 40, 3)
    pdf = b64decode(data.partition(",")[2])
    kept = await client.files.create(file=("lease.pdf", pdf), purpose="user_data")
    answers = []
    for file in ({"file_data": data, "filename": "lease.pdf"}, {"file_id": kept.id}):
        messages: list[Any] = [{"role": "user", "content": [{"type": "file", "file": file}]}]
        answers.append(await client.chat.completions.create(model="gpt-4o", messages=messages))
    costs = [answer.usage.prompt_tokens for answer in answers if answer.usage is not None]
    assert costs[0] == costs[1] > count("The tenant waters the tomatoes. " * 40)
    assert all("has 3 pages" in str(one.choices[0].message.content) for one in answers)
    # What was read once is not remembered when it is gone.
    await client.files.delete(kept.id)
    with pytest.raises(NotFoundError, match="No such File object") as caught:
        await client.chat.completions.create(model="gpt-4o", messages=messages)
    assert caught.value.param == "messages[0].content[0].file.file_id"


async def test_an_uploaded_file_that_is_no_document_is_refused(client: AsyncOpenAI) -> None:
    kept = await client.files.create(file=("a.txt", b"plain"), purpose="user_data")
    with pytest.raises(BadRequestError, match="no PDF") as caught:
        await client.chat.completions.create(
            model="gpt-4o",
            messages=[
                {"role": "user", "content": [{"type": "file", "file": {"file_id": kept.id}}]}
            ],
        )
    assert caught.value.param == "messages[0].content[0].file.file_id"


@pytest.mark.parametrize(
    ("file", "param", "said"),
    [
        ({}, "messages[0].content[0].file.file_id", "Missing required parameter"),
        ({"file_data": document("x")}, "messages[0].content[0].file.filename", "Missing required"),
        (
            {"file_data": "AAAA", "filename": "a"},
            "messages[0].content[0].file.file_data",
            "'data:'",
        ),
        (
            {"file_data": "data:text/plain;base64,AAAA", "filename": "a"},
            "messages[0].content[0].file.file_data",
            "unsupported MIME type 'text/plain'",
        ),
        (
            {
                "file_data": "data:application/pdf;base64," + b64encode(b"no").decode(),
                "filename": "a",
            },
            "messages[0].content[0].file.file_data",
            "no PDF",
        ),
    ],
)
async def test_a_bad_document_is_refused(
    client: AsyncOpenAI, file: dict[str, str], param: str, said: str
) -> None:
    ask = [{"role": "user", "content": [{"type": "file", "file": file}]}]
    status, found, _, message = await refused(client, messages=ask)
    assert (status, found) == (400, param)
    assert said in message
