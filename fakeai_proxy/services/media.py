"""Files that rooms hand out by URL, and files that requests refer to."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import unquote_to_bytes, urlsplit

from fakeai_proxy import errors
from fakeai_proxy.services.filing import read_file
from fakeai_proxy.services.operation import Call
from fakeai_proxy.services.records import Records
from fakeai_proxy.store import Insert, Key, Row, Store

#: Below our own pages, so that no limit and no fault of the API touches it, on any host of the vendor's.
PATH = "/_fakeai/media/"
#: The API's reference: how long the URL of an image is valid.
VALID_S = 3600
#: The API's reference for edits: what GPT image models take.
_FILE_BYTES_MAX = 50 << 20
#: How long one that is not valid any more is known as such.
_REMEMBERED_S = 3600
#: What a record costs besides its file.
_OVERHEAD_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Media:
    """`make` gives the bytes, and may compute for long: call it in a thread."""

    KIND: ClassVar[str] = "media"

    content_type: str
    expires_at: float
    make: Callable[[], bytes]


def hand_out(
    call: Call, name: str, content_type: str, make: Callable[[], bytes], held_bytes: int
) -> str:
    """The URL under which the client finds the file for an hour. `held_bytes` is what `make` holds on
    to. Where the store outlives this process, or is not its alone, the file is made at once, for
    whoever is asked for it. In a thread. Raises 503 and Unhurried."""
    expires_at = call.wall() + VALID_S
    if call.life:
        call.wait_for(lambda: _put(call, name, content_type, make, expires_at))
    else:
        media = Media(content_type, expires_at, make)
        call.records.keep(Media.KIND, name, media, held_bytes + _OVERHEAD_BYTES)
    return f"{call.origin}{PATH}{name}"


async def _put(
    call: Call, name: str, content_type: str, make: Callable[[], bytes], expires_at: float
) -> None:
    def pieces() -> Iterator[bytes]:
        yield make()

    blob = await call.store.blobs.put(pieces())
    document = {"content_type": content_type, "expires_at": expires_at}
    row = Row(
        _key(name), document, call.wall(), blob=blob.name, expires_at=expires_at + _REMEMBERED_S
    )
    await call.store.commit(Insert(row))


def _key(name: str) -> Key:
    """Whoever has the URL has the file: it is in nobody's project."""
    return Key(Media.KIND, name, Media.KIND)


async def find(records: Records, store: Store | None, name: str) -> Media | None:
    """What was handed out under a name: here, or by whoever shares the store, if there is one."""
    known: Media | None = records.find(Media.KIND, name)
    if known is not None or store is None:
        return known
    row = await store.get(_key(name))
    if row is None or row.blob is None:
        return None
    document, blob = row.document, row.blob

    def read() -> bytes:
        with store.blobs.open_file(blob) as file:
            return file.read()

    return Media(document["content_type"], document["expires_at"], read)


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
        store = call.store if call.life else None
        media = call.wait_for(lambda: find(call.records, store, place.removeprefix(PATH)))
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
