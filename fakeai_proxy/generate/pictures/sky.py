"""What hangs in the sky or falls from it. Each fills about one unit around the pen."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from fakeai_proxy.generate.pictures.colours import Colour, darker, lighter
from fakeai_proxy.generate.pictures.pen import Pen

#: Draws one thing in a colour, or in its own where that is None; the number is the detail, 1 to 3.
Motif = Callable[[Pen, Colour | None, Random, int], None]


def _sun(pen: Pen, colour: Colour | None, rng: Random, detail: int) -> None:
    colour = colour or (255, 214, 92)
    for k in range(3 * detail):
        pen.disc(0, 0, 0.9 - 0.16 * k / detail, 0.9 - 0.16 * k / detail, lighter(colour, 0.3), 26)
    pen.disc(0, 0, 0.42, 0.42, colour)
    pen.disc(-0.06, -0.06, 0.32, 0.32, lighter(colour, 0.25), 150)


def _moon(pen: Pen, colour: Colour | None, rng: Random, detail: int) -> None:
    colour = colour or (242, 238, 214)
    for k in range(2 * detail):
        pen.disc(0, 0, 0.8 - 0.2 * k / detail, 0.8 - 0.2 * k / detail, lighter(colour, 0.4), 20)
    pen.disc(0, 0, 0.42, 0.42, colour)
    for _ in range(3 * detail):
        angle, far, size = rng.uniform(0, 6.3), rng.uniform(0, 0.3), rng.uniform(0.02, 0.07)
        pen.disc(far * math.cos(angle), far * math.sin(angle), size, size, darker(colour, 0.16))


def _star(pen: Pen, colour: Colour | None, rng: Random, detail: int) -> None:
    colour = colour or (255, 240, 190)
    points = []
    for k in range(10):
        far = 0.45 if k % 2 == 0 else 0.19
        angle = math.pi * k / 5 - math.pi / 2
        points.append((far * math.cos(angle), far * math.sin(angle)))
    pen.shape(points, colour)


def _cloud(pen: Pen, colour: Colour | None, rng: Random, detail: int) -> None:
    colour = colour or (250, 251, 253)
    for shade, shift, alpha in ((darker(colour, 0.12), 0.05, 200), (colour, 0.0, 235)):
        for x, y, size in (
            (-0.4, 0.05, 0.2),
            (-0.12, -0.08, 0.3),
            (0.2, -0.02, 0.26),
            (0.46, 0.08, 0.16),
        ):
            pen.disc(x, y + shift, size, size, shade, alpha)
        pen.box(-0.5, 0.04 + shift, 1.0, 0.2, shade, 0.1, alpha)


def _rainbow(pen: Pen, colour: Colour | None, rng: Random, detail: int) -> None:
    bands = (
        (214, 60, 60),
        (240, 150, 60),
        (245, 220, 90),
        (90, 180, 100),
        (70, 130, 215),
        (130, 90, 190),
    )
    for k, band in enumerate(bands):
        pen.arc(0, 1.2, 1.9 - 0.09 * k, 180, 360, band, 0.1, 170)


def _bird(pen: Pen, colour: Colour | None, rng: Random, detail: int) -> None:
    colour = colour or (52, 58, 72)
    for _ in range(1 + 2 * detail):
        one = pen.at(rng.uniform(-0.9, 0.9), rng.uniform(-0.5, 0.5), rng.uniform(0.28, 0.5))
        one.shape([(-1, -0.35), (-0.45, -0.3), (0, 0.1), (0, 0.28), (-0.5, -0.1)], colour)
        one.shape([(1, -0.35), (0.45, -0.3), (0, 0.1), (0, 0.28), (0.5, -0.1)], colour)
        one.disc(0, 0.14, 0.15, 0.11, colour)


def _balloon(pen: Pen, colour: Colour | None, rng: Random, detail: int) -> None:
    colour = colour or (220, 70, 80)
    pen.line([(0, 0.5), (0.06, 0.8), (-0.04, 1.1)], darker(colour, 0.4), 0.02)
    pen.disc(0, 0, 0.42, 0.52, colour)
    pen.shape([(0, 0.48), (-0.07, 0.6), (0.07, 0.6)], darker(colour, 0.2))
    pen.disc(-0.14, -0.2, 0.1, 0.15, lighter(colour, 0.5), 180)


def _planet(pen: Pen, colour: Colour | None, rng: Random, detail: int) -> None:
    colour = colour or (214, 150, 104)
    pen.disc(0, 0, 0.44, 0.44, colour)
    for k in range(2 * detail):
        y = -0.3 + 0.6 * k / (2 * detail)
        half = math.sqrt(0.44**2 - y**2)
        pen.line([(-half, y), (half, y)], darker(colour, 0.14), 0.05)
    pen.arc(0, 0, 0.72, 20, 160, lighter(colour, 0.5), 0.06)


def _rain(pen: Pen, colour: Colour | None, rng: Random, detail: int) -> None:
    for _ in range(70 * detail):
        x, y, long = rng.uniform(-1, 1), rng.uniform(-1, 1), rng.uniform(0.03, 0.07)
        pen.line([(x, y), (x - long * 0.3, y + long)], colour or (206, 222, 238), 0.003, 150)


def _snow(pen: Pen, colour: Colour | None, rng: Random, detail: int) -> None:
    for _ in range(70 * detail):
        size = rng.uniform(0.003, 0.009)
        pen.disc(rng.uniform(-1, 1), rng.uniform(-1, 1), size, size, colour or (255, 255, 255), 220)


SKY: dict[str, Motif] = {
    "sun": _sun, "moon": _moon, "star": _star, "cloud": _cloud, "rainbow": _rainbow, "bird": _bird,
    "balloon": _balloon, "planet": _planet, "rain": _rain, "snow": _snow,
}  # fmt: skip
