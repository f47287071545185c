"""A film that is being made: what is remembered of it, and what it looks like at an instant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from fakeai_proxy.generate.pictures.moving import Film

#: How long a job waits, and works for each second of film. Illustrative: the vendor's guide speaks of
#: minutes, `sora-2-pro` taking longer.
QUEUED_S, WORK_S, PRO_WORK_S = 3.0, 15.0, 30.0
#: The vendor's guide: how long content can be downloaded.
KEPT_S = 3600
#: Between one look and the next.
POLL_MS = 2000
_OVERHEAD_BYTES = 2048


@dataclass(frozen=True, slots=True)
class Video:
    """`pace` is how many seconds of work pass in one; `refused` what the prompt violates."""

    KIND: ClassVar[str] = "video"

    id: str
    created_at: float
    model: str
    prompt: str
    film: Film
    pace: float
    refused: str = ""
    remixed_from: str | None = None

    @property
    def bytes(self) -> int:
        return len(self.prompt) * 2 + len(self.film.reference) + _OVERHEAD_BYTES

    @property
    def _begun_at(self) -> float:
        return self.created_at + QUEUED_S / self.pace

    @property
    def ended_at(self) -> float:
        if self.refused:
            return self._begun_at
        each_s = PRO_WORK_S if "pro" in self.model else WORK_S
        return self._begun_at + each_s * self.film.seconds / self.pace

    def status_at(self, now: float) -> str:
        """`now` in seconds since the epoch."""
        if now < self._begun_at:
            return "queued"
        if now < self.ended_at:
            return "in_progress"
        return "failed" if self.refused else "completed"

    def expired_at(self, now: float) -> bool:
        return now >= self.ended_at + KEPT_S

    def shown(self, now: float) -> dict[str, Any]:
        status = self.status_at(now)
        brief = self.film.brief
        done = status == "completed"
        error = None
        if status == "failed":
            error = {
                "code": "moderation_blocked",
                "message": "Your request was blocked by our moderation system.",
            }
        return {
            "id": self.id,
            "object": "video",
            "created_at": int(self.created_at),
            "status": status,
            "model": self.model,
            "progress": self._progress(now),
            "prompt": self.prompt,
            "seconds": str(self.film.seconds),
            "size": f"{brief.width}x{brief.height}",
            "completed_at": int(self.ended_at) if done else None,
            "expires_at": int(self.ended_at + KEPT_S) if done else None,
            "remixed_from_video_id": self.remixed_from,
            "error": error,
        }

    def _progress(self, now: float) -> int:
        """Percent."""
        status = self.status_at(now)
        if status == "in_progress":
            return int(99 * (now - self._begun_at) / (self.ended_at - self._begun_at))
        return 100 if status == "completed" else 0
