"""wav files without a library: PCM of 8 to 32 bits and floats, any channels, and the comment of the INFO
list."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE


@dataclass(frozen=True, slots=True)
class Wav:
    samples: NDArray[np.int16]
    sample_rate: int
    comment: str | None


def read_wav(data: bytes) -> Wav | None:
    """Mixed to mono. None where it is no wav file, or of a coding that takes a library."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return None
    chunks = _chunks(data)
    form = chunks.get(b"fmt ", b"")
    if len(form) < 16 or not chunks.get(b"data"):
        return None
    coding, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", form)
    if coding == _EXTENSIBLE and len(form) >= 26:
        coding = int.from_bytes(form[24:26], "little")
    if not 0 < channels <= 64 or not 1000 <= rate <= 768_000:
        return None
    samples = _samples(chunks[b"data"], coding, bits, channels)
    if samples is None or not len(samples):
        return None
    return Wav(samples, rate, _comment(chunks.get(b"LIST", b"")))


def _chunks(data: bytes) -> dict[bytes, bytes]:
    """The first of each name. What a length says beyond the file's end (as of a stream) is the rest."""
    found: dict[bytes, bytes] = {}
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        found.setdefault(data[at : at + 4], data[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return found


def _samples(data: bytes, coding: int, bits: int, channels: int) -> NDArray[np.int16] | None:
    import numpy as np

    width = bits // 8
    if width not in (1, 2, 3, 4, 8):
        return None
    raw = np.frombuffer(data[: len(data) - len(data) % (width * channels)], np.uint8)
    if coding == _PCM and width == 1:
        wide = (raw.astype(np.float32) - 128) * 256
    elif coding == _PCM and width <= 4:
        # The two highest bytes are what 16 bits hold.
        top: NDArray[np.uint8] = np.ascontiguousarray(raw.reshape(-1, width)[:, width - 2 :])
        values = top.view("<i2")[:, 0]
        if channels == 1:
            mono: NDArray[np.int16] = values.astype(np.int16)
            return mono
        wide = values.astype(np.float32)
    elif coding == _FLOAT and width in (4, 8):
        floats = np.nan_to_num(raw.view(f"<f{width}").astype(np.float32), posinf=1.0, neginf=-1.0)
        wide = np.clip(floats * 32767, -32768, 32767)
    else:
        return None
    mixed: NDArray[np.int16] = np.round(wide.reshape(-1, channels).mean(axis=1)).astype(np.int16)
    return mixed


def _comment(info: bytes) -> str | None:
    if info[:4] != b"INFO":
        return None
    found = _chunks(b" " * 8 + info).get(b"ICMT")
    return None if found is None else found.rstrip(b"\0").decode("utf-8", "replace")
