"""The pictures that are sent along: what may come in, and how it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakeai_proxy import errors
from fakeai_proxy.generate.pictures.formats import CONTENT_TYPES, PictureError, opened
from fakeai_proxy.services.form import Upload
from fakeai_proxy.services.images.families import Family
from fakeai_proxy.services.images.tokens import READ_PX
from fakeai_proxy.services.images.wire import INPUTS_MAX, EditRequest, Reference
from fakeai_proxy.services.media import referred_file
from fakeai_proxy.services.operation import Call

if TYPE_CHECKING:
    from PIL.Image import Image

#: The API's reference for edits: what GPT image models take, and DALL-E 2.
GPT_BYTES_MAX, DALL_E_BYTES_MAX, MASK_BYTES_MAX = 50 << 20, 4 << 20, 4 << 20
_TYPES = frozenset((*CONTENT_TYPES.values(), "image/jpg"))


def uploads(given: Upload | list[Upload], family: Family) -> list[Image]:
    """Raises 400."""
    several = given if isinstance(given, list) else [given]
    most = INPUTS_MAX if family.is_gpt else 1
    if len(several) > most:
        raise errors.wrong_length("image", "array", "<=", most, len(several))
    if not family.is_gpt:
        return [small_square_png(several[0])]
    return [_upload(one, k) for k, one in enumerate(several)]


def _upload(upload: Upload, index: int) -> Image:
    kind = upload.content_type.partition(";")[0].strip().lower()
    if kind not in _TYPES:
        raise errors.unsupported_image_type("image", kind or "application/octet-stream")
    if upload.size >= GPT_BYTES_MAX:
        raise errors.image_too_large("image", upload.size, GPT_BYTES_MAX)
    return _picture(upload.read(), "image", index)


def _picture(data: bytes, param: str, index: int) -> Image:
    """Those after the first are only set in small: they are kept no larger than their tokens tell."""
    try:
        picture = opened(data)
    except PictureError:
        raise errors.invalid_image(param, index) from None
    shorter = min(picture.size)
    if index and shorter > READ_PX:
        scale = READ_PX / shorter
        return picture.resize((round(picture.width * scale), round(picture.height * scale)))
    return picture


def small_square_png(upload: Upload) -> Image:
    """What DALL-E 2 takes. Raises 400."""
    if upload.size >= DALL_E_BYTES_MAX:
        raise errors.not_a_small_png()
    try:
        picture = opened(upload.read(), ("PNG",))
    except PictureError:
        raise errors.not_a_small_png() from None
    if picture.width != picture.height:
        raise errors.image_not_square()
    return picture


def mask_of(data: bytes, picture: Image) -> Image:
    """Raises 400."""
    if len(data) >= MASK_BYTES_MAX:
        raise errors.image_too_large("mask", len(data), MASK_BYTES_MAX)
    try:
        mask = opened(data, ("PNG",))
    except PictureError:
        raise errors.invalid_mask("mask image must be a valid PNG") from None
    if mask.mode != "RGBA":
        raise errors.invalid_mask("mask image missing alpha channel")
    if mask.size != picture.size:
        raise errors.invalid_mask("mask size does not match image size")
    return mask


def referred(call: Call, asked: EditRequest) -> tuple[list[Image], Image | None]:
    """The pictures and the mask of a JSON request. Raises 400 and 404."""
    pictures = [
        _picture(_bytes_of(call, one, f"images[{k}]"), f"images[{k}]", k)
        for k, one in enumerate(asked.images)
    ]
    mask = None
    if asked.mask is not None:
        mask = mask_of(_bytes_of(call, asked.mask, "mask"), pictures[0])
    return pictures, mask


def _bytes_of(call: Call, reference: Reference, path: str) -> bytes:
    for name in reference.model_extra or ():
        raise errors.unknown_parameter(f"{path}.{name[:100]}")
    return referred_file(call, reference.image_url, reference.file_id, path)
