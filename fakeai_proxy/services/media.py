"""Files that rooms hand out by URL: where they are found, and until when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from fakeai_proxy.services.operation import Call

#: Below our own pages, so that no limit and no fault of the API touches it, on any host of the vendor's.
PATH = "/_fakeai/media/"
#: The API's reference: how long the URL of an image is valid.
VALID_S = 3600
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
    """The URL under which the client finds the file for an hour. `held_bytes` is what `make` holds
    on to."""
    media = Media(content_type, call.wall() + VALID_S, make)
    call.records.keep(Media.KIND, name, media, held_bytes + _OVERHEAD_BYTES)
    return f"{call.origin}{PATH}{name}"


def name_in(path: str) -> str:
    """The name that a path of ours ends with; "" for any other path."""
    return path.removeprefix(PATH) if path.startswith(PATH) else ""
