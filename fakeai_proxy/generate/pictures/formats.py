"""Pictures as bytes, and bytes as pictures."""

from __future__ import annotations

import io
import warnings
from typing import Literal

from PIL import Image

Format = Literal["png", "jpeg", "webp"]
CONTENT_TYPES: dict[str, str] = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
#: Pixels of a picture that somebody sends: more could not be meant, and costs too much memory.
PIXELS_MAX = 40_000_000
#: Effort 0 to 6: the least, since the pictures are small anyway.
_WEBP_EFFORT = 0


class PictureError(ValueError):
    """Bytes that are none of the formats, are torn, or hold more pixels than anybody wants."""


def encoded(picture: Image.Image, form: Format, compression: int = 100) -> bytes:
    """`compression` is the vendor's: the quality of JPEG and WebP in percent; PNG has none."""
    file = io.BytesIO()
    if form == "png":
        picture.save(file, "PNG")
    elif form == "jpeg":
        picture.convert("RGB").save(file, "JPEG", quality=max(1, min(compression, 95)))
    else:
        picture.save(file, "WEBP", quality=compression, method=_WEBP_EFFORT)
    return file.getvalue()


def opened(data: bytes, formats: tuple[str, ...] = ("PNG", "JPEG", "WEBP")) -> Image.Image:
    """The picture, the right way up, as RGB or RGBA; `format` says what it was. Raises PictureError."""
    from PIL import ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = Image.open(io.BytesIO(data), formats=formats)
            if picture.width * picture.height > PIXELS_MAX:
                raise PictureError(f"it has more than {PIXELS_MAX} pixels")
            form = picture.format
            picture.load()
            ImageOps.exif_transpose(picture, in_place=True)
    except PictureError:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise PictureError(str(error)) from None
    clear = picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
    made = picture.convert("RGBA" if clear else "RGB")
    made.format = form
    return made
