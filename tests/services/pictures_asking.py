"""Files that the tests of pictures and films send, and how they look at what comes back."""

from __future__ import annotations

import base64
import io

from PIL import Image

from fakeai_proxy.generate.pictures.painter import Brief, paint

Named = tuple[str, bytes, str]


def bytes_of(picture: Image.Image, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    picture.save(file, form)
    return file.getvalue()


def png(picture: Image.Image, name: str = "a.png") -> Named:
    return name, bytes_of(picture), "image/png"


def scene(width: int = 512, height: int = 512) -> Image.Image:
    return paint(Brief("a house by the sea", width, height, 11))


def half_clear(width: int = 512, height: int = 512) -> Image.Image:
    """A mask that leaves the left half to be painted."""
    mask = Image.new("RGBA", (width, height), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (0, 0, width // 2, height))
    return mask


def picture_in(text: str | None) -> Image.Image:
    """Of base64."""
    assert text is not None
    picture = Image.open(io.BytesIO(base64.b64decode(text, validate=True)))
    picture.load()
    return picture
