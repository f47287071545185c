"""GET /_fakeai/media/NAME: files that rooms hand out by URL. Whoever has the URL may read it, as with the
vendor's.
"""

from __future__ import annotations

from fakeai_proxy import errors
from fakeai_proxy.clock import Clock
from fakeai_proxy.observe.pages import Answer, Call, Route
from fakeai_proxy.services.media import PATH, Media
from fakeai_proxy.services.records import Records


def media_routes(records: Records, clock: Clock) -> tuple[Route, ...]:
    def file(call: Call) -> Answer:
        media: Media | None = records.find(Media.KIND, call.params["name"])
        if media is None:
            raise errors.media_unknown()
        if media.expires_at <= clock.wall():
            raise errors.media_expired()
        return Answer(media.make, content_type=media.content_type)

    summary = "A picture that was handed out by URL; valid for an hour."
    return (Route("GET", PATH + "{name}", file, summary),)
