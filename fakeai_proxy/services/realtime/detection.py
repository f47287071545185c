"""Who is speaking: when speech begins and ends, by how loud it is. Given levels of frames, tells
instants; knows neither bytes nor events.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fakeai_proxy.services.realtime.sound import FRAME_MS

#: Threshold 0 is this loud, threshold 1 that loud (dB below full scale). Speech into a microphone is at -30
#: to -15, a quiet room below -55; the default of 0.5 lies between. Set by hand.
_QUIETEST_DB, _LOUDEST_DB = -60.0, -15.0
#: A click is shorter than this.
_ONSET_MS = 60
#: How long silence has to be after what sounds finished, and after what does not (OpenAI's guide has the
#: longer ones: "max timeouts of 8s, 4s, and 2s"; the shorter ones are set by hand).
_EAGERNESS_MS = {
    "low": (1200, 8000),
    "medium": (600, 4000),
    "auto": (600, 4000),
    "high": (300, 2000),
}
#: Who has finished gets quieter: the end of the speech against all of it.
_TAIL_MS, _FALL = 200, 0.8


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """`eagerness` is "" for a detector that goes by silence alone."""

    type: str = "server_vad"
    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500
    idle_timeout_ms: int | None = None
    eagerness: str = ""
    create_response: bool = True
    interrupt_response: bool = True


class Heard(NamedTuple):
    """Speech that has begun, or has ended, at `ms` of all sound that was written. Speech that begins
    includes what was just before it, and its end the silence that tells it."""

    begins: bool
    ms: int


class Detector:
    def __init__(self, detection: TurnDetection, at_ms: float = 0.0) -> None:
        self._detection = detection
        span = _LOUDEST_DB - _QUIETEST_DB
        self._loud = 10 ** ((_QUIETEST_DB + span * detection.threshold) / 20)
        self._at_ms = at_ms
        self._begun_at_ms = at_ms
        self._loud_ms = self._silent_ms = 0
        self._levels: list[float] = []
        self.speaking = False

    def feed(self, levels: Sequence[float]) -> Iterator[Heard]:
        for level in levels:
            self._at_ms += FRAME_MS
            heard = self._ending(level) if self.speaking else self._beginning(level)
            if heard is not None:
                yield heard

    def forget(self) -> None:
        """What was heard so far is gone from the buffer."""
        self.speaking = False
        self._loud_ms = self._silent_ms = 0
        self._begun_at_ms = self._at_ms

    def _beginning(self, level: float) -> Heard | None:
        if level < self._loud:
            self._loud_ms = 0
            return None
        self._loud_ms += FRAME_MS
        if self._loud_ms < _ONSET_MS:
            return None
        self.speaking = True
        self._levels, self._silent_ms = [], 0
        padded = self._at_ms - self._loud_ms - self._detection.prefix_padding_ms
        return Heard(True, int(max(padded, self._begun_at_ms, 0)))

    def _ending(self, level: float) -> Heard | None:
        if level >= self._loud:
            self._levels.append(level)
            self._silent_ms = 0
            return None
        self._silent_ms += FRAME_MS
        if self._silent_ms < self._patience_ms():
            return None
        self.forget()
        return Heard(False, int(self._at_ms))

    def _patience_ms(self) -> int:
        eagerness = self._detection.eagerness
        if not eagerness:
            return max(self._detection.silence_duration_ms, FRAME_MS)
        finished, unfinished = _EAGERNESS_MS[eagerness]
        tail = self._levels[-_TAIL_MS // FRAME_MS :]
        if not tail:
            return unfinished
        mean = sum(self._levels) / len(self._levels)
        return finished if sum(tail) / len(tail) <= _FALL * mean else unfinished
