"""A pen on a layer twice as fine as the picture, in units of one thing's size."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import ImageDraw

from fakeai_proxy.generate.pictures.colours import Colour

Point = tuple[float, float]


class Pen:
    """Coordinates are relative to (`x`, `y`), in units of `unit` pixels; y grows downwards."""

    def __init__(self, draw: ImageDraw.ImageDraw, x: float, y: float, unit: float) -> None:
        self._draw, self._x, self._y, self._unit = draw, x, y, unit

    def at(self, x: float, y: float, size: float = 1.0) -> Pen:
        """One of its own for a part."""
        there = self._x + x * self._unit, self._y + y * self._unit
        return Pen(self._draw, *there, self._unit * size)

    def disc(
        self, x: float, y: float, rx: float, ry: float, fill: Colour, alpha: int = 255
    ) -> None:
        (left, top), (right, bottom) = self._point(x - rx, y - ry), self._point(x + rx, y + ry)
        self._draw.ellipse((left, top, right, bottom), fill=(*fill, alpha))

    def box(
        self, x: float, y: float, width: float, height: float, fill: Colour, round_by: float = 0.0,
        alpha: int = 255,
    ) -> None:  # fmt: skip
        (left, top), (right, bottom) = self._point(x, y), self._point(x + width, y + height)
        corner = round_by * self._unit
        self._draw.rounded_rectangle((left, top, right, bottom), corner, fill=(*fill, alpha))

    def shape(self, points: Sequence[Point], fill: Colour, alpha: int = 255) -> None:
        self._draw.polygon([self._point(x, y) for x, y in points], fill=(*fill, alpha))

    def line(self, points: Sequence[Point], fill: Colour, width: float, alpha: int = 255) -> None:
        path = [self._point(x, y) for x, y in points]
        wide = max(1, round(width * self._unit))
        self._draw.line(path, fill=(*fill, alpha), width=wide, joint="curve")

    def arc(self, x: float, y: float, radius: float, start: float, end: float, fill: Colour,
            width: float, alpha: int = 255) -> None:  # fmt: skip
        """Angles in degrees, clockwise from three o'clock."""
        left, top = self._point(x - radius, y - radius)
        right, bottom = self._point(x + radius, y + radius)
        wide = max(1, round(width * self._unit))
        self._draw.arc((left, top, right, bottom), start, end, fill=(*fill, alpha), width=wide)

    def _point(self, x: float, y: float) -> Point:
        return self._x + x * self._unit, self._y + y * self._unit
