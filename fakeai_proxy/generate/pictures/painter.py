"""A scene -> a picture: sky, lands, things, caption, each on the one below."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fakeai_proxy.generate.pictures.caption import draw_caption
from fakeai_proxy.generate.pictures.colours import Colour, lighter
from fakeai_proxy.generate.pictures.lands import LANDS, ridge
from fakeai_proxy.generate.pictures.pen import Pen
from fakeai_proxy.generate.pictures.scene import Scene, scene_of
from fakeai_proxy.generate.pictures.sky import SKY
from fakeai_proxy.generate.pictures.things import THINGS

#: Pixels above which nothing is drawn twice as fine: memory, and edges that nobody sees.
_FINE_PIXELS_MAX = 1_600_000


@dataclass(frozen=True, slots=True)
class Brief:
    """What to paint. `detail` is 1 to 3, `vividness` a factor of the saturation. Without
    `backdrop` only the things are painted, on nothing."""

    prompt: str
    width: int
    height: int
    seed: int
    detail: int = 2
    vividness: float = 1.0
    backdrop: bool = True
    caption: bool = True


def paint(brief: Brief) -> Image.Image:
    """RGB, or RGBA without a backdrop; the same for the same brief."""
    scene = scene_of(brief.prompt, Random(brief.seed), brief.vividness)
    if brief.backdrop:
        return _painted(scene, brief, None)
    return _lifted(_painted(scene, brief, 0), _painted(scene, brief, 255))


def _painted(scene: Scene, brief: Brief, plain: int | None) -> Image.Image:
    """On its sky, or on a shade of grey. Drawn twice as fine where that shows, for smooth edges."""
    rng = Random(brief.seed + 1)
    fine = 2 if brief.detail > 1 and brief.width * brief.height <= _FINE_PIXELS_MAX else 1
    width, height = brief.width * fine, brief.height * fine
    picture = _sky(scene, width, height) if plain is None else _plain(width, height, plain)
    draw = ImageDraw.Draw(picture, "RGBA")  # blends what is translucent
    _draw(draw, scene, brief, (width, height), rng)
    if fine > 1:
        picture = picture.reduce(fine)
    if brief.caption:
        draw_caption(picture, brief.prompt)
    return picture


def _lifted(on_black: Image.Image, on_white: Image.Image) -> Image.Image:
    """What was painted, off its ground: where black and white show through alike, nothing is."""
    dark, light = np.asarray(on_black, np.int32), np.asarray(on_white, np.int32)
    alpha = np.clip(255 - (light - dark).max(axis=2, keepdims=True), 0, 255)
    colour = np.clip(dark * 255 // np.maximum(alpha, 1), 0, 255)
    return Image.fromarray(np.concatenate([colour, alpha], axis=2).astype(np.uint8), "RGBA")


def _plain(width: int, height: int, shade: int) -> Image.Image:
    return Image.new("RGB", (width, height), (shade, shade, shade))


def _sky(scene: Scene, width: int, height: int) -> Image.Image:
    """Its top's colour down to that of the horizon, and the ground below."""
    edge = 1.0 if scene.is_abstract else scene.horizon
    rows = np.linspace(0.0, 1.0, height, dtype=np.float32)[:, None]
    column = _between(scene.top, scene.bottom, np.clip(rows / edge, 0, 1) ** 1.3)
    if edge < 1.0:
        deep = np.clip((rows - edge) / (1 - edge), 0, 1)
        column = np.where(
            rows < edge, column, _between(lighter(scene.ground, 0.2), scene.ground, deep)
        )
    pixels = np.repeat(column.astype(np.uint8)[:, None, :], width, axis=1)
    return Image.fromarray(pixels, "RGB")


def _between(first: Colour, last: Colour, share: NDArray[np.float32]) -> NDArray[np.float32]:
    start, end = np.array(first, np.float32), np.array(last, np.float32)
    return start + (end - start) * share


def _draw(
    draw: ImageDraw.ImageDraw, scene: Scene, brief: Brief, size: tuple[int, int], rng: Random
) -> None:
    width, height = size
    short = min(size)
    whole = Pen(draw, 0, 0, height)
    if brief.backdrop:
        _far(whole, width / height, scene, rng, brief.detail)
    if scene.is_abstract or (not brief.backdrop and not scene.things):
        _shapes(whole, width / height, scene, rng, brief.detail)
    free = iter(() if brief.backdrop else scene.named)
    for thing in scene.things:
        unit = thing.size * short if thing.size < 1.0 else max(size)
        stands = thing.name in THINGS
        foot = 0.1 * short if stands and thing.size < 0.4 else 0.0
        pen = Pen(draw, thing.x * width, thing.y * height - 0.02 * short + foot, unit)
        motif = THINGS[thing.name] if stands else SKY[thing.name]
        motif(pen, thing.colour or next(free, None), rng, brief.detail)


def _far(pen: Pen, wide: float, scene: Scene, rng: Random, detail: int) -> None:
    """Stars and lands; hills where things stand and no land is named."""
    if scene.hour in ("night", "space"):
        for _ in range(60 * detail):
            size = rng.uniform(0.0008, 0.0026)
            pen.disc(
                rng.uniform(0, wide),
                rng.uniform(0, scene.horizon),
                size,
                size,
                (255, 252, 232),
                220,
            )
    for name, colour in scene.lands:
        LANDS[name](pen, scene, wide, rng, detail, colour)
    if scene.things and not scene.lands:
        line = ridge(rng, wide, scene.horizon + 0.02, 0.02, 40)
        pen.shape([*line, (wide, 1.0), (0.0, 1.0)], scene.ground)
    for k, colour in enumerate(scene.strips):
        base = 0.82 + 0.16 * k / len(scene.strips)
        line = ridge(rng, wide, base, 0.012, 30)
        pen.shape([*line, (wide, 1.0), (0.0, 1.0)], colour)


def _shapes(pen: Pen, wide: float, scene: Scene, rng: Random, detail: int) -> None:
    """Of colours alone: large discs and bands, those that are named the largest."""
    for k, colour in enumerate(scene.colours):
        line = ridge(rng, wide, 0.35 + 0.5 * k / len(scene.colours), 0.06, 60)
        pen.shape([*line, (wide, 1.0), (0.0, 1.0)], colour, 255 if k % 2 == 0 else 215)
    for k in range(3 + 3 * detail):
        colour = scene.colours[k % len(scene.colours)]
        size = rng.uniform(0.03, 0.12) * min(1.0, wide)
        x, y = rng.uniform(0, wide), rng.uniform(0.05, 0.75)
        pen.disc(x, y, size, size, colour, 235)
        pen.disc(x - size * 0.25, y - size * 0.25, size * 0.5, size * 0.5, lighter(colour, 0.4), 70)
