"""Pictures from pictures: edits and variations."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import httpx
import numpy as np
import pytest
from openai import AsyncOpenAI, OpenAI
from PIL import Image

from fakeai_proxy.app import App
from tests.services.pictures_asking import bytes_of, half_clear, picture_in, png, scene

PROMPT = "a red balloon"


def halves(picture: Image.Image) -> tuple[bytes, bytes]:
    width, height = picture.size
    shown = picture.convert("RGB")
    return (
        shown.crop((0, 0, width // 2, height)).tobytes(),
        shown.crop((width // 2, 0, width, height)).tobytes(),
    )


async def test_gpt_image_edits_only_where_the_mask_is_clear(client: AsyncOpenAI) -> None:
    base = scene(1024, 1024)
    answer = await client.images.edit(
        model="gpt-image-1", image=png(base), mask=png(half_clear(1024, 1024)), prompt=PROMPT
    )
    assert answer.data is not None
    made = picture_in(answer.data[0].b64_json)
    before, after = halves(base), halves(made)
    assert made.size == (1024, 1024)
    assert after[0] != before[0]
    assert after[1] == before[1]
    assert answer.usage is not None
    # 65 tokens and 129 for the one tile of 512 pixels.
    assert answer.usage.input_tokens_details.image_tokens == 194
    assert answer.usage.output_tokens == 4160


async def test_dall_e_2_edits_a_square_png_and_hands_out_a_url(client: AsyncOpenAI) -> None:
    base = scene()
    answer = await client.images.edit(
        model="dall-e-2",
        image=png(base),
        mask=png(half_clear()),
        prompt=PROMPT,
        n=2,
        size="512x512",
    )
    assert answer.data is not None
    async with httpx.AsyncClient() as http:
        for image in answer.data:
            file = await http.get(image.url or "")
            made = picture_in(b64encode(file.content).decode())
            assert halves(made)[1] == halves(base)[1]
            assert halves(made)[0] != halves(base)[0]


async def test_a_pictures_own_clear_parts_are_its_mask_with_dall_e_2(client: AsyncOpenAI) -> None:
    base = scene().convert("RGBA")
    base.paste((0, 0, 0, 0), (0, 0, 256, 512))
    answer = await client.images.edit(
        model="dall-e-2", image=png(base), prompt=PROMPT, response_format="b64_json", size="512x512"
    )
    assert answer.data is not None
    made = picture_in(answer.data[0].b64_json)
    assert halves(made)[1] == halves(base)[1]
    assert made.convert("RGBA").getpixel((10, 10))[3] == 255  # type: ignore[index]  # four bands


async def test_several_pictures_and_high_fidelity_cost_more(client: AsyncOpenAI) -> None:
    wide, square = png(scene(1536, 1024)), png(scene())

    async def tokens(**body: Any) -> int:
        answer = await client.images.edit(model="gpt-image-1", prompt=PROMPT, **body)
        assert answer.usage is not None
        return int(answer.usage.input_tokens_details.image_tokens)

    # The shorter side becomes 512 pixels; two tiles, then.
    assert await tokens(image=wide) == 65 + 2 * 129
    assert await tokens(image=[wide, square, square]) == 65 + 2 * 129 + 2 * 194
    assert await tokens(image=square, input_fidelity="high") == 194 + 4160
    assert await tokens(image=wide, input_fidelity="high") == 65 + 2 * 129 + 6240


@pytest.mark.parametrize(
    ("shape", "size"),
    [((900, 600), "1536x1024"), ((600, 900), "1024x1536"), ((500, 500), "1024x1024")],
)
async def test_the_size_follows_the_picture(
    client: AsyncOpenAI, shape: tuple[int, int], size: str
) -> None:
    answer = await client.images.edit(
        model="gpt-image-1.5", image=png(scene(*shape)), prompt=PROMPT, quality="low"
    )
    assert answer.data is not None
    made = picture_in(answer.data[0].b64_json)
    assert f"{made.width}x{made.height}" == size == answer.size


async def test_an_edit_is_streamed(client: AsyncOpenAI) -> None:
    stream = await client.images.edit(
        model="gpt-image-1", image=png(scene()), prompt=PROMPT, stream=True, partial_images=2,
        quality="low",
    )  # fmt: skip
    events = [event async for event in stream]
    assert [event.type for event in events] == [
        "image_edit.partial_image", "image_edit.partial_image", "image_edit.completed",
    ]  # fmt: skip
    assert {picture_in(event.b64_json).size for event in events} == {(1024, 1024)}
    whole = await client.images.edit(
        model="gpt-image-1", image=png(scene()), prompt=PROMPT, quality="low"
    )
    assert whole.data is not None
    assert whole.usage is not None
    assert events[-1].type == "image_edit.completed"
    assert events[-1].usage.total_tokens == whole.usage.total_tokens + 200


async def test_jpeg_and_webp_can_be_edited(client: AsyncOpenAI) -> None:
    for form in ("jpeg", "webp"):
        file = (f"a.{form}", bytes_of(scene(), form.upper()), f"image/{form}")
        answer = await client.images.edit(
            model="gpt-image-1", image=file, prompt=PROMPT, output_format=form, quality="low"
        )  # type: ignore[call-overload]  # one of the two
        assert picture_in(answer.data[0].b64_json).format == form.upper()


async def test_a_json_body_refers_to_pictures(app: App) -> None:
    data_url = "data:image/png;base64," + b64encode(bytes_of(scene())).decode()
    async with httpx.AsyncClient(
        base_url=app.url + "/v1", headers={"authorization": "Bearer k"}, timeout=30
    ) as http:
        made = await http.post("/images/generations", json={"prompt": PROMPT, "size": "512x512"})
        ours = made.json()["data"][0]["url"]
        answer = await http.post(
            "/images/edits",
            json={
                "model": "gpt-image-1", "prompt": PROMPT, "quality": "low",
                "images": [{"image_url": data_url}, {"image_url": ours}],
                "mask": {"image_url": "data:image/png;base64," + b64encode(bytes_of(half_clear())).decode()},
            },
        )  # fmt: skip
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["usage"]["input_tokens_details"]["image_tokens"] == 2 * 194
        assert picture_in(body["data"][0]["b64_json"]).size == (1024, 1024)
        for reference, status in (
            ({"image_url": "https://example.test/a.png"}, 400),
            ({"image_url": "data:image/png;base64,!!"}, 400),
            ({"image_url": data_url, "file_id": "file-1"}, 400),
            ({}, 400),
            ({"file_id": "file-1"}, 404),
        ):
            refused = await http.post(
                "/images/edits",
                json={"model": "gpt-image-1", "prompt": PROMPT, "images": [reference]},
            )
            assert refused.status_code == status, refused.text
            assert refused.json()["error"]["param"].startswith("images[0]")


async def test_a_picture_that_was_uploaded_is_edited_as_one_that_comes_along(app: App) -> None:
    url = "data:image/png;base64," + b64encode(bytes_of(scene())).decode()
    async with httpx.AsyncClient(
        base_url=app.url + "/v1", headers={"authorization": "Bearer k"}, timeout=30
    ) as http:

        async def kept(name: str, data: bytes) -> str:
            purpose = {"purpose": "user_data"}
            made = await http.post("/files", data=purpose, files={"file": (name, data)})
            return str(made.json()["id"])

        async def edited(**reference: str) -> httpx.Response:
            asked = {"model": "gpt-image-1", "prompt": PROMPT, "quality": "low"}
            return await http.post("/images/edits", json={**asked, "images": [reference]})

        picture = await kept("a.png", bytes_of(scene()))
        along, uploaded = await edited(image_url=url), await edited(file_id=picture)
        assert uploaded.status_code == 200, uploaded.text
        assert uploaded.json()["usage"] == along.json()["usage"]
        assert picture_in(uploaded.json()["data"][0]["b64_json"]).size == (1024, 1024)
        assert (await edited(file_id=await kept("a.txt", b"no picture"))).status_code == 400


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_variations_are_like_their_picture(app_url: str) -> None:
    base = scene()
    client = OpenAI(
        base_url=app_url + "/v1", api_key="k", max_retries=0, _strict_response_validation=True
    )
    with client:
        answer = client.images.create_variation(
            image=png(base), n=3, size="256x256", response_format="b64_json"
        )
        assert answer.data is not None
        made = [picture_in(image.b64_json) for image in answer.data]
        assert len({image.b64_json for image in answer.data}) == 3
        again = client.images.create_variation(
            image=png(base), n=3, size="256x256", response_format="b64_json"
        )
        assert again.data == answer.data
        handed = client.images.create_variation(image=png(base))
    assert handed.data is not None
    assert "/_fakeai/media/" in (handed.data[0].url or "")
    mean = np.asarray(base, float).mean(axis=(0, 1))
    for picture in made:
        assert picture.size == (256, 256)
        assert np.abs(np.asarray(picture.convert("RGB"), float).mean(axis=(0, 1)) - mean).max() < 70
