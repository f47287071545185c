"""Files that rooms hand out by URL, and files that requests refer to."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar
from urllib.parse import unquote_to_bytes, urlsplit

from fakeai_proxy import errors
from fakeai_proxy.services.filing import read_file
from fakeai_proxy.services.operation import Call

#: Below our own pages, so that no limit and no fault of the API touches it, on any host of the vendor's.
PATH = "/_fakeai/media/"
#: The API's reference: how long the URL of an image is valid.
VALID_S = 3600
#: The API's reference for edits: what GPT image models take.
_FILE_BYTES_MAX = 50 << 20
#: What a record costs besides its file.
_OVERHEAD_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Media:
    """`make` gives the bytes, and may compute for long: call it in a thread."""

    KIND: ClassVar[str] = "media"

    content_type: str
    expires_at: float
    make: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Made:
    """What somebody has computed already."""

    data: bytes

    def __call__(self) -> bytes:
        return self.data


async def told(record: object) -> object:
    """A record as another process can be told it: with what it would make."""
    if not isinstance(record, Media) or isinstance(record.make, Made):
        return record
    return replace(record, make=Made(await asyncio.to_thread(record.make)))


def hand_out(
    call: Call, name: str, content_type: str, make: Callable[[], bytes], held_bytes: int
) -> str:
    """The URL under which the client finds the file for an hour. `held_bytes` is what `make` holds
    on to."""
    media = Media(content_type, call.wall() + VALID_S, make)
    call.records.keep(Media.KIND, name, media, held_bytes + _OVERHEAD_BYTES)
    return f"{call.origin}{PATH}{name}"


def referred_file(call: Call, url: str | None, file_id: str | None, path: str) -> bytes:
    """What a request means by a URL (a data URL, or one of ours) or by a file's id; `path` leads to the
    reference. In a thread. Raises 400, 404 and 413."""
    if (url is None) == (file_id is None):
        raise errors.one_image_reference(path)
    if url is None:
        return read_file(call, file_id or "", f"{path}.file_id", _FILE_BYTES_MAX)[1]
    if url.lower().startswith("data:"):
        return _data_url(url, f"{path}.image_url")
    place = urlsplit(url).path
    media: Media | None = None
    if place.startswith(PATH):
        media = call.recalled(Media.KIND, place.removeprefix(PATH))
    if media is None or media.expires_at <= call.wall():
        raise errors.image_not_fetched(f"{path}.image_url", url)
    return media.make()


def _data_url(url: str, path: str) -> bytes:
    head, comma, data = url.partition(",")
    if not comma:
        raise errors.image_not_fetched(path, url)
    if not head.lower().endswith(";base64"):
        return unquote_to_bytes(data)
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise errors.image_not_fetched(path, url) from None
