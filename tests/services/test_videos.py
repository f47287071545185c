"""Films as jobs, under the vendor's SDK."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from PIL import Image

from fakeai_proxy.app import App
from fakeai_proxy.clock import VirtualClock
from fakeai_proxy.generate.pictures.watching import seen
from tests.conftest import Serve
from tests.services.pictures_asking import bytes_of, png, scene
from tests.services.refusing import refusal

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

PROMPT = "A red car by the sea at sunset"
#: Those that are sent in a form.
MP4 = ("a.mp4", "video/mp4")


@pytest.fixture
async def later(serve: Serve) -> AsyncIterator[tuple[App, VirtualClock, AsyncOpenAI]]:
    """A server whose jobs take their time, on a clock that jumps."""
    clock = VirtualClock()
    app = await serve(clock=clock, mode="synth", profile="openai")
    async with AsyncOpenAI(
        base_url=app.url + "/v1", api_key="k", max_retries=0, _strict_response_validation=True
    ) as client:
        yield app, clock, client


async def test_a_job_goes_on_by_the_clock(
    later: tuple[App, VirtualClock, AsyncOpenAI],
) -> None:
    _, clock, client = later
    start = clock.now()
    video = await client.videos.create(prompt=PROMPT, seconds="8", size="1280x720")
    assert (video.status, video.progress, video.model) == ("queued", 0, "sora-2")
    assert (video.seconds, video.size, video.prompt) == ("8", "1280x720", PROMPT)
    assert video.completed_at is None
    assert (await refusal(client.videos.download_content(video.id)))[0] == 404
    assert (await refusal(client.videos.delete(video.id)))[0] == 400
    assert (await refusal(client.videos.remix(video.id, prompt="x")))[0] == 400
    progress = []
    for after_s in (10, 40, 80, 120):
        await clock.sleep_until(start + after_s)
        video = await client.videos.retrieve(video.id)
        assert video.status == "in_progress"
        progress.append(video.progress)
    assert progress == sorted(set(progress))
    await clock.sleep_until(start + 130)
    video = await client.videos.retrieve(video.id)
    assert (video.status, video.progress, video.error) == ("completed", 100, None)
    assert video.completed_at is not None
    assert video.expires_at is not None
    assert 120 < video.completed_at - video.created_at < 130
    content = await client.videos.download_content(video.id)
    assert seen(content.read()).seconds == pytest.approx(8, abs=0.2)
    await clock.sleep_until(start + 130 + 3600)
    status, error = await refusal(client.videos.download_content(video.id))
    assert (status, error["code"]) == (404, "video_expired")


async def test_the_larger_model_takes_longer(later: tuple[App, VirtualClock, AsyncOpenAI]) -> None:
    _, clock, client = later
    start = clock.now()
    fast = await client.videos.create(prompt=PROMPT)
    fine = await client.videos.create(prompt=PROMPT, model="sora-2-pro", size="1024x1792")
    await clock.sleep_until(start + 80)
    assert (await client.videos.retrieve(fast.id)).status == "completed"
    assert (await client.videos.retrieve(fine.id)).status == "in_progress"


async def test_how_often_to_ask_is_told(
    later: tuple[App, VirtualClock, AsyncOpenAI],
) -> None:
    """The SDK polls at that interval."""
    _, _, client = later
    answer = await client.videos.with_raw_response.create(prompt="nude people")
    assert answer.headers["openai-poll-after-ms"] == "2000"
    assert answer.parse().status == "queued"  # what is wrong with it comes out later


def test_at_once_without_a_profile(app_url: str) -> None:
    with OpenAI(
        base_url=app_url + "/v1", api_key="k", max_retries=0, _strict_response_validation=True
    ) as client:
        video = client.videos.create_and_poll(prompt=PROMPT, model="sora-2-pro")
        assert video.status == "completed"
        film = client.videos.download_content(video.id)
        assert film.response.headers["content-type"] == "video/mp4"
        watched = seen(film.read())
        assert watched.first.size == (720, 1280)
        assert watched.seconds == pytest.approx(4, abs=0.2)
        for variant, size in (("thumbnail", (720, 1280)), ("spritesheet", (1280, 2275))):
            content = client.videos.download_content(video.id, variant=variant)  # type: ignore[arg-type]  # both are
            picture = Image.open(io.BytesIO(content.read()))
            assert (
                content.response.headers["content-type"] == f"image/{str(picture.format).lower()}"
            )
            assert picture.size == size
        failed = client.videos.create_and_poll(prompt="nude people")
        assert failed.status == "failed"
        assert failed.error is not None
        assert failed.error.code == "moderation_blocked"
        with pytest.raises(openai.NotFoundError):
            client.videos.download_content(failed.id)


async def test_films_are_listed_page_by_page_and_deleted(client: AsyncOpenAI) -> None:
    made = [(await client.videos.create(prompt=f"{PROMPT} {k}")).id for k in range(5)]
    newest = [video.id async for video in client.videos.list(limit=2)]
    assert newest == made[::-1]
    oldest = [video.id async for video in client.videos.list(limit=3, order="asc")]
    assert oldest == made
    page = await client.videos.list(limit=2, after=made[3])
    assert [video.id for video in page.data] == [made[2], made[1]]
    gone = await client.videos.delete(made[1])
    assert (gone.id, gone.deleted, gone.object) == (made[1], True, "video.deleted")
    assert (await refusal(client.videos.retrieve(made[1])))[0] == 404
    assert (await refusal(client.videos.delete(made[1])))[0] == 404
    assert made[1] not in [video.id async for video in client.videos.list()]


async def test_a_remix_and_an_extension_come_from_their_film(client: AsyncOpenAI, app: App) -> None:
    source = await client.videos.create(prompt=PROMPT, size="1280x720")
    remix = await client.videos.remix(source.id, prompt="with a dog")
    assert remix.remixed_from_video_id == source.id
    assert (remix.prompt, remix.size, remix.seconds) == ("with a dog", "1280x720", "4")
    files = [(await client.videos.download_content(one.id)).read() for one in (source, remix)]
    assert files[0] != files[1]
    async with httpx.AsyncClient(
        base_url=app.url + "/v1/videos", headers={"authorization": "Bearer k"}
    ) as http:
        body = {"video": {"id": source.id}, "prompt": "further", "seconds": "12"}
        longer = (await http.post("/extensions", json=body)).json()
        assert longer["seconds"] == "16"
        form = {"video[id]": source.id, "prompt": "in the rain"}
        edited = (await http.post("/edits", data=form, files={"x": b""})).json()
        assert edited["error"]["param"] == "x"
        edited = (
            await http.post("/edits", json={"video": {"id": source.id}, "prompt": "y"})
        ).json()
        assert edited["remixed_from_video_id"] == source.id
    sent = await client.videos.edit(video=(MP4[0], files[0], MP4[1]), prompt="at night")
    assert (sent.size, sent.seconds) == ("1280x720", "4")


async def test_a_film_begins_with_the_picture_that_it_is_given(client: AsyncOpenAI) -> None:
    reference = Image.new("RGB", (1280, 720), (200, 30, 30))
    video = await client.videos.create(prompt="x", size="1280x720", input_reference=png(reference))
    film = seen((await client.videos.download_content(video.id)).read())
    red, green, blue = film.first.getpixel((640, 200))  # type: ignore[misc]  # three bands
    assert red > 150
    assert max(green, blue) < 90
    status, error = await refusal(
        client.videos.create(prompt="x", size="1280x720", input_reference=png(scene(64, 64)))
    )
    assert (status, error["param"]) == (400, "input_reference")
    assert error["message"] == "Inpaint image must match the requested width and height (1280x720)."


async def test_a_character_is_made_from_a_film(client: AsyncOpenAI) -> None:
    source = await client.videos.create(prompt=PROMPT)
    film = (await client.videos.download_content(source.id)).read()
    made = await client.videos.create_character(name="Bob", video=(MP4[0], film, MP4[1]))
    assert (await client.videos.get_character(made.id or "")).name == "Bob"
    assert (await refusal(client.videos.get_character("char_x")))[0] == 404
    noise = client.videos.create_character(name="Bob", video=(MP4[0], b"noise", MP4[1]))
    assert (await refusal(noise))[1]["code"] == "invalid_video_file"


REFUSED: dict[str, tuple[dict[str, Any], int, str | None]] = {
    "no words": ({"prompt": ""}, 400, "prompt"),
    "too many words": ({"prompt": "x" * 32_001}, 400, "prompt"),
    "five seconds": ({"seconds": "5"}, 400, "seconds"),
    "another size": ({"size": "1x1"}, 400, "size"),
    "a size of the larger model": ({"size": "1024x1792"}, 400, "size"),
    "a model of pictures": ({"model": "dall-e-2"}, 404, "model"),
    "nobody": ({"model": "cinema"}, 404, None),
    "another parameter": ({"extra_body": {"fps": 60}}, 400, "fps"),
    "a torn picture": ({"input_reference": ("a.png", b"x", "image/png")}, 400, "input_reference"),
    "a picture by a dead URL": (
        {"extra_body": {"input_reference": {"image_url": "http://x.test/a"}}}, 400,
        "input_reference.image_url",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
async def test_what_cannot_be_filmed_is_refused(client: AsyncOpenAI, case: str) -> None:
    body, status, param = REFUSED[case]
    found, error = await refusal(client.videos.create(**{"prompt": PROMPT, **body}))
    assert (found, error["param"]) == (status, param)


@pytest.mark.parametrize(
    ("query", "param"),
    [("limit=x", "limit"), ("limit=101", "limit"), ("limit=-1", "limit"), ("order=up", "order"),
     ("after=video_x", "video_id"), ("limit=" + "9" * 50, "limit")],
)  # fmt: skip
async def test_a_list_is_asked_for_in_its_terms(app: App, query: str, param: str) -> None:
    async with httpx.AsyncClient(headers={"authorization": "Bearer k"}) as http:
        answer = await http.get(f"{app.url}/v1/videos?{query}")
        assert 400 <= answer.status_code < 500
        assert answer.json()["error"]["param"] == param
        made = await http.post(app.url + "/v1/videos", json={"prompt": "x"})
        content = await http.get(f"{app.url}/v1/videos/{made.json()['id']}/content?variant=sound")
        assert content.json()["error"]["param"] == "variant"


def test_a_data_url_is_a_reference(app_url: str) -> None:
    from base64 import b64encode

    url = "data:image/png;base64," + b64encode(bytes_of(scene(720, 1280))).decode()
    answer = httpx.post(
        app_url + "/v1/videos", json={"prompt": "x", "input_reference": {"image_url": url}},
        headers={"authorization": "Bearer k"},
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
