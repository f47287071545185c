"""A chart of numbers: bars over a line, each with its value."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from fakeai_proxy.generate.pictures.formats import encoded

#: Pixels.
_WIDTH, _HEIGHT, _MARGIN = 640, 480, 48
_PAPER, _INK, _BAR = "white", "#333333", "#4c78a8"
#: Of the place of a bar, what it fills.
_FILLED = 0.7


def bars(values: Sequence[float]) -> bytes:
    """PNG. There is at least one value, and none is negative."""
    picture = Image.new("RGB", (_WIDTH, _HEIGHT), _PAPER)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(14)
    most = max(values) or 1.0
    place = (_WIDTH - 2 * _MARGIN) / len(values)
    bottom = _HEIGHT - _MARGIN
    for k, value in enumerate(values):
        left = _MARGIN + place * (k + (1 - _FILLED) / 2)
        top = bottom - (_HEIGHT - 2 * _MARGIN) * value / most
        draw.rectangle((left, top, left + place * _FILLED, bottom), fill=_BAR)
        middle = left + place * _FILLED / 2
        draw.text((middle, top - 4), f"{value:g}", fill=_INK, font=font, anchor="mb")
        draw.text((middle, bottom + 6), str(k + 1), fill=_INK, font=font, anchor="mt")
    draw.line((_MARGIN, bottom, _WIDTH - _MARGIN, bottom), fill=_INK, width=2)
    draw.line((_MARGIN, _MARGIN, _MARGIN, bottom), fill=_INK, width=2)
    return encoded(picture, "png")
