"""A film that is being made: what is kept of it, and what it looks like at an instant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.services.resources import Resource
from fakeai_proxy.store import Row

#: How long a job waits, and works for each second of film. Illustrative: the vendor's guide speaks of
#: minutes, `sora-2-pro` taking longer.
QUEUED_S, WORK_S, PRO_WORK_S = 3.0, 15.0, 30.0
#: The vendor's guide: how long content can be downloaded.
KEPT_S = 3600
#: Between one look and the next.
POLL_MS = 2000


def timed(row: Row, model: str, seconds: int, refused: str, pace: float) -> Row:
    """With the instants at which its work begins and ends. `pace` is how many seconds of work pass in
    one; `refused` what the prompt violates, which is found out when the work begins."""
    begins_at = row.created_at + QUEUED_S / pace
    each_s = PRO_WORK_S if "pro" in model else WORK_S
    ends_at = begins_at if refused else begins_at + each_s * seconds / pace
    return row.merged(model=model, refused=refused, begins_at=begins_at, ends_at=ends_at)


@dataclass(frozen=True, slots=True)
class Video:
    row: Row

    @property
    def id(self) -> str:
        return self.row.key.id

    @property
    def _document(self) -> Mapping[str, Any]:
        return self.row.document

    def status_at(self, now: float) -> str:
        """`now` in seconds since the epoch."""
        document = self._document
        if now < document["begins_at"]:
            return "queued"
        if now < document["ends_at"]:
            return "in_progress"
        return "failed" if document["refused"] else "completed"

    def expired_at(self, now: float) -> bool:
        return bool(now >= self._document["ends_at"] + KEPT_S)

    def shown(self, now: float) -> dict[str, Any]:
        document = self._document
        status = self.status_at(now)
        done = status == "completed"
        error = None
        if status == "failed":
            error = {
                "code": "moderation_blocked",
                "message": "Your request was blocked by our moderation system.",
            }
        film = document["film"]
        return {
            "id": self.id,
            "object": "video",
            "created_at": document["created_at"],
            "status": status,
            "model": document["model"],
            "progress": self._progress(now),
            "prompt": document["prompt"],
            "seconds": str(film["seconds"]),
            "size": f"{film['width']}x{film['height']}",
            "completed_at": int(document["ends_at"]) if done else None,
            "expires_at": int(document["ends_at"] + KEPT_S) if done else None,
            "remixed_from_video_id": document["remixed_from"],
            "error": error,
        }

    def _progress(self, now: float) -> int:
        """Percent."""
        status = self.status_at(now)
        if status == "in_progress":
            begins_at, ends_at = self._document["begins_at"], self._document["ends_at"]
            return int(99 * (now - begins_at) / (ends_at - begins_at))
        return 100 if status == "completed" else 0


VIDEOS = Resource(
    kind="video",
    object="video",
    prefix="video_",
    path="/videos",
    param="video_id",
    missing=errors.video_not_found,
    show=lambda row, now: Video(row).shown(now),
    id_length=48,
)
CHARACTERS = Resource(
    kind="video.character",
    object="",
    prefix="char_",
    path="/videos/characters",
    param="character_id",
    missing=errors.character_not_found,
    show=lambda row, now: {name: row.document[name] for name in ("id", "name", "created_at")},
)
