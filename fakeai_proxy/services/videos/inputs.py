"""Pictures and films that are sent along."""

from __future__ import annotations

from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.generate.pictures.formats import PictureError, encoded, opened
from fakeai_proxy.generate.pictures.moving import Film
from fakeai_proxy.generate.pictures.painter import Brief
from fakeai_proxy.generate.pictures.watching import seen
from fakeai_proxy.services.form import Upload
from fakeai_proxy.services.media import referred_file
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.videos.wire import SIZES, CreateRequest

#: As for pictures that are edited.
_REFERENCE_BYTES_MAX = 50 << 20
#: Of a film that is sent.
_SECONDS_MAX = 120


def reference_of(call: Call, asked: CreateRequest, width: int, height: int) -> bytes:
    """The bytes of the picture that the film begins with, b"" for none. Raises 400."""
    given: Any = asked.input_reference
    if given is None:
        return b""
    if isinstance(given, Upload):
        if given.size >= _REFERENCE_BYTES_MAX:
            raise errors.image_too_large("input_reference", given.size, _REFERENCE_BYTES_MAX)
        data = given.read()
    else:
        data = referred_file(call, given.image_url, given.file_id, "input_reference")
    try:
        picture = opened(data)
    except PictureError:
        raise errors.invalid_image("input_reference", 0) from None
    if picture.size != (width, height):
        raise errors.reference_size(width, height)
    return data


def uploaded(call: Call, upload: Upload) -> Film:
    """Of the first picture of what is sent, in the size nearest to its shape. Raises 400."""
    try:
        first, length_s = seen(upload.read())
    except PictureError:
        raise errors.video_unreadable() from None
    aspect = first.width / first.height
    width, height = min(SIZES, key=lambda size: abs(size[0] / size[1] - aspect))
    seed = call.dice.number(call.dice_key, "film")
    seconds = min(_SECONDS_MAX, max(1, round(length_s)))
    return Film(Brief("", width, height, seed), seconds, encoded(first, "jpeg", 90))
