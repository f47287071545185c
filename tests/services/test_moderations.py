"""Moderations through the vendor's own SDK, and over plain HTTP where it has no types."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from fakeai_proxy.app import App
from tests.conftest import Ended, serving
from tests.services.asking import count
from tests.services.threaded import threaded_app

THREAT = "I will kill you tonight."
KIND = "What a lovely morning."
ELEVEN = {
    "harassment", "harassment/threatening", "hate", "hate/threatening", "self-harm",
    "self-harm/intent", "self-harm/instructions", "sexual", "sexual/minors", "violence",
    "violence/graphic",
}  # fmt: skip
SEEN = {"sexual", "violence", "violence/graphic", "self-harm", "self-harm/intent",
        "self-harm/instructions"}  # fmt: skip
SKIN, BLOOD, SKY = (224, 172, 138), (150, 8, 12), (90, 140, 230)


def data_url(colour: tuple[int, int, int], kind: str = "PNG", text: str = "") -> str:
    info = PngInfo()
    info.add_text("Description", text)
    buffer = io.BytesIO()
    extra: dict[str, Any] = {"pnginfo": info} if kind == "PNG" else {"comment": text.encode()}
    Image.new("RGB", (64, 48), colour).save(buffer, kind, **extra)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def words(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


@pytest.fixture
async def http(app: App) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=app.url, headers={"authorization": "Bearer k"}, timeout=30
    ) as made:
        yield made


async def judged(http: httpx.AsyncClient, given: Any, model: str | None = None) -> Any:
    body = {"input": given} | ({"model": model} if model else {})
    answer = await http.post("/v1/moderations", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_text_has_13_categories(client: AsyncOpenAI) -> None:
    answer = await client.moderations.create(input=THREAT)
    assert answer.model == "omni-moderation-latest"
    assert answer.id.startswith("modr-")
    (result,) = answer.results
    assert result.flagged
    assert result.categories.violence
    assert result.categories.harassment_threatening
    assert not result.categories.sexual
    assert len(result.category_scores.to_dict()) == 13
    assert all(
        kinds == ["text"] for kinds in result.category_applied_input_types.to_dict().values()
    )
    again = await client.moderations.create(input=THREAT)
    assert again.results == answer.results
    assert again.id != answer.id


def test_the_blocking_client_gets_the_same() -> None:
    with threaded_app() as url:
        client = openai.OpenAI(
            base_url=f"{url}/v1", api_key="k", max_retries=0, _strict_response_validation=True
        )
        answer = client.moderations.create(input=[THREAT, KIND], model="omni-moderation-2024-09-26")
    assert [result.flagged for result in answer.results] == [True, False]
    assert answer.model == "omni-moderation-2024-09-26"


@pytest.mark.parametrize("model", ["text-moderation-latest", "text-moderation-stable"])
async def test_the_older_family_has_11_categories(http: httpx.AsyncClient, model: str) -> None:
    answer = await judged(http, THREAT, model)
    assert answer["model"] == "text-moderation-007"
    (result,) = answer["results"]
    assert set(result) == {"flagged", "categories", "category_scores"}
    assert set(result["categories"]) == set(result["category_scores"]) == ELEVEN
    newer = (await judged(http, THREAT))["results"][0]["category_scores"]
    assert result["category_scores"] == {name: newer[name] for name in result["category_scores"]}


async def test_parts_are_judged_as_one(client: AsyncOpenAI) -> None:
    answer = await client.moderations.create(
        input=[
            {"type": "text", "text": THREAT},
            {"type": "image_url", "image_url": {"url": data_url(SKY)}},
        ]
    )
    (result,) = answer.results
    assert result.categories.violence
    applied = result.category_applied_input_types.to_dict()
    assert {name for name, kinds in applied.items() if kinds == ["text", "image"]} == SEEN
    assert all(kinds == ["text"] for name, kinds in applied.items() if name not in SEEN)


async def test_a_picture_alone_is_not_judged_by_what_it_says(client: AsyncOpenAI) -> None:
    answer = await client.moderations.create(
        input=[{"type": "image_url", "image_url": {"url": data_url(SKY)}}]
    )
    (result,) = answer.results
    assert not result.flagged
    assert result.category_scores.harassment == 0
    assert result.category_scores.violence > 0
    assert result.category_applied_input_types.harassment == []
    assert result.category_applied_input_types.violence == ["image"]


@pytest.mark.parametrize(
    ("given", "category"),
    [
        (data_url(SKIN), "sexual"),
        (data_url(SKIN, "JPEG"), "sexual"),
        (data_url(BLOOD), "violence/graphic"),
        (data_url(BLOOD, "WEBP"), "violence"),
        (data_url(SKY, text="a severed head in a pool of blood"), "violence/graphic"),
        (data_url(SKY, "JPEG", text="hardcore porn"), "sexual"),
        ("https://example.com/pictures/hardcore_porn-7.png?size=2", "sexual"),
    ],
)
async def test_pictures_are_judged_by_colour_and_by_their_words(
    http: httpx.AsyncClient, given: str, category: str
) -> None:
    (result,) = (await judged(http, [image(given)]))["results"]
    assert result["flagged"]
    assert result["categories"][category]


@pytest.mark.parametrize(
    "given",
    [data_url(SKY), data_url((20, 160, 60)), data_url((255, 255, 255)), data_url((200, 30, 160)),
     data_url(SKY, text="a lighthouse at dusk"), "https://example.com/lighthouse.png"],
)  # fmt: skip
async def test_harmless_pictures_stay_low(http: httpx.AsyncClient, given: str) -> None:
    (result,) = (await judged(http, [image(given)]))["results"]
    assert max(result["category_scores"].values()) < 0.1


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({}, 400, "input"),
        ({"input": None}, 400, "input"),
        ({"input": 5}, 400, "input"),
        ({"input": []}, 400, "input"),
        ({"input": ["a", 5]}, 400, "input[1]"),
        ({"input": ["a", words("b")]}, 400, "input[1]"),
        ({"input": [words("b"), "a"]}, 400, "input[1]"),
        ({"input": [{"type": "audio"}]}, 400, "input[0].type"),
        ({"input": [{"text": "a"}]}, 400, "input[0].type"),
        ({"input": [{"type": "text"}]}, 400, "input[0].text"),
        ({"input": [image("ftp://a/b.png")]}, 400, "input[0].image_url.url"),
        ({"input": [image("")]}, 400, "input[0].image_url.url"),
        ({"input": [image("data:image/png;base64,AAAA")]}, 400, "input[0].image_url.url"),
        ({"input": [image("data:image/png;base64,%%%")]}, 400, "input[0].image_url.url"),
        ({"input": [image(data_url(SKY)[:90])]}, 400, "input[0].image_url.url"),
        ({"input": [image(data_url(SKY))], "model": "text-moderation-latest"}, 400, "input"),
        ({"input": ["a"] * 2049}, 400, "input"),
        ({"input": "a", "model": "gpt-4o"}, 404, "model"),
        ({"input": "a", "model": "none"}, 404, None),
        ({"input": "a", "colour": 1}, 400, "colour"),
    ],
)
async def test_what_cannot_be_judged_is_refused(
    http: httpx.AsyncClient, body: dict[str, Any], status: int, param: str | None
) -> None:
    answer = await http.post("/v1/moderations", json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["param"] == param


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=5))
def test_a_list_is_judged_as_its_texts_are(ask_moderation: Any, texts: list[str]) -> None:
    together = ask_moderation(texts)
    assert together == [ask_moderation(text)[0] for text in texts]


@pytest.fixture(scope="module")
def ask_moderation() -> Any:
    with threaded_app() as url, httpx.Client(timeout=30) as http:

        def ask(given: Any) -> Any:
            answer = http.post(
                f"{url}/v1/moderations",
                json={"input": given},
                headers={"authorization": "Bearer k"},
            )
            return answer.json()["results"]

        yield ask


async def test_the_workload_is_each_text() -> None:
    ended = Ended()
    async with (
        serving(observer=ended, mode="synth") as app,
        httpx.AsyncClient(base_url=app.url, headers={"authorization": "Bearer k"}) as http,
    ):
        await judged(http, [THREAT, KIND])
    reply = ended.exchanges[0].reply
    assert reply is not None
    assert reply.workload is not None
    assert [part.prompt_tokens for part in reply.workload.parts] == [count(THREAT), count(KIND)]
