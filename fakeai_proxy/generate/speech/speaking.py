"""From text to samples, by the best voice at hand, and on to bytes. What was spoken is kept for a while, and
what was said for longer, so that the sound can be understood again."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from fakeai_proxy.generate.shelf import Shelf
from fakeai_proxy.generate.speech import espeak
from fakeai_proxy.generate.speech.encoding import SAMPLE_RATE, encode, has_codecs, resampled
from fakeai_proxy.generate.speech.language import language_of
from fakeai_proxy.generate.speech.listening import remember
from fakeai_proxy.generate.speech.synthesis import synthesize
from fakeai_proxy.generate.speech.voices import instructed, voice_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SPOKEN_BYTES_MAX = 32 << 20


@dataclass(frozen=True, slots=True)
class Spoken:
    """An utterance as a file. pcm is 16-bit mono samples, little-endian, without a header."""

    data: bytes
    duration_s: float
    sample_rate: int


_SPOKEN: Shelf[bytes, Spoken] = Shelf(_SPOKEN_BYTES_MAX)


def speak(
    text: str,
    voice: str,
    format: str,  # noqa: A002 - the API's word
    speed: float = 1.0,
    instructions: str = "",
) -> Spoken:
    """`text` in one of `FORMATS`, mono at 24 kHz (opus: its own 48 kHz). A speed from 0.25 to 4 divides
    the duration. Equal arguments give equal bytes. Takes a tenth of a second and more: call it in a
    thread. Raises MissingAudioExtra."""
    key = _key(text, voice, format, repr(float(speed)), instructions)
    found = _SPOKEN.find(key)
    if found is not None:
        return found
    samples = samples_of(text, voice, speed, instructions)
    data = encode(samples, format, text)
    spoken = Spoken(data, len(samples) / SAMPLE_RATE, SAMPLE_RATE)
    remember(text, samples, data)
    _SPOKEN.keep(key, spoken, len(data))
    return spoken


def samples_of(
    text: str, voice: str, speed: float = 1.0, instructions: str = ""
) -> NDArray[np.int16]:
    """Mono, at `SAMPLE_RATE`."""
    how = instructed(voice_of(voice), instructions)
    if has_codecs():
        uttered = espeak.utter(text, how, language_of(text))
        if uttered is not None:
            return resampled(*uttered, speed)
    return synthesize(text, how, SAMPLE_RATE, speed)


def _key(*parts: str) -> bytes:
    digest = blake2b(digest_size=16)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(encoded))
        digest.update(encoded)
    return digest.digest()
