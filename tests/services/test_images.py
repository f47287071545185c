"""Pictures from words, under the vendor's SDK: sizes, formats, usage, streams and URLs."""

from __future__ import annotations

import asyncio
import io
import ssl
import threading
from itertools import pairwise
from typing import Any

import httpx
import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI, OpenAI
from PIL import Image

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.generate.pictures import painter, rendering
from fakeai_proxy.generate.tokens import Tokens
from tests.conftest import Serve
from tests.services.pictures_asking import picture_in

PROMPT = "A red cat on a blue boat"
GPT = "gpt-image-1"


async def test_dall_e_2_hands_out_urls(client: AsyncOpenAI) -> None:
    for size in (256, 512, 1024):
        answer = await client.images.generate(
            model="dall-e-2", prompt=PROMPT, n=2, size=f"{size}x{size}"  # type: ignore[call-overload]  # made here
        )  # fmt: skip
        assert answer.usage is None
        urls = [image.url for image in answer.data]
        assert len(set(urls)) == 2
        async with httpx.AsyncClient() as http:
            files = [await http.get(url) for url in urls]
        assert {file.headers["content-type"] for file in files} == {"image/png"}
        pictures = [Image.open(io.BytesIO(file.content)) for file in files]
        assert {picture.size for picture in pictures} == {(size, size)}
        assert files[0].content != files[1].content


@pytest.mark.parametrize("size", ["1024x1024", "1792x1024", "1024x1792"])
@pytest.mark.parametrize("style", ["vivid", "natural"])
async def test_dall_e_3_rewrites_the_prompt(client: AsyncOpenAI, size: Any, style: Any) -> None:
    answer = await client.images.generate(
        model="dall-e-3", prompt=PROMPT, size=size, style=style, quality="hd",
        response_format="b64_json",
    )  # fmt: skip
    assert answer.data is not None
    (image,) = answer.data
    assert image.revised_prompt is not None
    assert image.revised_prompt.startswith(PROMPT)
    assert len(image.revised_prompt) > len(PROMPT) + 50
    picture = picture_in(image.b64_json)
    assert f"{picture.width}x{picture.height}" == size


#: The vendor's own table, of its guide to image generation.
TOKENS = {
    "1024x1024": {"low": 272, "medium": 1056, "high": 4160},
    "1024x1536": {"low": 408, "medium": 1584, "high": 6240},
    "1536x1024": {"low": 400, "medium": 1568, "high": 6208},
}


@pytest.mark.parametrize("size", TOKENS)
@pytest.mark.parametrize("quality", ["low", "medium", "high"])
async def test_gpt_image_tells_its_tokens(client: AsyncOpenAI, size: Any, quality: Any) -> None:
    answer = await client.images.generate(model=GPT, prompt=PROMPT, size=size, quality=quality)
    assert answer.data is not None
    picture = picture_in(answer.data[0].b64_json)
    assert (picture.format, picture.mode) == ("PNG", "RGB")
    assert f"{picture.width}x{picture.height}" == size == answer.size
    assert (answer.quality, answer.background, answer.output_format) == (quality, "opaque", "png")
    usage = answer.usage
    assert usage is not None
    text = Tokens.load("o200k_base").count(PROMPT)
    assert (usage.input_tokens, usage.input_tokens_details.text_tokens) == (text, text)
    assert usage.output_tokens == TOKENS[size][quality]
    assert usage.total_tokens == text + usage.output_tokens


async def test_many_pictures_cost_as_many_times(client: AsyncOpenAI) -> None:
    answer = await client.images.generate(model=GPT, prompt=PROMPT, n=3, quality="low")
    assert answer.data is not None
    assert len({image.b64_json for image in answer.data}) == 3
    assert answer.usage is not None
    assert answer.usage.output_tokens == 3 * 272


@pytest.mark.parametrize("form", ["png", "jpeg", "webp"])
async def test_formats_are_what_they_say(client: AsyncOpenAI, form: Any) -> None:
    answer = await client.images.generate(model=GPT, prompt=PROMPT, output_format=form)
    assert answer.data is not None
    assert answer.output_format == form
    assert picture_in(answer.data[0].b64_json).format == form.upper()
    if form != "png":
        small = await client.images.generate(
            model=GPT, prompt=PROMPT, output_format=form, output_compression=5
        )
        assert small.data is not None
        assert len(small.data[0].b64_json or "") < len(answer.data[0].b64_json or "")


@pytest.mark.parametrize("form", ["png", "webp"])
async def test_a_transparent_background_is_transparent(client: AsyncOpenAI, form: Any) -> None:
    answer = await client.images.generate(
        model=GPT, prompt=PROMPT, background="transparent", output_format=form, quality="low"
    )
    assert answer.data is not None
    picture = picture_in(answer.data[0].b64_json)
    assert (answer.background, picture.mode) == ("transparent", "RGBA")
    assert picture.getchannel("A").getextrema() == (0, 255)


async def test_the_model_chooses_what_it_may(client: AsyncOpenAI) -> None:
    asks = {
        "A sticker of a cat": ("transparent", "1024x1024"),
        "A portrait of a man": ("opaque", "1024x1536"),
        "A wide panorama": ("opaque", "1536x1024"),
    }
    for prompt, chosen in asks.items():
        answer = await client.images.generate(
            model=GPT, prompt=prompt, size="auto", background="auto", quality="auto"
        )
        assert (answer.background, answer.size) == chosen
        assert answer.quality == "high"


async def test_later_models_have_any_size_and_more_quality(client: AsyncOpenAI) -> None:
    answer = await client.images.generate(
        model="gpt-image-2.5-flare", prompt=PROMPT, size="1536x864", quality="xhigh"
    )
    assert answer.data is not None
    assert picture_in(answer.data[0].b64_json).size == (1536, 864)
    assert answer.usage is not None
    high = await client.images.generate(
        model="gpt-image-2", prompt=PROMPT, size="1536x864", quality="high"
    )
    assert high.usage is not None
    assert high.usage.output_tokens == 54 * 97
    assert answer.usage.output_tokens > high.usage.output_tokens


async def test_without_a_model_its_parameters_tell(client: AsyncOpenAI) -> None:
    plain = await client.images.generate(prompt=PROMPT)
    assert plain.data is not None
    assert plain.data[0].url
    fine = await client.images.generate(prompt=PROMPT, output_format="webp")
    assert fine.usage is not None


@pytest.mark.parametrize("partials", [0, 1, 2, 3])
async def test_a_stream_ends_with_what_the_whole_answer_has(
    client: AsyncOpenAI, partials: int
) -> None:
    stream = await client.images.generate(
        model=GPT, prompt=PROMPT, quality="low", stream=True, partial_images=partials
    )
    events = [event async for event in stream]
    *before, last = events
    assert [event.type for event in before] == ["image_generation.partial_image"] * partials
    assert [event.partial_image_index for event in before] == list(range(partials))  # type: ignore[union-attr]  # as just seen
    assert last.type == "image_generation.completed"
    assert {picture_in(event.b64_json).size for event in events} == {(1024, 1024)}
    assert len({event.b64_json for event in events}) == partials + 1
    assert last.usage.output_tokens == 272 + 100 * partials
    if partials == 0:
        whole = await client.images.generate(model=GPT, prompt=PROMPT, quality="low")
        assert whole.usage is not None
        assert last.usage.total_tokens == whole.usage.total_tokens


@given(
    st.sampled_from(["a cat", "blue mountains", "日本", "x"]),
    st.sampled_from(["low", "medium"]),
    st.integers(1, 2),
    st.integers(0, 2),
)
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_the_same_request_has_the_same_pictures(
    client: AsyncOpenAI, prompt: str, quality: Any, n: int, partials: int
) -> None:
    async def once() -> list[str]:
        stream = await client.images.generate(
            model=GPT, prompt=prompt, quality=quality, n=n, stream=True, partial_images=partials
        )
        return [event.b64_json async for event in stream]

    first, second = await asyncio.gather(once(), once())
    assert first == second
    assert len(first) == n * (partials + 1)


async def test_azures_deployments_make_pictures(app: App) -> None:
    async with openai.AsyncAzureOpenAI(
        azure_endpoint=app.url, api_key="k", api_version="2025-04-01-preview", max_retries=0
    ) as client:
        answer = await client.images.generate(model="dall-e-3", prompt=PROMPT)
        assert answer.data is not None
        image = answer.data[0].model_dump()
        assert image["revised_prompt"]
        assert image["content_filter_results"]["violence"] == {
            "filtered": False, "severity": "safe",
        }  # fmt: skip
        assert image["prompt_filter_results"]["profanity"]["detected"] is False


def test_the_sync_client_gets_pictures_too(app_url: str) -> None:
    client = OpenAI(
        base_url=app_url + "/v1", api_key="k", max_retries=0, _strict_response_validation=True
    )
    with client:
        answer = client.images.generate(model=GPT, prompt=PROMPT, quality="low")
        assert answer.data is not None
        assert picture_in(answer.data[0].b64_json).size == (1024, 1024)
        kinds = [
            event.type
            for event in client.images.generate(
                model=GPT, prompt=PROMPT, stream=True, partial_images=1, quality="low"
            )
        ]
    assert kinds == ["image_generation.partial_image", "image_generation.completed"]


async def test_pictures_are_made_in_threads(
    client: AsyncOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = set()
    paint = painter.paint

    def noted(brief: painter.Brief) -> Image.Image:
        threads.add(threading.current_thread())
        return paint(brief)

    monkeypatch.setattr(rendering, "paint", noted)
    await client.images.generate(model=GPT, prompt="in a thread", quality="low")
    answer = await client.images.generate(model="dall-e-2", prompt="in a thread", size="256x256")
    assert answer.data is not None
    assert threads
    async with httpx.AsyncClient() as http:
        await http.get(answer.data[0].url or "")
    assert threading.main_thread() not in threads


async def test_a_picture_takes_the_time_of_its_tokens(serve: Serve) -> None:
    clock = VirtualClock()
    app = await serve(clock=clock, mode="synth", profile="openai")
    spent = []
    async with AsyncOpenAI(base_url=app.url + "/v1", api_key="k", max_retries=0) as client:
        for quality in ("low", "high"):
            start = clock.now()
            await client.images.generate(model=GPT, prompt=PROMPT, quality=quality)  # type: ignore[call-overload]  # listed
            spent.append(clock.now() - start)
    assert 1 < spent[0] < spent[1] / 4


async def test_any_model_may_paint_and_film_that_sounds_like_it(serve: Serve) -> None:
    app = await serve(mode="synth", any_model=True)
    async with AsyncOpenAI(base_url=app.url + "/v1", api_key="k", max_retries=0) as client:
        answer = await client.images.generate(
            model="black-forest-labs/FLUX.1-dev", prompt=PROMPT, size="512x512", quality="low"
        )
        assert answer.data is not None
        assert picture_in(answer.data[0].b64_json).size == (512, 512)
        with pytest.raises(openai.NotFoundError):
            await client.images.generate(model="some/chat", prompt=PROMPT)


async def test_what_is_seen_before_comes_before(serve: Serve) -> None:
    clock = VirtualClock()
    app = await serve(clock=clock, mode="synth", profile="openai")
    instants = [clock.now()]
    async with AsyncOpenAI(base_url=app.url + "/v1", api_key="k", max_retries=0) as client:
        stream = await client.images.generate(
            model=GPT, prompt=PROMPT, stream=True, partial_images=3, quality="medium"
        )
        async for _ in stream:
            instants.append(clock.now())
    waits = [after - before for before, after in pairwise(instants)]
    assert len(waits) == 4
    assert min(waits) > sum(waits) / 8


async def test_a_url_is_valid_for_an_hour(serve: Serve) -> None:
    clock = VirtualClock()
    app = await serve(clock=clock, mode="synth")
    async with (
        AsyncOpenAI(base_url=app.url + "/v1", api_key="k", max_retries=0) as client,
        httpx.AsyncClient() as http,
    ):
        answer = await client.images.generate(prompt=PROMPT, size="256x256")
        assert answer.data is not None
        url = answer.data[0].url or ""
        start = clock.now()
        first = await http.get(url)
        assert first.status_code == 200
        assert (await http.head(url)).headers["content-length"] == str(len(first.content))
        await clock.sleep_until(start + 3590)
        assert (await http.get(url)).content == first.content
        await clock.sleep_until(start + 3610)
        assert (await http.get(url)).status_code == 403
        assert (await http.get(url.replace("img-", "img-x"))).status_code == 404


async def test_a_url_is_one_that_the_client_can_reach(serve: Serve) -> None:
    app = await serve(mode="synth")
    asked: dict[str, Any] = {"json": {"prompt": PROMPT, "size": "256x256"}}
    headers = {"authorization": "Bearer k"}

    async def url_at(http: httpx.AsyncClient, base: str, **more: str) -> str:
        answer = await http.post(
            base + "/v1/images/generations", **asked, headers=headers | more
        )  # fmt: skip
        assert answer.status_code == 200
        return str(answer.json()["data"][0]["url"])

    async with httpx.AsyncClient() as http:
        named = await url_at(http, app.url, host="models.test:81")
        assert named.startswith("http://models.test:81/_fakeai/media/")
        behind = await url_at(http, app.url, **{"x-forwarded-proto": "https", "host": "ai.test"})
        assert behind.startswith("https://ai.test/_fakeai/media/")
    trust = ssl.create_default_context(cafile=str(app.config.data_dir / "ca" / "root.pem"))
    async with httpx.AsyncClient(proxy=app.url, verify=trust) as http:
        tunnelled = await url_at(http, "https://api.openai.com")
        assert tunnelled.startswith("https://api.openai.com/_fakeai/media/")
        assert (await http.get(tunnelled)).headers["content-type"] == "image/png"
        plain = await url_at(http, "http://api.openai.com")
        assert (await http.get(plain)).status_code == 200
