"""What a picture costs a prompt, by the model that looks at it.

platform.openai.com/docs/guides/images-vision, "Calculating costs": models either pay a base and a price
for each tile of 512 pixels, or for each patch of 32 pixels. Pictures are made smaller where they have
to be, never larger.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import NamedTuple

#: A picture of which nothing is known but where it is.
USUAL_SIZE = (1024, 1024)
_TILE, _SQUARE, _SHORT_SIDE = 512, 2048, 768
_LOW_SIDE = 512
_PATCH, _PATCHES_MAX, _ORIGINAL_PATCHES_MAX = 32, 1536, 10_000


class _Tiles(NamedTuple):
    base: int
    tile: int


class _Patches(NamedTuple):
    factor: float
    side: int = _PATCH
    most: int = _PATCHES_MAX


_Price = _Tiles | _Patches
#: The first that fits.
_PRICES: tuple[tuple[str, _Price], ...] = (
    ("gpt-4o-mini", _Tiles(2833, 5667)),
    ("gpt-4\\.1-mini", _Patches(1.62)),
    ("gpt-4\\.1-nano", _Patches(2.46)),
    ("o4-mini", _Patches(1.72)),
    ("gpt-5(?:\\.\\d+)?-mini", _Patches(1.62)),
    ("gpt-5(?:\\.\\d+)?-nano", _Patches(2.46)),
    ("gpt-5\\.[2-9]|gpt-[6-9]", _Patches(1.2)),
    ("gpt-5", _Tiles(70, 140)),
    ("o[134]", _Tiles(75, 150)),
    ("computer-use", _Tiles(65, 129)),
    # Qwen2-VL and its successors: merged patches of 28 pixels (their preprocessor_config.json).
    ("(?:.*/)?[Qq]wen.*[Vv][Ll]", _Patches(1.0, 28, 16_384)),
    ("", _Tiles(85, 170)),
)


def image_tokens(model: str, size: tuple[int, int] | None, detail: str | None) -> int:
    """`size` in pixels, None where it is not known."""
    width, height = size or USUAL_SIZE
    price = _price(model)
    if isinstance(price, _Patches):
        return _patches(price, width, height, detail or "auto")
    if detail == "low":
        return price.base
    scale = min(1.0, _SQUARE / max(width, height))
    scale *= min(1.0, _SHORT_SIDE / (min(width, height) * scale))
    tiles = math.ceil(round(width * scale, 6) / _TILE) * math.ceil(round(height * scale, 6) / _TILE)
    return price.base + price.tile * tiles


def _patches(price: _Patches, width: float, height: float, detail: str) -> int:
    if detail == "low":
        scale = min(1.0, _LOW_SIDE / max(width, height))
        width, height = max(1.0, width * scale), max(1.0, height * scale)
    side = price.side
    most = max(price.most, _ORIGINAL_PATCHES_MAX) if detail == "original" else price.most
    count = math.ceil(width / side) * math.ceil(height / side)
    if count > most:
        shrink = math.sqrt(most * side**2 / (width * height))
        across, down = width * shrink / side, height * shrink / side
        shrink *= min(max(1, math.floor(across)) / across, max(1, math.floor(down)) / down)
        across, down = width * shrink / side, height * shrink / side
        count = min(most, math.ceil(round(across, 6)) * math.ceil(round(down, 6)))
    return max(1, round(count * price.factor))


@lru_cache(maxsize=1024)
def _price(model: str) -> _Price:
    name = model.removeprefix("ft:").removeprefix("chatgpt-")
    return next(price for pattern, price in _PRICES if re.match(pattern, name))
