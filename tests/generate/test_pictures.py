"""Pictures: what a prompt names is to be seen, and the same prompt gives the same bytes."""

from __future__ import annotations

import contextlib
import io
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops

from fakeai_proxy.generate.pictures import moving
from fakeai_proxy.generate.pictures.caption import draw_caption
from fakeai_proxy.generate.pictures.changes import edited, unfinished, varied
from fakeai_proxy.generate.pictures.colours import NAMED, Colour
from fakeai_proxy.generate.pictures.formats import PictureError, encoded, opened
from fakeai_proxy.generate.pictures.moving import FRAMES_PER_S, Film, filmed
from fakeai_proxy.generate.pictures.painter import Brief, paint
from fakeai_proxy.generate.pictures.scene import scene_of
from fakeai_proxy.generate.pictures.watching import seen

PROMPTS = st.one_of(
    st.text(max_size=80),
    st.lists(
        st.sampled_from(
            [
                "red",
                "cat",
                "city",
                "night",
                "sea",
                "blue",
                "mountain",
                "star",
                "rocket",
                "green",
                "of",
                "a",
                "book",
            ]
        ),
        max_size=8,
    ).map(" ".join),
)


def share_near(picture: Image.Image, colour: Colour, distance: int = 40) -> float:
    """Of the pixels, those that are like `colour`."""
    pixels = np.asarray(picture.convert("RGB"), np.int32)
    far = np.abs(pixels - np.array(colour)).max(axis=2)
    return float((far <= distance).mean())


def saturation(picture: Image.Image) -> float:
    return float(np.asarray(picture.convert("HSV"))[..., 1].mean())


@given(PROMPTS, st.sampled_from([(64, 64), (96, 64), (48, 112)]), st.integers(1, 3), st.booleans())
@settings(max_examples=40, deadline=None)
def test_any_prompt_is_painted_and_the_same_one_alike(
    prompt: str, size: tuple[int, int], detail: int, backdrop: bool
) -> None:
    brief = Brief(prompt, *size, seed=7, detail=detail, backdrop=backdrop)
    picture = paint(brief)
    assert picture.size == size
    assert picture.mode == ("RGB" if backdrop else "RGBA")
    assert picture.tobytes() == paint(brief).tobytes()


@pytest.mark.parametrize(
    "name", ["red", "navy", "gold", "pink", "teal", "white", "black", "purple"]
)
@pytest.mark.parametrize(
    "prompt",
    [
        "joy in {}",
        "a {} cat",
        "a {} house and a tree in a city",
        "{} mountains by the sea",
        "the sea, {}",
    ],
)
@pytest.mark.parametrize("backdrop", [True, False])
def test_a_colour_that_is_named_is_to_be_seen(name: str, prompt: str, backdrop: bool) -> None:
    picture = paint(Brief(prompt.format(name), 256, 256, 3, backdrop=backdrop))
    without = paint(Brief(prompt.format("nice"), 256, 256, 3, backdrop=backdrop))
    there = share_near(picture, NAMED[name])
    assert there > 0.01
    assert there > share_near(without, NAMED[name]) or name in ("white", "black")


def test_what_a_prompt_names_is_in_its_scene() -> None:
    scene = scene_of("A red car and two white cats in a green meadow at night", Random(1))
    assert {thing.name: thing.colour for thing in scene.things} == {
        "car": NAMED["red"], "cat": NAMED["white"],
    }  # fmt: skip
    assert dict(scene.lands) == {"field": NAMED["green"]}
    assert scene.hour == "night"
    assert scene_of("Ein rotes Haus; eine Katze", Random(1)).things
    assert scene_of("the meaning of it", Random(1)).is_abstract


def test_other_words_and_other_seeds_give_other_pictures() -> None:
    pictures = [
        paint(Brief(prompt, 128, 128, seed)).tobytes()
        for prompt, seed in (("a cat", 1), ("a dog", 1), ("a cat", 2), ("a cat at night", 1))
    ]
    assert len(set(pictures)) == 4


def test_more_quality_is_more_detail_and_a_vivid_style_more_colour() -> None:
    low, high = (encoded(paint(Brief("a city", 256, 256, 1, k)), "png") for k in (1, 3))
    assert len(high) > len(low)
    natural, plain, vivid = (
        saturation(paint(Brief("a field", 128, 128, 1, vividness=v))) for v in (0.75, 1.0, 1.3)
    )
    assert natural < plain < vivid


def test_without_a_backdrop_only_the_things_are_there() -> None:
    picture = paint(Brief("a red apple", 256, 256, 1, backdrop=False, caption=False))
    alpha = np.asarray(picture.getchannel("A"))
    assert 0.4 < (alpha == 0).mean() < 0.98
    assert (alpha == 255).mean() > 0.02
    on_white = Image.new("RGBA", picture.size, "white")
    on_white.alpha_composite(picture)
    assert share_near(on_white, NAMED["red"]) > 0.02


def test_the_prompt_is_written_legibly() -> None:
    plain = Image.new("RGB", (512, 256), (90, 120, 150))
    written = plain.copy()
    draw_caption(written, "HELLO THERE")
    box = ImageChops.difference(plain, written).getbbox()
    assert box is not None
    assert box[1] > 128  # at the foot
    pixels = np.asarray(written.crop(box).convert("L"))
    assert pixels.max() > 230  # light letters
    assert np.median(pixels) < 80  # on a dark panel
    other = plain.copy()
    draw_caption(other, "HOWDY THERE")
    assert other.tobytes() != written.tobytes()
    nothing = plain.copy()
    draw_caption(nothing, " \n\u200b ")
    assert nothing.tobytes() == plain.tobytes()


@given(st.text(max_size=300), st.sampled_from([(16, 16), (64, 300), (300, 64)]))
@settings(max_examples=40, deadline=None)
def test_any_text_can_be_written(text: str, size: tuple[int, int]) -> None:
    draw_caption(Image.new("RGB", size), text)


@pytest.mark.parametrize("form", ["png", "jpeg", "webp"])
def test_what_is_written_can_be_read(form: str) -> None:
    picture = paint(Brief("a boat", 96, 64, 1))
    data = encoded(picture, form, 80)  # type: ignore[arg-type]  # a parameter is a plain string
    again = opened(data)
    assert (again.format, again.size, again.mode) == (form.upper(), (96, 64), "RGB")
    assert np.abs(np.asarray(again, int) - np.asarray(picture, int)).mean() < 8
    if form != "png":
        assert len(encoded(picture, form, 10)) < len(data)  # type: ignore[arg-type]  # the same


@given(st.binary(max_size=200), st.integers(0, 200))
@settings(deadline=None)
def test_bytes_that_are_no_picture_are_refused(noise: bytes, cut: int) -> None:
    torn = encoded(Image.new("RGB", (40, 40), "red"), "png")[:cut] + noise
    with contextlib.suppress(PictureError):
        assert opened(torn).size == (40, 40)


def test_a_bomb_of_pixels_is_refused_unread() -> None:
    file = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(file, "PNG")
    with pytest.raises(PictureError):
        opened(file.getvalue())


def test_only_what_the_mask_leaves_clear_is_edited() -> None:
    base = paint(Brief("a house", 128, 128, 5))
    mask = Image.new("RGBA", (128, 128), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (0, 0, 64, 128))
    made = edited([base], mask, Brief("a red heart", 128, 128, 6))
    assert made.crop((64, 0, 128, 128)).tobytes() == base.crop((64, 0, 128, 128)).tobytes()
    assert made.crop((0, 0, 64, 128)).tobytes() != base.crop((0, 0, 64, 128)).tobytes()


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_the_caption_of_an_edit_hides_that_of_its_picture(mode: str) -> None:
    first = paint(Brief("W" * 400, 512, 512, 1)).convert(mode)
    other = paint(Brief("i" * 400, 512, 512, 1)).convert(mode)
    brief = Brief("a boat on a lake " * 20, 512, 512, 2)
    foot = (60, 450, 450, 480)
    assert first.crop(foot).tobytes() != other.crop(foot).tobytes()
    ours = [edited([each], None, brief).convert("RGB").crop(foot) for each in (first, other)]
    assert ours[0].tobytes() == ours[1].tobytes()


def test_high_fidelity_keeps_more_of_the_picture() -> None:
    base = Image.new("RGB", (96, 96), (10, 200, 90))
    brief = Brief("a dog", 96, 96, 1)
    gaps = [
        np.abs(
            np.asarray(edited([base], None, brief, fidelity), int) - np.asarray(base, int)
        ).mean()
        for fidelity in ("low", "high")
    ]
    assert gaps[1] < gaps[0]


def test_further_pictures_are_set_into_an_edit() -> None:
    base, further = Image.new("RGB", (200, 200), "gray"), Image.new("RGB", (50, 50), (255, 0, 255))
    brief = Brief("a tree", 200, 200, 1)
    assert share_near(edited([base], None, brief), (191, 64, 191), 60) < 0.005
    assert share_near(edited([base, further], None, brief), (191, 64, 191), 60) > 0.01


@given(st.integers(0, 1 << 32))
@settings(max_examples=20, deadline=None)
def test_a_variation_is_like_its_picture_and_not_the_same(seed: int) -> None:
    base = paint(Brief("a boat on the sea", 96, 96, 3))
    made = varied(base, (96, 96), Random(seed))
    assert made.tobytes() != base.tobytes()
    assert made.tobytes() == varied(base, (96, 96), Random(seed)).tobytes()
    means = [np.asarray(one, float).mean(axis=(0, 1)) for one in (base, made)]
    assert np.abs(means[0] - means[1]).max() < 70


def test_an_unfinished_picture_comes_nearer_with_every_step() -> None:
    picture = paint(Brief("a robot in the forest", 256, 256, 1))
    gaps = [
        np.abs(np.asarray(unfinished(picture, k, 3), int) - np.asarray(picture, int)).mean()
        for k in range(3)
    ]
    assert gaps[0] > gaps[1] > gaps[2] > 0


def test_a_film_plays_as_long_as_it_says() -> None:
    film = Film(Brief("a car", 176, 144, 1), 4)
    data, content_type = filmed(film)
    assert content_type == "video/mp4"
    watched = seen(data)
    assert watched.first.size == (176, 144)
    assert watched.seconds == pytest.approx(4, abs=0.2)
    assert data == filmed.__wrapped__(film)[0]


def test_without_pyav_a_film_is_an_animated_webp_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    data, content_type = filmed.__wrapped__(Film(Brief("a car", 96, 96, 1), 4))
    assert content_type == "image/webp"
    picture = Image.open(io.BytesIO(data))
    assert (picture.format, picture.n_frames) == ("WEBP", 4 * FRAMES_PER_S)  # type: ignore[attr-defined]  # of animated ones
    assert seen(data).seconds == pytest.approx(4)
    with pytest.raises(PictureError):
        seen(b"\0\0\0\x18ftypmp42" + bytes(100))


def test_a_film_moves_and_begins_with_its_reference() -> None:
    film = Film(Brief("a car", 96, 96, 1, caption=False), 4)
    first, *_, last = moving._frames(film, 8)
    assert first.tobytes() != last.tobytes()
    red = encoded(Image.new("RGB", (96, 96), (200, 20, 20)), "png")
    begun = next(moving._frames(Film(film.brief, 4, red), 1))
    assert share_near(begun, (200, 20, 20)) > 0.6


def test_a_playlist_is_no_film() -> None:
    for text in (
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n",
        b"ffconcat version 1.0\nfile /etc/hostname\n",
    ):
        with pytest.raises(PictureError):
            seen(text)
