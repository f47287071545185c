"""Sound as the API carries it: 16-bit PCM at 24 kHz, and G.711 at 8 kHz with either law."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.int16]

#: Loudness is looked at in pieces of this length.
FRAME_MS = 20
_FULL_SCALE = 32768.0


@dataclass(frozen=True, slots=True)
class Format:
    """`type` is its name in the protocol, `beta` its name in the protocol before."""

    type: str
    beta: str
    rate_hz: int
    sample_bytes: int

    @property
    def ms_bytes(self) -> int:
        return self.rate_hz * self.sample_bytes // 1000

    def duration_ms(self, size: int) -> float:
        return size / self.ms_bytes

    def shown(self) -> dict[str, Any]:
        return {"type": self.type, "rate": self.rate_hz} if self is PCM else {"type": self.type}


PCM = Format("audio/pcm", "pcm16", 24_000, 2)
ULAW = Format("audio/pcmu", "g711_ulaw", 8_000, 1)
ALAW = Format("audio/pcma", "g711_alaw", 8_000, 1)
FORMATS = {name: one for one in (PCM, ULAW, ALAW) for name in (one.type, one.beta)}


def samples(data: bytes, form: Format) -> Samples:
    """What the bytes mean; half a sample at the end is left out."""
    import numpy as np

    if form is PCM:
        return np.frombuffer(data, "<i2", len(data) // 2)
    return _meanings(form)[np.frombuffer(data, np.uint8)]


def encoded(sound: Samples, form: Format) -> bytes:
    """From samples at 24 kHz."""
    import numpy as np

    if form is PCM:
        return sound.astype("<i2").tobytes()
    ratio = PCM.rate_hz // form.rate_hz
    whole = sound[: len(sound) - len(sound) % ratio].reshape(-1, ratio)
    slower = whole.mean(axis=1)  # a mean is a low-pass, too
    meanings = _meanings(form).astype(np.int32)
    order = np.argsort(meanings, kind="stable")
    known = meanings[order]
    borders = (known[1:] + known[:-1]) / 2
    return bytes(order.astype(np.uint8)[np.searchsorted(borders, slower)].tobytes())


def levels(data: bytes, form: Format) -> list[float]:
    """The loudness of each whole frame: root mean square, 1.0 is full scale."""
    import numpy as np

    size = FRAME_MS * form.rate_hz // 1000
    sound = samples(data, form)
    frames = sound[: len(sound) - len(sound) % size].reshape(-1, size).astype(np.float32)
    found: list[float] = (np.sqrt((frames**2).mean(axis=1)) / _FULL_SCALE).tolist()
    return found


@cache
def _meanings(form: Format) -> Samples:
    """The sample that each byte stands for (ITU-T G.711)."""
    import numpy as np

    if form is ULAW:
        code = ~np.arange(256, dtype=np.int32) & 0xFF
        size = ((((code & 0x0F) << 3) + 0x84) << ((code >> 4) & 7)) - 0x84
        return np.where(code & 0x80, -size, size).astype(np.int16)
    code = np.arange(256, dtype=np.int32) ^ 0x55
    step, rest = (code >> 4) & 7, (code & 0x0F) << 4
    size = np.where(step == 0, rest + 8, (rest + 0x108) << np.maximum(step - 1, 0))
    return np.where(code & 0x80, size, -size).astype(np.int16)
