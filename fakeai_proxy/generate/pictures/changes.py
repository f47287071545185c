"""Pictures made from pictures: edits within a mask, variations, and what is seen before one is done."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps

from fakeai_proxy.generate.pictures.caption import draw_caption
from fakeai_proxy.generate.pictures.painter import Brief, paint

#: How much of an edited picture stays to be seen where no mask says: by the fidelity that is asked for.
_KEPT = {"low": 0.45, "high": 0.7}


def edited(
    pictures: Sequence[Image.Image], mask: Image.Image | None, brief: Brief, fidelity: str = "low"
) -> Image.Image:
    """The first picture with what `brief` says painted where `mask` is transparent, or over all of it;
    what lies elsewhere is as it was, but for the size. Further pictures are set into it."""
    size = (brief.width, brief.height)
    base = fitted(pictures[0], size)
    written = brief.caption and mask is None
    painted = paint(replace(brief, caption=brief.caption and not written))
    for place, further in enumerate(pictures[1:]):
        _set_in(painted, further, place)
    painted = painted.convert(base.mode)
    if mask is None:
        whole = Image.blend(painted, base, _KEPT[fidelity])
        if written:
            draw_caption(whole, brief.prompt, opaque=True)  # over what the first picture may say
        return whole
    where = ImageChops.invert(fitted(mask, size, Image.Resampling.NEAREST).getchannel("A"))
    return Image.composite(painted, base, where.point(lambda clear: 255 if clear == 255 else 0))


def fitted(
    picture: Image.Image, size: tuple[int, int],
    resampling: Image.Resampling = Image.Resampling.BICUBIC,
) -> Image.Image:  # fmt: skip
    """Of that size, cut at its longer sides; the very same where it has it already."""
    if picture.size == size:
        return picture
    return ImageOps.fit(picture, size, resampling)


def _set_in(into: Image.Image, further: Image.Image, place: int) -> None:
    """As a small print in a row at the top, four to a row."""
    side = min(into.size) // 5
    gap = side // 4
    print_ = ImageOps.expand(
        fitted(further.convert("RGB"), (side, side)), max(2, side // 24), "white"
    )
    row, column = divmod(place, 4)
    into.paste(print_, (gap + column * (side + gap), gap + row * (side + gap)))


def varied(picture: Image.Image, size: tuple[int, int], rng: Random) -> Image.Image:
    """The same subject, seen a little otherwise: a mirror image or not, nearer, warmer or colder."""
    near = rng.uniform(0.8, 0.95)
    width, height = max(1, round(picture.width * near)), max(1, round(picture.height * near))
    left = rng.randint(0, picture.width - width)
    top = rng.randint(0, picture.height - height)
    made = fitted(picture.crop((left, top, left + width, top + height)), size)
    if rng.random() < 0.5:
        made = ImageOps.mirror(made)
    clear = made.getchannel("A") if made.mode == "RGBA" else None
    tinted = _turned(made.convert("RGB"), rng.choice((-1, 1)) * rng.uniform(0.03, 0.12))
    tinted = ImageEnhance.Color(tinted).enhance(rng.uniform(0.85, 1.25))
    tinted = ImageEnhance.Brightness(tinted).enhance(rng.uniform(0.92, 1.08))
    if clear is not None:
        tinted.putalpha(clear)
    return tinted


def _turned(picture: Image.Image, turn: float) -> Image.Image:
    """Its colours mixed towards those `turn` of the way round the wheel."""
    tint = tuple(
        round(255 * part) for part in colorsys.hsv_to_rgb((0.08 + turn * 4) % 1.0, 0.6, 1.0)
    )
    return Image.blend(
        picture, ImageChops.multiply(picture, Image.new("RGB", picture.size, tint)), 0.35
    )


def unfinished(picture: Image.Image, step: int, steps: int) -> Image.Image:
    """What is to be seen of a picture `step` (0 first) of `steps` before it is done: its large
    patches first, blurred."""
    coarse = 64 >> (3 * step // max(1, steps))
    small = picture.resize(
        (max(1, picture.width // coarse), max(1, picture.height // coarse)), Image.Resampling.BOX
    )
    return small.resize(picture.size, Image.Resampling.BILINEAR).filter(ImageFilter.BoxBlur(2))
