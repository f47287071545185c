"""What a moderator can tell of a picture: the words that it carries, and how much of it has the colour
of skin or of blood. The shares that count are data, in `profiles/moderation/categories.toml`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from fakeai_proxy.generate.judgement import PictureRule, picture_rules

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

#: Pictures with more are not opened.
PIXELS_MAX = 40_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
#: Colours are counted in a copy of this size.
_SIDE_PIXELS = 96
#: EXIF: ImageDescription, XPTitle, XPComment, XPKeywords.
_EXIF_TEXTS = (270, 40091, 40092, 40094)
_TEXT_CHARS_MAX = 20_000
_MARKUP = re.compile(r"<[^>]*>")


class PictureError(ValueError):
    """It cannot be opened."""


def words_and_evidence(data: bytes) -> tuple[str, dict[str, float]]:
    """The text that a picture carries, and what its colours bring to categories, as scores. Raises
    PictureError."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            if picture.width * picture.height > PIXELS_MAX:
                raise PictureError(f"pictures may have {PIXELS_MAX} pixels")
            words = "\n".join(_texts(picture))[:_TEXT_CHARS_MAX]
            picture.draft("RGB", (_SIDE_PIXELS, _SIDE_PIXELS))
            # Made small first: a copy of all pixels in colour may be a quarter of a gigabyte.
            picture.thumbnail((_SIDE_PIXELS, _SIDE_PIXELS))
            small = picture.convert("RGBA")
    except PictureError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise PictureError(str(error)) from None
    shares = _shares(small)
    return words, {rule.category: _score(rule, shares) for rule in picture_rules()}


def words_of_address(url: str) -> str:
    """What stands in the path of an address, as words."""
    return re.sub(r"[^\w]+|_", " ", url.partition("://")[2].partition("?")[0])


def _texts(picture: Image) -> Iterator[str]:
    for value in picture.info.values():
        if isinstance(value, bytes) and len(value) <= _TEXT_CHARS_MAX:
            value = value.decode("utf-8", "ignore") if value.isascii() else ""  # noqa: PLW2901 - same text
        if isinstance(value, str):
            yield _MARKUP.sub(" ", value)
    exif = picture.getexif()
    for tag in _EXIF_TEXTS:
        value = exif.get(tag, "")
        yield value.decode("utf-16-le", "ignore") if isinstance(value, bytes) else str(value)


def _score(rule: PictureRule, shares: Mapping[str, float]) -> float:
    """0 where the colour has no more than its share."""
    above = (shares[rule.colour] - rule.from_share) / (rule.to_share - rule.from_share)
    return rule.score * min(max(above, 0.0), 1.0)


def _shares(picture: Image) -> dict[str, float]:
    """How much of the picture has each colour. Skin is where Chai and Ngan found it ("Face
    segmentation using skin-color map", IEEE TCSVT 1999): Cb 77 to 127, Cr 133 to 173. Blood is a red
    in which little else is, set by hand."""
    import numpy

    pixels = numpy.asarray(picture, numpy.float64).reshape(-1, 4)
    red, green, blue, opaque = pixels.T
    cb = 128 - 0.168736 * red - 0.331264 * green + 0.5 * blue
    cr = 128 + 0.5 * red - 0.418688 * green - 0.081312 * blue
    solid = opaque > 127
    skin = solid & _within(cb, 77, 127) & _within(cr, 133, 173) & (red > 60)
    blood = solid & (red > 70) & (green < 0.35 * red) & (blue < 0.35 * red)
    count = len(pixels)
    return {"skin": int(skin.sum()) / count, "blood": int(blood.sum()) / count}


def _within(channel: NDArray[np.float64], least: float, most: float) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (channel >= least) & (channel <= most)
    return inside
