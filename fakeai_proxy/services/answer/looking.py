"""A picture that came with a prompt: how large it is and which colour most of it has. Slow enough for a
thread: pictures are decoded.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections import Counter
from colorsys import rgb_to_hsv
from dataclasses import dataclass
from io import BytesIO

from fakeai_proxy import errors

#: platform.openai.com/docs/guides/images-vision: formats, and bytes of one picture.
FORMATS = ("png", "jpeg", "gif", "webp")
BYTES_MAX = 20 << 20
#: Larger ones are not decoded: their colour stays unknown.
_DECODED_PIXELS_MAX = 24_000_000
_SAMPLE_SIDE = 24
_DATA = re.compile(r"data:(?P<type>[^;,]*)(?P<parameters>[^,]*),", re.IGNORECASE)
_URL = re.compile(r"https?://[^\s/]+\S*", re.IGNORECASE)
#: Hues in degrees, and the name up to there.
_HUES = (
    (15, "red"), (45, "orange"), (70, "yellow"), (165, "green"), (195, "cyan"), (255, "blue"),
    (290, "purple"), (335, "pink"), (360, "red"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Picture:
    """`size` in pixels; None, like the `colour`, where the picture is elsewhere."""

    size: tuple[int, int] | None = None
    colour: str = ""

    @property
    def told(self) -> str:
        """A sentence about it, "" where nothing is known."""
        if self.size is None:
            return ""
        looks = f", mostly {self.colour}" if self.colour else ""
        return f"The image is {self.size[0]} by {self.size[1]} pixels{looks}."


def look(url: str, path: str) -> Picture:
    """`path` leads to the URL in the request. Raises 400 in the vendor's words."""
    if _URL.fullmatch(url):
        return Picture()
    head = _DATA.match(url[:1024])
    if head is None:
        raise errors.not_an_image_url(path, "a value without the 'data:' prefix")
    if not head["type"].lower().startswith("image/"):
        kind = head["type"][:100] or "text/plain"
        raise errors.not_an_image_url(path, f"unsupported MIME type '{kind}'")
    if "base64" not in head["parameters"].lower():
        raise errors.not_an_image_url(path, "a value without base64 encoding")
    try:
        data = b64decode(url[head.end() :], validate=True)
    except (Base64Error, ValueError):
        raise errors.bad_base64(path) from None
    return _picture(data, path)


def _picture(data: bytes, path: str) -> Picture:
    if len(data) > BYTES_MAX:
        raise errors.prompt_image_too_large(path, BYTES_MAX)
    from PIL import Image  # 20 ms that a start should not wait for

    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            if getattr(image, "is_animated", False) and image.format == "GIF":
                raise errors.unsupported_image(FORMATS)
            size = image.size
            if size[0] * size[1] > _DECODED_PIXELS_MAX:
                return Picture(size)
            image.draft("RGB", (_SAMPLE_SIDE * 4, _SAMPLE_SIDE * 4))  # JPEG decodes small
            small = image.convert("RGBA").resize((_SAMPLE_SIDE, _SAMPLE_SIDE))
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
        raise errors.unsupported_image(FORMATS) from None
    return Picture(size, _colour(small.tobytes()))


def _colour(rgba: bytes) -> str:
    pixels = zip(rgba[0::4], rgba[1::4], rgba[2::4], rgba[3::4], strict=True)
    names = Counter(_name(*pixel[:3]) for pixel in pixels if pixel[3] > 127)
    return names.most_common(1)[0][0] if names else "transparent"


def _name(red: int, green: int, blue: int) -> str:
    hue, saturation, value = rgb_to_hsv(red / 255, green / 255, blue / 255)
    if value < 0.15:
        return "black"
    if saturation < 0.12:
        return "white" if value > 0.9 else "grey"
    name = next(name for most, name in _HUES if hue * 360 <= most)
    return "brown" if name == "orange" and value < 0.65 else name
