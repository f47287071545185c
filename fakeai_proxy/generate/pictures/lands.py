"""The land of a scene, from its horizon down: mountains, a skyline, water, woods. The pen's unit is the
picture's height; `wide` is its width in that unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from fakeai_proxy.generate.pictures.colours import Colour, darker, lighter, mixed
from fakeai_proxy.generate.pictures.pen import Pen, Point
from fakeai_proxy.generate.pictures.scene import Scene

#: Draws one in a colour, or in its own where that is None; the numbers are the width and the detail.
Land = Callable[[Pen, Scene, float, Random, int, Colour | None], None]


def ridge(rng: Random, wide: float, base: float, height: float, steps: int) -> list[Point]:
    """A line of hills: waves of falling length, from left to right."""
    waves = [(rng.uniform(0, 6.3), 2.2 * 1.9**k / wide, height / 1.8**k) for k in range(4)]
    points = []
    for k in range(steps + 1):
        x = wide * k / steps
        points.append(
            (x, base - sum(size * math.sin(start + pace * x * 3) for start, pace, size in waves))
        )
    return points


def _below(line: list[Point], wide: float, depth: float = 1.0) -> list[Point]:
    return [*line, (wide, depth), (0.0, depth)]


def _mountains(
    pen: Pen, scene: Scene, wide: float, rng: Random, detail: int, colour: Colour | None
) -> None:
    for layer in range(1 + detail):
        far = 1 - layer / (1 + detail)
        stone = mixed(colour or (84, 96, 120), scene.bottom, 0.65 * far)
        base = scene.horizon + 0.03
        x = -0.2 * wide
        while x < wide:
            half = rng.uniform(0.18, 0.32) * (0.7 + 0.5 * far)
            top = base - rng.uniform(0.16, 0.24) * (0.6 + 0.8 * far)
            peak = x + half
            pen.shape([(x, base), (peak, top), (peak + half, base)], stone)
            pen.shape(
                [(peak, top), (peak + half, base), (peak + half * 0.2, base)], darker(stone, 0.14)
            )
            snow = (base - top) * 0.3
            share = 0.3 * half
            pen.shape(
                [(peak, top), (peak - share, top + snow), (peak - share * 0.3, top + snow * 0.75),
                 (peak + share * 0.2, top + snow * 1.15), (peak + share, top + snow)],
                mixed((252, 252, 255), scene.bottom, 0.3 * far),
            )  # fmt: skip
            x += half * rng.uniform(1.0, 1.5)


def _city(
    pen: Pen, scene: Scene, wide: float, rng: Random, detail: int, colour: Colour | None
) -> None:
    is_dark = scene.hour in ("night", "sunset", "space")
    for layer in range(2):
        usual = (54, 60, 84) if is_dark else (120, 130, 150)
        wall = mixed(colour or usual, scene.bottom, 0.5 * (1 - layer))
        x = -0.02
        while x < wide:
            width = rng.uniform(0.05, 0.11)
            top = scene.horizon - rng.uniform(0.08, 0.3) * (1.0 if layer else 1.25)
            pen.box(x, top, width, scene.horizon + 0.05 - top, wall)
            if rng.random() < 0.25:
                pen.line([(x + width / 2, top), (x + width / 2, top - 0.05)], wall, 0.006)
            if layer:
                _windows(pen, x, top, width, scene.horizon, is_dark, rng, detail)
            x += width + rng.uniform(-0.012, 0.012)


def _windows(
    pen: Pen, x: float, top: float, width: float, bottom: float, is_dark: bool, rng: Random,
    detail: int,
) -> None:  # fmt: skip
    gap = 0.034 - 0.006 * detail
    lit: Colour = (255, 226, 140) if is_dark else (206, 226, 240)
    for row in range(int((bottom - top - 0.02) / gap)):
        for column in range(int((width - 0.01) / gap)):
            if rng.random() < 0.55:
                pen.box(
                    x + 0.008 + column * gap, top + 0.012 + row * gap, gap * 0.5, gap * 0.55, lit
                )


def _forest(
    pen: Pen, scene: Scene, wide: float, rng: Random, detail: int, colour: Colour | None
) -> None:
    for layer in range(1 + detail):
        near = layer / (1 + detail)
        leaves = mixed(colour or (34, 92, 62), scene.bottom, 0.55 * (1 - near))
        x = -0.03
        while x < wide:
            high = rng.uniform(0.1, 0.17) * (0.7 + near * 0.8)
            foot = scene.horizon + 0.02 + 0.07 * near
            for part in range(3):
                top = foot - high * (1 - 0.24 * part)
                half = high * (0.14 + 0.07 * part)
                pen.shape(
                    [(x, top), (x - half, top + high * 0.44), (x + half, top + high * 0.44)], leaves
                )
            x += high * rng.uniform(0.3, 0.6)


def _desert(
    pen: Pen, scene: Scene, wide: float, rng: Random, detail: int, colour: Colour | None
) -> None:
    for layer in range(1 + detail):
        near = (layer + 1) / (1 + detail)
        sand = mixed(colour or (226, 178, 112), scene.bottom, 0.5 * (1 - near))
        line = ridge(rng, wide, scene.horizon + 0.1 * near, 0.03, 40)
        pen.shape(_below(line, wide), darker(sand, 0.12 * layer))


def _field(
    pen: Pen, scene: Scene, wide: float, rng: Random, detail: int, colour: Colour | None
) -> None:
    grass = colour or scene.ground
    for layer in range(1 + detail):
        near = (layer + 1) / (1 + detail)
        line = ridge(rng, wide, scene.horizon + 0.09 * near, 0.028, 40)
        pen.shape(_below(line, wide), darker(lighter(grass, 0.25 * (1 - near)), 0.1 * near))
    for _ in range(40 * detail):
        x, y = rng.uniform(0, wide), rng.uniform(scene.horizon + 0.12, 1.0)
        tip = lighter(grass, rng.uniform(0.1, 0.4))
        pen.line([(x, y), (x + rng.uniform(-0.01, 0.01), y - 0.025)], tip, 0.003)


def _sea(
    pen: Pen, scene: Scene, wide: float, rng: Random, detail: int, colour: Colour | None
) -> None:
    deep = colour or mixed((24, 92, 142), scene.top, 0.45)
    bands = 12 * detail
    for k in range(bands):
        y = scene.horizon + (1 - scene.horizon) * k / bands
        pen.box(0, y, wide, 1 - y, mixed(lighter(deep, 0.35), darker(deep, 0.2), k / bands))
    for _ in range(45 * detail):
        far = rng.random() ** 1.6
        y = scene.horizon + 0.01 + (1 - scene.horizon) * far
        x, long = rng.uniform(-0.1, wide), rng.uniform(0.02, 0.05) * (0.6 + 2 * far)
        pen.line([(x, y), (x + long, y)], lighter(scene.bottom, 0.4), 0.002 + 0.003 * far, 110)


LANDS: dict[str, Land] = {
    "mountains": _mountains, "city": _city, "forest": _forest, "desert": _desert, "field": _field,
    "sea": _sea,
}  # fmt: skip
