"""The sound that a client has written and that is no item yet."""

from __future__ import annotations

from typing import NamedTuple

from fakeai_proxy.services.realtime.detection import Detector, Heard, TurnDetection
from fakeai_proxy.services.realtime.sound import FRAME_MS, Format, levels

#: Bytes in the buffer: 23 minutes of PCM, two hours and more of G.711.
BUFFER_BYTES_MAX = 64 << 20
#: While nobody speaks, a detector keeps this much.
_SILENCE_KEPT_MS = 10_000


class Written(NamedTuple):
    """Bytes with the loudness of the frames that are whole with them."""

    data: bytes
    levels: list[float]


class InputBuffer:
    """Places are milliseconds of all sound that was written in the session."""

    def __init__(self, form: Format, detection: TurnDetection | None) -> None:
        self.form = form
        self._data = bytearray()
        self._begins_ms = 0.0
        self._unframed = b""
        self._detector = None if detection is None else Detector(detection)
        self._detection = detection

    def __len__(self) -> int:
        return len(self._data)

    @property
    def duration_ms(self) -> float:
        return self.form.duration_ms(len(self._data))

    @property
    def end_ms(self) -> float:
        return self._begins_ms + self.duration_ms

    @property
    def speaking(self) -> bool:
        return self._detector is not None and self._detector.speaking

    def configure(self, form: Format, detection: TurnDetection | None) -> None:
        """What is there in another format is dropped."""
        if form is not self.form:
            self._begins_ms = self.end_ms
            self._data.clear()
            self.form = form
            self._detection = None
            self._detector = None
        if detection != self._detection or (detection is None) != (self._detector is None):
            self._unframed = b""
            self._detection = detection
            self._detector = None if detection is None else Detector(detection, self.end_ms)

    def measured(self, data: bytes) -> Written:
        """Changes nothing: what `append` takes next."""
        found = levels(self._unframed + data, self.form) if self._detector is not None else []
        return Written(data, found)

    def append(self, written: Written) -> list[Heard]:
        self._data += written.data
        if self._detector is None:
            return []
        whole = self._unframed + written.data
        self._unframed = whole[len(written.levels) * FRAME_MS * self.form.ms_bytes :]
        return list(self._detector.feed(written.levels))

    def trim(self) -> None:
        """Forget old silence."""
        if self._detector is not None and not self._detector.speaking:
            self._drop_to(self.end_ms - _SILENCE_KEPT_MS)

    def take(self, begin_ms: float | None = None, end_ms: float | None = None) -> bytes:
        """Sound between two places, all of it without; what comes before its end is dropped."""
        if begin_ms is not None:
            self._drop_to(begin_ms)
        until = self.end_ms if end_ms is None else end_ms
        size = min(self._size(until - self._begins_ms), len(self._data))
        taken = bytes(self._data[:size])
        self._drop(size)
        if self._detector is not None and end_ms is None:
            self._detector.forget()
        return taken

    def clear(self) -> None:
        self.take()

    def _drop_to(self, place_ms: float) -> None:
        self._drop(max(self._size(place_ms - self._begins_ms), 0))

    def _size(self, length_ms: float) -> int:
        size = int(length_ms * self.form.ms_bytes)
        return size - size % self.form.sample_bytes

    def _drop(self, size: int) -> None:
        size = min(size, len(self._data))
        del self._data[:size]
        self._begins_ms += self.form.duration_ms(size)
