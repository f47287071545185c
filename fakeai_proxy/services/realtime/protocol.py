"""How the two protocols name what is the same: events, items, responses, sessions. All else here speaks
the current one (GA); this file turns it into the one before it (beta).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fakeai_proxy.services.realtime import settings as settings_of
from fakeai_proxy.services.realtime import wire
from fakeai_proxy.services.realtime.settings import Settings

#: Event -> its name in beta.
_BETA_NAMES = {
    "conversation.item.added": "conversation.item.created",
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
}
#: What beta does not tell.
_NOT_IN_BETA = frozenset(("conversation.item.done",))
_BETA_PARTS = {"output_text": "text", "output_audio": "audio"}


@dataclass(frozen=True)
class Protocol:
    beta: bool

    @property
    def events(self) -> Mapping[str, type[wire.Event]]:
        return wire.BETA_EVENTS if self.beta else wire.EVENTS

    @property
    def duration_s(self) -> int:
        """How long a session lasts: 60 minutes, 30 in beta (OpenAI's guide to realtime)."""
        return 1800 if self.beta else 3600

    def session(self, settings: Settings, session_id: str, expires_at: int) -> dict[str, Any]:
        write = settings_of.beta_shown if self.beta else settings_of.shown
        return write(settings, session_id, expires_at)

    def session_event(self, settings: Settings, verb: str) -> str:
        kind = "transcription_session" if settings.kind == "transcription" else "session"
        return f"{kind if self.beta else 'session'}.{verb}"

    def name(self, event: str) -> str | None:
        """None for what is not told."""
        if not self.beta:
            return event
        return None if event in _NOT_IN_BETA else _BETA_NAMES.get(event, event)

    def item(self, shown: dict[str, Any]) -> dict[str, Any]:
        if not self.beta or "content" not in shown:
            return shown
        content = [
            {**part, "type": _BETA_PARTS.get(part["type"], part["type"])}
            for part in shown["content"]
        ]
        return {**shown, "content": content}

    def response(self, shown: dict[str, Any], settings: Settings) -> dict[str, Any]:
        """`shown` is what both have."""
        shown = {**shown, "output": [self.item(item) for item in shown["output"]]}
        if self.beta:
            return {
                **shown,
                "modalities": settings_of.beta_modalities(settings),
                "voice": settings.voice,
                "output_audio_format": settings.output_format.beta,
                "temperature": settings.temperature,
            }
        return {
            **shown,
            "output_modalities": [settings.modality],
            "audio": {"output": settings_of.output_shown(settings, speed=False)},
        }


GA, BETA = Protocol(beta=False), Protocol(beta=True)
