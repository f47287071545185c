"""GET /_fakeai/media/NAME: files that rooms hand out by URL. Whoever has the URL may read it, as with the
vendor's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from fakeai_proxy import errors
from fakeai_proxy.clock import Clock
from fakeai_proxy.observe.pages import Answer, Call, Route


class File(Protocol):
    """`make` gives the bytes, in a thread; `expires_at` is a wall time."""

    @property
    def content_type(self) -> str: ...

    @property
    def expires_at(self) -> float: ...

    @property
    def make(self) -> Callable[[], bytes]: ...


def media_routes(
    path: str, find: Callable[[str], Awaitable[File | None]], clock: Clock
) -> tuple[Route, ...]:
    """`find` takes the name that follows `path`."""

    async def file(call: Call) -> Answer:
        found = await find(call.params["name"])
        if found is None:
            raise errors.media_unknown()
        if found.expires_at <= clock.wall():
            raise errors.media_expired()
        return Answer(found.make, content_type=found.content_type)

    summary = "A picture that was handed out by URL; valid for an hour."
    return (Route("GET", path + "{name}", file, summary),)
