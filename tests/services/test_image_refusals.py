"""Requests for pictures that are refused, in the vendor's words."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI
from PIL import Image

from tests.services.pictures_asking import Named, half_clear, png, scene
from tests.services.refusing import refusal
from tests.services.threaded import threaded_app

#: What is asked besides a prompt: status, param, code, and how the message begins.
REFUSED: dict[str, tuple[dict[str, Any], int, str | None, str | None, str]] = {
    "two of dall-e-3": ({"model": "dall-e-3", "n": 2}, 400, None, "invalid_n", "You must provide n=1"),
    "eleven": ({"n": 11}, 400, "n", "integer_above_max_value", "Invalid 'n': integer above"),
    "none": ({"n": 0}, 400, "n", "integer_below_min_value", "Invalid 'n'"),
    "a fraction": ({"n": 1.5}, 400, "n", "invalid_type", "Invalid type for 'n'"),
    "another model's size": (
        {"model": "dall-e-3", "size": "512x512"}, 400, None, "invalid_size", "The size is not",
    ),
    "nobody's size": ({"model": "dall-e-2", "size": "9x9"}, 400, None, None, "'9x9' is not one of"),
    "a small size of gpt": (
        {"model": "gpt-image-1", "size": "256x256"}, 400, "size", "invalid_value", "Invalid value: '256x256'",
    ),
    "a size off the grid": (
        {"model": "gpt-image-2", "size": "1000x1000"}, 400, "size", "invalid_value", "Invalid size",
    ),
    "a strip": ({"model": "gpt-image-2", "size": "3200x320"}, 400, "size", "invalid_value", "Invalid size"),
    "beyond 4K": (
        {"model": "gpt-image-2", "size": "3840x3840"}, 400, "size", "invalid_value", "Invalid size",
    ),
    "absurd": ({"model": "gpt-image-2", "size": "99999x99999"}, 400, "size", "invalid_value", "Invalid"),
    "quality of dall-e-3": (
        {"model": "gpt-image-1", "quality": "hd"}, 400, "quality", "invalid_value", "Invalid value: 'hd'",
    ),
    "quality of gpt": (
        {"model": "dall-e-3", "quality": "low"}, 400, "quality", "invalid_value", "Invalid value: 'low'",
    ),
    "quality of later models": (
        {"model": "gpt-image-1", "quality": "max"}, 400, "quality", "invalid_value", "Invalid value: 'max'",
    ),
    "transparent JPEG": (
        {"model": "gpt-image-1", "background": "transparent", "output_format": "jpeg"}, 400, "background",
        "invalid_value", "Transparent background is not supported",
    ),
    "compressed PNG": (
        {"model": "gpt-image-1", "output_compression": 50}, 400, "output_compression",
        "invalid_png_output_compression", "Compression less than 100",
    ),
    "compression above all": (
        {"model": "gpt-image-1", "output_compression": 101}, 400, "output_compression",
        "integer_above_max_value", "Invalid 'output_compression'",
    ),
    "partials of no stream": (
        {"model": "gpt-image-1", "partial_images": 1}, 400, "partial_images", None, "The 'partial_images'",
    ),
    "four partials": (
        {"model": "gpt-image-1", "partial_images": 4, "stream": True}, 400, "partial_images",
        "integer_above_max_value", "Invalid 'partial_images'",
    ),
    "a long prompt": (
        {"model": "dall-e-2", "prompt": "x" * 1001}, 400, "prompt", "string_above_max_length", "Invalid",
    ),
    "a longer prompt": (
        {"model": "gpt-image-1", "prompt": "x" * 32_001}, 400, "prompt", "string_above_max_length", "Invalid",
    ),
    "no words": ({"prompt": ""}, 400, "prompt", "empty_string", "Invalid 'prompt': empty string"),
    "a chat model": ({"model": "gpt-4o"}, 404, "model", None, "This is a chat model"),
    "nobody": ({"model": "dall-e-9"}, 404, None, "model_not_found", "The model `dall-e-9` does not exist"),
    "another parameter": (
        {"extra_body": {"sharp": 1}}, 400, "sharp", "unknown_parameter", "Unknown parameter: 'sharp'.",
    ),
    "blood, of dall-e": (
        {"model": "dall-e-3", "prompt": "a beheaded man, gore"}, 400, None, "content_policy_violation",
        "Your request was rejected as a result of our safety system.",
    ),
    "blood, of gpt": (
        {"model": "gpt-image-1", "prompt": "a beheaded man, gore"}, 400, None, "moderation_blocked",
        "Your request was rejected by the safety system.",
    ),
}  # fmt: skip
#: Parameters that a model does not know.
UNKNOWN = {
    "dall-e-2": {
        "background": "opaque", "moderation": "low", "output_format": "png", "output_compression": 100,
        "stream": True, "style": "vivid",
    },
    "dall-e-3": {"background": "opaque", "moderation": "low", "output_format": "png", "stream": True},
    "gpt-image-1": {"response_format": "url", "style": "vivid", "input_fidelity": "high"},
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
async def test_what_a_model_does_not_do_is_refused(client: AsyncOpenAI, case: str) -> None:
    body, status, param, code, message = REFUSED[case]
    found, error = await refusal(client.images.generate(**{"prompt": "a cat", **body}))
    assert (found, error["param"], error["code"]) == (status, param, code)
    assert error["message"].startswith(message)


@pytest.mark.parametrize(
    ("model", "name"), [(model, name) for model, names in UNKNOWN.items() for name in names]
)
async def test_a_parameter_of_another_family_is_unknown(
    client: AsyncOpenAI, model: str, name: str
) -> None:
    body = {"prompt": "a cat", "model": model}
    status, error = await refusal(
        client.images.generate(**body, extra_body={name: UNKNOWN[model][name]})  # type: ignore[call-overload]  # made here
    )
    assert (status, error["param"], error["code"]) == (400, name, "unknown_parameter")


async def test_the_safety_system_tells_what_it_found(client: AsyncOpenAI) -> None:
    _, error = await refusal(client.images.generate(model="gpt-image-1", prompt="nude people"))
    assert error["type"] == "image_generation_user_error"
    assert "safety_violations=[sexual]" in error["message"]
    assert error["moderation_details"]["categories"] == ["sexual"]
    gore = "gory zombies"
    assert (await refusal(client.images.generate(model="gpt-image-1", prompt=gore)))[0] == 400
    mild = await client.images.generate(model="gpt-image-1", prompt=gore, moderation="low")
    assert mild.data


def _jpeg() -> Named:
    file = io.BytesIO()
    scene().save(file, "JPEG")
    return "a.jpg", file.getvalue(), "image/jpeg"


#: Edits: param, code, and how the message begins.
EDITS: dict[str, tuple[dict[str, Any], str | None, str | None, str]] = {
    "no type": (
        {"image": ("a", png(scene())[1], "application/octet-stream")}, "image", "unsupported_file_mimetype",
        "Invalid file 'image': unsupported mimetype ('application/octet-stream')",
    ),
    "noise": (
        {"image": ("a.png", b"noise", "image/png")}, "image", "invalid_image_file", "Invalid image file",
    ),
    "torn": (
        {"image": ("a.png", png(scene())[1][:900], "image/png")}, "image", "invalid_image_file", "Inv",
    ),
    "seventeen": ({"image": [png(scene())] * 17}, "image", "array_above_max_length", "Invalid 'image'"),
    "a mask without alpha": (
        {"mask": png(scene())}, "mask", "invalid_mask_image_format", "Invalid mask image format - mask image",
    ),
    "a mask of another size": (
        {"mask": png(half_clear(64, 64))}, "mask", "invalid_mask_image_format", "Invalid mask image format",
    ),
    "a mask of noise": (
        {"mask": ("m.png", b"noise", "image/png")}, "mask", "invalid_mask_image_format", "Invalid mask",
    ),
    "fidelity of mini": (
        {"model": "gpt-image-1-mini", "input_fidelity": "high"}, "input_fidelity", "invalid_value", "Invalid",
    ),
    "fidelity of 2": (
        {"model": "gpt-image-2", "input_fidelity": "high"}, "input_fidelity", "unknown_parameter", "Unknown",
    ),
    "dall-e-3": ({"model": "dall-e-3"}, "model", "invalid_value", "Invalid value: 'dall-e-3'"),
    "a JPEG for dall-e-2": (
        {"model": "dall-e-2", "image": _jpeg()}, None, None, "Uploaded image must be a PNG",
    ),
    "no square for dall-e-2": (
        {"model": "dall-e-2", "image": png(scene(64, 32))}, None, None, "Invalid input image - image must be",
    ),
    "no alpha for dall-e-2": ({"model": "dall-e-2"}, None, None, "Invalid input image - format must be in"),
}  # fmt: skip


@pytest.mark.parametrize("case", EDITS)
async def test_an_edit_that_cannot_be_is_refused(client: AsyncOpenAI, case: str) -> None:
    body, param, code, message = EDITS[case]
    whole = {"model": "gpt-image-1", "image": png(scene()), "prompt": "a cat", **body}
    status, error = await refusal(client.images.edit(**whole))
    assert (status, error["param"], error["code"]) == (400, param, code)
    assert error["message"].startswith(message)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_variations_are_dall_e_2s(client: AsyncOpenAI) -> None:
    status, error = await refusal(
        client.images.create_variation(image=png(scene()), model="gpt-image-1")
    )
    assert (status, error["param"]) == (400, "model")
    for picture in (_jpeg(), png(scene(40, 20)), png(Image.new("RGB", (4, 4)), "x")[0:2]):
        made = client.images.create_variation(image=picture)  # type: ignore[arg-type]  # a tuple of two
        if len(picture) == 2:
            assert (await made).data
        else:
            assert (await refusal(made))[0] == 400


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20) | st.sampled_from(["auto", "1024x1024", "16x16", "png", "low", "url"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
FIELDS = [
    "background", "image", "images", "input_fidelity", "mask", "model", "moderation", "n", "prompt", "user",
    "output_compression", "output_format", "partial_images", "quality", "response_format", "size", "stream",
    "style",
]  # fmt: skip


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with (
        threaded_app() as url,
        httpx.Client(base_url=url, timeout=60, headers={"authorization": "Bearer k"}) as made,
    ):
        yield made


@pytest.mark.parametrize("path", ["/v1/images/generations", "/v1/images/edits"])
@given(data=st.data())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_nothing_in_a_field_makes_a_server_error(
    http: httpx.Client, path: str, data: st.DataObject
) -> None:
    fields = data.draw(st.dictionaries(st.sampled_from(FIELDS), _JSON, max_size=4))
    answer = http.post(path, json={"prompt": "a cat", "size": "auto", **fields})
    assert answer.status_code == 200 or 400 <= answer.status_code < 500, (fields, answer.text)
    if answer.status_code != 200:
        assert answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/images/edits", "/v1/images/variations"])
@given(data=st.data())
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_file_makes_a_server_error(http: httpx.Client, path: str, data: st.DataObject) -> None:
    good = png(scene(32, 32))[1]
    cut = data.draw(st.integers(0, len(good)))
    noise = data.draw(st.binary(max_size=60))
    fields = data.draw(
        st.dictionaries(st.sampled_from(FIELDS), st.text(max_size=12), max_size=3)
    )  # fmt: skip
    name = data.draw(st.sampled_from(["image", "image[]", "mask", "image[a]"]))
    answer = http.post(
        path,
        data={"prompt": "x", **fields},
        files=[(name, ("a.png", good[:cut] + noise, "image/png"))],
    )
    assert answer.status_code == 200 or 400 <= answer.status_code < 500, (fields, answer.text)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"prompt": NaN}', b'{"prompt": "\xff"}', b'{"prompt": {}}'],
)
def test_a_body_that_is_no_request_is_refused(http: httpx.Client, body: bytes) -> None:
    for path in ("/v1/images/generations", "/v1/images/edits", "/v1/videos"):
        answer = http.post(path, content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 400
        assert answer.json()["error"]["message"]
