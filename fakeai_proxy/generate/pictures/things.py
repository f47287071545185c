"""What stands on the ground. Each is one unit wide or high, and stands at y = 0.5."""

from __future__ import annotations

import math
from random import Random

from fakeai_proxy.generate.pictures.colours import Colour, darker, lighter
from fakeai_proxy.generate.pictures.pen import Pen
from fakeai_proxy.generate.pictures.sky import Motif

_INK: Colour = (38, 40, 50)
_WHITE: Colour = (250, 250, 248)
_LAMPS: tuple[Colour, ...] = ((240, 96, 84), (246, 206, 84), (96, 200, 120), (90, 150, 240))


def _shadow(pen: Pen, width: float) -> None:
    pen.disc(0, 0.5, width, 0.05, (10, 14, 24), 70)


def _cat(pen: Pen, colour: Colour | None, rng: Random, detail: int) -> None:
    colour = colour or rng.choice(((214, 140, 72), (92, 94, 104), (60, 52, 52), (226, 208, 180)))
    _shadow(pen, 0.36)
    pen.arc(0.3, 0.3, 0.2, -100, 120, darker(colour, 0.1), 0.08)
    pen.disc(0, 0.24, 0.28, 0.28, colour)
    for side in (-1, 1):
        pen.shape([(side * 0.24, -0.46), (side * 0.04, -0.26), (side * 0.26, -0.16)], colour)
        pen.shape(
            [(side * 0.21, -0.38), (side * 0.1, -0.26), (side * 0.22, -0.22)], (236, 160, 160)
        )
        pen.disc(side * 0.12, 0.46, 0.1, 0.06, lighter(colour, 0.12))
    pen.disc(0, -0.12, 0.26, 0.22, colour)
    for side in (-1, 1):
        pen.disc(side * 0.1, -0.15, 0.055, 0.065, (206, 226, 110))
        pen.disc(side * 0.1, -0.15, 0.02, 0.055, _INK)
        for k in range(detail):
            pen.line([(side * 0.06, -0.03), (side * 0.34, -0.07 + 0.05 * k)], _WHITE, 0.008, 200)
    pen.shape([(-0.03, -0.07), (0.03, -0.07), (0, -0.03)], (226, 120, 130))


def _dog(pen: Pen, colour: Colour | None, rng: Random, detail: int) -> None:
    colour = colour or rng.choice(((196, 146, 90), (120, 84, 58), (224, 210, 188)))
    _shadow(pen, 0.4)
    pen.line([(0.3, 0.2), (0.44, 0.0), (0.42, -0.1)], darker(colour, 0.1), 0.08)
    pen.disc(0.04, 0.25, 0.32, 0.24, colour)
    for x in (-0.2, -0.08, 0.16, 0.28):
        pen.box(x - 0.05, 0.26, 0.1, 0.24, darker(colour, 0.06), 0.05)
    pen.disc(-0.1, -0.1, 0.24, 0.23, colour)
    for side in (-1, 1):
        pen.disc(-0.1 + side * 0.24, -0.06, 0.08, 0.19, darker(colour, 0.32))
        pen.disc(-0.1 + side * 0.09, -0.15, 0.035, 0.04, _INK)
    pen.disc(-0.1, 0.0, 0.13, 0.1, lighter(colour, 0.4))
    pen.disc(-0.1, -0.05, 0.05, 0.035, _INK)


def _fish(pen: Pen, colour: Colour | None, rng: Random, detail: int) -> None:
    colour = colour or (242, 142, 66)
    pen.shape([(0.24, 0.1), (0.5, -0.1), (0.5, 0.3)], darker(colour, 0.16))
    pen.shape([(-0.05, -0.1), (0.16, -0.26), (0.2, -0.02)], darker(colour, 0.16))
    pen.disc(0, 0.1, 0.36, 0.22, colour)
    for k in range(detail):
        x = -0.06 + 0.13 * k
        pen.line([(x, -0.06), (x + 0.04, 0.1), (x, 0.26)], lighter(colour, 0.5), 0.03)
    pen.disc(-0.22, 0.05, 0.05, 0.05, _WHITE)
    pen.disc(-0.23, 0.05, 0.025, 0.025, _INK)


def _boat(pen: Pen, colour: Colour | None, rng: Random, detail: int) -> None:
    colour = colour or (150, 62, 52)
    pen.line([(0, -0.5), (0, 0.28)], (96, 72, 52), 0.03)
    pen.shape([(0.03, -0.48), (0.03, 0.16), (0.4, 0.16)], _WHITE)
    pen.shape([(-0.03, -0.36), (-0.03, 0.16), (-0.3, 0.16)], (232, 226, 214))
    pen.shape([(-0.46, 0.24), (0.46, 0.24), (0.32, 0.46), (-0.32, 0.46)], colour)
    pen.line([(-0.44, 0.27), (0.44, 0.27)], lighter(colour, 0.5), 0.03)
    for k in range(detail):
        pen.line(
            [(-0.5 + 0.1 * k, 0.5 + 0.03 * k), (0.5 - 0.1 * k, 0.5 + 0.03 * k)], _WHITE, 0.012, 120
        )


def _house(pen: Pen, colour: Colour | None, rng: Random, detail: int) -> None:
    colour = colour or (236, 218, 188)
    _shadow(pen, 0.5)
    pen.box(0.18, -0.44, 0.1, 0.3, (120, 80, 66))
    pen.box(-0.4, -0.06, 0.8, 0.56, colour)
    pen.shape([(-0.5, -0.04), (0, -0.5), (0.5, -0.04)], (172, 76, 62))
    pen.box(-0.08, 0.18, 0.16, 0.32, (110, 74, 52), 0.02)
    for x in (-0.31, 0.15):
        pen.box(x, 0.06, 0.16, 0.17, (255, 228, 150))
        if detail > 1:
            pen.line([(x + 0.08, 0.06), (x + 0.08, 0.23)], darker(colour, 0.5), 0.012)
            pen.line([(x, 0.145), (x + 0.16, 0.145)], darker(colour, 0.5), 0.012)


def _lighthouse(pen: Pen, colour: Colour | None, rng: Random, detail: int) -> None:
    colour = colour or (206, 62, 58)
    for side in (-1, 1):
        pen.shape([(0, -0.44), (side * 1.3, -0.66), (side * 1.3, -0.3)], (255, 244, 190), 60)
    pen.disc(0, 0.52, 0.5, 0.12, (92, 92, 98))
    edges = [(-0.12 - 0.1 * k / 5, -0.34 + 0.84 * k / 5) for k in range(6)]
    for k in range(5):
        (a, top), (b, bottom) = edges[k], edges[k + 1]
        pen.shape(
            [(a, top), (-a, top), (-b, bottom), (b, bottom)], colour if k % 2 == 0 else _WHITE
        )
    pen.box(-0.09, -0.5, 0.18, 0.16, (255, 236, 150))
    pen.shape([(-0.14, -0.5), (0.14, -0.5), (0, -0.64)], darker(colour, 0.3))


def _tree(pen: Pen, colour: Colour | None, rng: Random, detail: int) -> None:
    colour = colour or (58, 128, 72)
    _shadow(pen, 0.3)
    pen.shape([(-0.06, 0.5), (-0.03, -0.05), (0.03, -0.05), (0.06, 0.5)], (104, 74, 52))
    for x, y, size in ((-0.2, 0.0, 0.22), (0.2, 0.0, 0.22), (0, -0.22, 0.28), (0, -0.02, 0.24)):
        pen.disc(x, y, size, size, colour)
    for _ in range(6 * detail):
        x, y = rng.uniform(-0.26, 0.2), rng.uniform(-0.4, 0.05)
        pen.disc(x, y, 0.05, 0.04, lighter(colour, 0.2), 130)


def _flower(pen: Pen, colour: Colour | None, rng: Random, detail: int) -> None:
    colour = colour or (232, 92, 130)
    pen.line([(0, -0.1), (0.03, 0.2), (0, 0.5)], (64, 130, 70), 0.04)
    pen.disc(0.13, 0.26, 0.13, 0.05, (74, 146, 80))
    pen.disc(-0.11, 0.36, 0.12, 0.05, (74, 146, 80))
    count = 6 + 2 * detail
    for k in range(count):
        angle = 2 * math.pi * k / count
        x, y = 0.2 * math.cos(angle), -0.18 + 0.2 * math.sin(angle)
        pen.disc(x, y, 0.11, 0.11, colour if k % 2 else lighter(colour, 0.15))
    pen.disc(0, -0.18, 0.12, 0.12, (246, 206, 84))


def _rocket(pen: Pen, colour: Colour | None, rng: Random, detail: int) -> None:
    colour = colour or (226, 230, 236)
    pen.shape([(-0.1, 0.3), (0, 0.64), (0.1, 0.3)], (250, 160, 60), 220)
    pen.shape([(-0.05, 0.3), (0, 0.5), (0.05, 0.3)], (255, 236, 150))
    for side in (-1, 1):
        pen.shape([(side * 0.12, 0.04), (side * 0.32, 0.38), (side * 0.12, 0.3)], (206, 66, 62))
    pen.disc(0, -0.06, 0.17, 0.42, colour)
    pen.box(-0.14, 0.2, 0.28, 0.12, darker(colour, 0.4), 0.03)
    pen.disc(0, -0.14, 0.09, 0.09, (96, 110, 130))
    pen.disc(0, -0.14, 0.065, 0.065, (150, 214, 240))


def _robot(pen: Pen, colour: Colour | None, rng: Random, detail: int) -> None:
    colour = colour or (150, 172, 194)
    _shadow(pen, 0.34)
    pen.line([(0, -0.5), (0, -0.36)], darker(colour, 0.4), 0.03)
    pen.disc(0, -0.5, 0.045, 0.045, (240, 96, 84))
    for side in (-1, 1):
        pen.box(side * 0.33 - 0.05, -0.02, 0.1, 0.32, darker(colour, 0.2), 0.05)
        pen.box(side * 0.13 - 0.07, 0.34, 0.14, 0.16, darker(colour, 0.3), 0.03)
    pen.box(-0.26, -0.04, 0.52, 0.42, colour, 0.06)
    pen.box(-0.22, -0.38, 0.44, 0.32, lighter(colour, 0.15), 0.07)
    for side in (-1, 1):
        pen.disc(side * 0.1, -0.24, 0.06, 0.06, _INK)
        pen.disc(side * 0.1, -0.24, 0.035, 0.035, (112, 236, 232))
    pen.box(-0.1, -0.14, 0.2, 0.035, _INK)
    for k in range(detail + 1):
        pen.disc(-0.14 + 0.1 * k, 0.08, 0.03, 0.03, _LAMPS[k])


def _car(pen: Pen, colour: Colour | None, rng: Random, detail: int) -> None:
    colour = colour or (204, 58, 56)
    _shadow(pen, 0.5)
    pen.shape([(-0.26, 0.1), (-0.15, -0.12), (0.17, -0.12), (0.3, 0.1)], darker(colour, 0.12))
    pen.shape([(-0.2, 0.09), (-0.12, -0.08), (0.0, -0.08), (0.0, 0.09)], (176, 216, 236))
    pen.shape([(0.03, 0.09), (0.03, -0.08), (0.15, -0.08), (0.23, 0.09)], (176, 216, 236))
    pen.box(-0.48, 0.08, 0.96, 0.27, colour, 0.08)
    pen.disc(0.45, 0.17, 0.03, 0.045, (255, 238, 160))
    for x in (-0.27, 0.27):
        pen.disc(x, 0.36, 0.13, 0.13, _INK)
        pen.disc(x, 0.36, 0.06, 0.06, (190, 194, 202))


def _heart(pen: Pen, colour: Colour | None, rng: Random, detail: int) -> None:
    colour = colour or (222, 58, 82)
    points = []
    for k in range(48):
        t = 2 * math.pi * k / 48
        x = 16 * math.sin(t) ** 3
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        points.append((x / 34, -y / 34))
    pen.shape(points, colour)
    pen.disc(-0.22, -0.17, 0.09, 0.07, lighter(colour, 0.55), 180)


def _cup(pen: Pen, colour: Colour | None, rng: Random, detail: int) -> None:
    colour = colour or (238, 234, 224)
    _shadow(pen, 0.4)
    for k in range(detail):
        x = -0.14 + 0.12 * k
        pen.line([(x, -0.2), (x + 0.05, -0.3), (x, -0.4), (x + 0.05, -0.5)], _WHITE, 0.025, 150)
    pen.arc(0.3, 0.14, 0.16, -90, 90, darker(colour, 0.08), 0.07)
    pen.box(-0.32, -0.12, 0.62, 0.58, colour, 0.14)
    pen.disc(-0.01, -0.1, 0.31, 0.08, darker(colour, 0.15))
    pen.disc(-0.01, -0.09, 0.26, 0.055, (96, 62, 42))


def _apple(pen: Pen, colour: Colour | None, rng: Random, detail: int) -> None:
    colour = colour or (206, 52, 54)
    _shadow(pen, 0.34)
    for side in (-1, 1):
        pen.disc(side * 0.13, 0.14, 0.25, 0.32, colour)
    pen.line([(0, -0.14), (0.04, -0.34)], (96, 68, 46), 0.04)
    pen.disc(0.15, -0.26, 0.13, 0.06, (92, 160, 80))
    pen.disc(-0.18, 0.02, 0.06, 0.11, lighter(colour, 0.55), 170)


def _person(pen: Pen, colour: Colour | None, rng: Random, detail: int) -> None:
    colour = colour or rng.choice(((66, 110, 170), (190, 84, 92), (86, 140, 110)))
    skin = rng.choice(((244, 206, 176), (214, 160, 122), (142, 96, 70), (96, 64, 48)))
    _shadow(pen, 0.26)
    for side in (-1, 1):
        pen.line([(side * 0.07, 0.2), (side * 0.09, 0.48)], (54, 58, 74), 0.1)
        pen.line([(side * 0.15, -0.1), (side * 0.24, 0.16)], darker(colour, 0.12), 0.08)
    pen.box(-0.17, -0.18, 0.34, 0.44, colour, 0.12)
    pen.disc(0, -0.34, 0.13, 0.15, skin)
    pen.arc(0, -0.35, 0.145, 175, 365, rng.choice((_INK, (110, 70, 44), (222, 186, 120))), 0.08)
    if detail > 1:
        for side in (-1, 1):
            pen.disc(side * 0.05, -0.33, 0.015, 0.018, _INK)
        pen.arc(0, -0.31, 0.06, 30, 150, darker(skin, 0.5), 0.015)


def _book(pen: Pen, colour: Colour | None, rng: Random, detail: int) -> None:
    colour = colour or (70, 96, 160)
    _shadow(pen, 0.5)
    for side in (-1, 1):
        pen.shape([(0, 0.0), (side * 0.5, -0.12), (side * 0.5, 0.36), (0, 0.48)], colour)
        pen.shape([(0, -0.03), (side * 0.46, -0.14), (side * 0.46, 0.31), (0, 0.43)], _WHITE)
        for k in range(2 * detail):
            y = 0.03 + 0.34 * k / (2 * detail)
            pen.line([(side * 0.06, y), (side * 0.4, y - 0.09)], (150, 152, 160), 0.012)


THINGS: dict[str, Motif] = {
    "cat": _cat, "dog": _dog, "fish": _fish, "boat": _boat, "house": _house, "lighthouse": _lighthouse,
    "tree": _tree, "flower": _flower, "rocket": _rocket, "robot": _robot, "car": _car, "heart": _heart,
    "cup": _cup, "apple": _apple, "person": _person, "book": _book,
}  # fmt: skip
