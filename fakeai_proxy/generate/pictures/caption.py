"""The prompt in letters, on a panel at the foot of a picture."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont
    from PIL.ImageFont import ImageFont as BitmapFont

    Font = FreeTypeFont | BitmapFont

#: Shares of the shorter side: the letters, and what is around them.
_LETTER, _MARGIN = 0.034, 0.03
_LINES_MAX, _READ_CHARS, _LETTER_PX_MIN = 4, 1200, 11
_PANEL, _INK = (16, 18, 28, 150), (255, 255, 255, 240)


@lru_cache(maxsize=32)
def _font(size_px: int) -> Font:
    return ImageFont.load_default(size_px)


def draw_caption(picture: Image.Image, prompt: str, opaque: bool = False) -> None:
    """Onto an RGB picture, or an RGBA one if `opaque`. Letters that the font lacks become its box."""
    width, height = picture.size
    short = min(width, height)
    size = max(_LETTER_PX_MIN, round(short * _LETTER))
    margin = round(short * _MARGIN)
    font = _font(size)
    lines = wrapped(_plain(prompt), font, width - 4 * margin)
    if not lines:
        return
    step = round(size * 1.35)
    deep = step * len(lines) + margin
    left, top = margin, height - deep - margin
    pen = ImageDraw.Draw(picture, "RGBA")
    pen.rounded_rectangle(
        (left, top, width - margin, height - margin),
        margin // 2,
        fill=(*_PANEL[:3], 255) if opaque else _PANEL,
    )
    for k, line in enumerate(lines):
        place = (left + margin, top + margin // 2 + k * step)
        pen.text(place, line, font=font, fill=_INK)


def _plain(prompt: str) -> str:
    """On one line, without what has no shape, and without the accents, which the font lacks."""
    text = unicodedata.normalize("NFKD", prompt[:_READ_CHARS])
    kept = "".join(" " if char.isspace() else char for char in text if _has_shape(char))
    return " ".join(kept.split())


def _has_shape(char: str) -> bool:
    return char.isspace() or unicodedata.category(char)[0] not in "CM"


def wrapped(text: str, font: Font, width: float) -> list[str]:
    """Lines that fit; the last of them ends with an ellipsis where the text goes on."""
    lines: list[str] = []
    while text and len(lines) < _LINES_MAX:
        count = _fitting(text, font, width)
        if count < len(text) and " " in text[1 : count + 1]:
            count = text.rindex(" ", 1, count + 1)
        lines.append(text[:count].rstrip())
        text = text[count:].lstrip()
    if text:
        lines[-1] = lines[-1][: max(1, len(lines[-1]) - 2)].rstrip() + "…"
    return lines


def _fitting(text: str, font: Font, width: float) -> int:
    """How many characters from the start fit, at least one."""
    low, high = 1, min(len(text), 400)
    while low < high:
        middle = (low + high + 1) // 2
        if font.getlength(text[:middle]) <= width:
            low = middle
        else:
            high = middle - 1
    return low
