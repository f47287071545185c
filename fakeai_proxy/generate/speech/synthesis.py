"""The simpler voice, for installs without espeak-ng: a glottal tone and noise shaped by the formants that
each letter would have. It has the melody, pace and pauses of speech and is not intelligible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fakeai_proxy.generate.speech.voices import Voice

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FRAME_S = 0.005
_PEAK = 22_000
#: Nothing much of a voice is above.
_TOP_HZ = 4_500
_BANDWIDTHS_HZ = (90.0, 120.0, 180.0)
_FORMANT_GAINS = (1.0, 0.6, 0.3)
#: Pace of `_Sound.length_s`, words a minute.
_USUAL_PACE = 150


@dataclass(frozen=True, slots=True)
class _Sound:
    """`length_s` at the usual pace; `voiced` and `noise` are amplitudes, formants and `hiss` in hertz."""

    length_s: float
    voiced: float
    noise: float
    formants: tuple[float, float, float] = (500.0, 1500.0, 2500.0)
    hiss_hz: float = 3000.0


def _vowel(*formants: float) -> _Sound:
    return _Sound(0.095, 1.0, 0.0, (formants[0], formants[1], formants[2]))


def _voiced(*formants: float) -> _Sound:
    return _Sound(0.06, 0.45, 0.0, (formants[0], formants[1], formants[2]))


def _stop(hiss_hz: float, voiced: float = 0.0) -> _Sound:
    return _Sound(0.05, voiced, 0.16, (300.0, 1400.0, 2500.0), hiss_hz)


def _fricative(hiss_hz: float, voiced: float = 0.0) -> _Sound:
    return _Sound(0.075, voiced, 0.3, (350.0, 1500.0, 2500.0), hiss_hz)


#: Formants of vowels after Peterson and Barney, "Control Methods Used in a Study of the Vowels" (1952),
#: averages of men; the rest set by ear.
_LETTERS = {
    "a": _vowel(730, 1090, 2440), "e": _vowel(530, 1840, 2480), "i": _vowel(270, 2290, 3010),
    "o": _vowel(570, 840, 2410), "u": _vowel(300, 870, 2240), "y": _vowel(390, 1990, 2550),
    "m": _voiced(250, 1100, 2200), "n": _voiced(250, 1600, 2500), "l": _voiced(360, 1300, 2700),
    "r": _voiced(420, 1250, 1650), "w": _voiced(300, 750, 2200), "j": _voiced(280, 2100, 2800),
    "b": _stop(800, 0.2), "d": _stop(3200, 0.2), "g": _stop(2000, 0.2),
    "p": _stop(900), "t": _stop(3800), "k": _stop(2200), "q": _stop(1800), "c": _stop(2600),
    "s": _fricative(4300), "z": _fricative(4300, 0.3), "f": _fricative(3300), "v": _fricative(3000, 0.35),
    "h": _fricative(1500), "x": _fricative(2800),
}  # fmt: skip
_GAP = _Sound(0.045, 0.0, 0.0)
_PAUSES = {
    **dict.fromkeys(',;:()[]{}"-–—/、，', _Sound(0.16, 0.0, 0.0)),
    **dict.fromkeys(".!?…\n。！？", _Sound(0.34, 0.0, 0.0)),
}
_ALPHABET = tuple(_LETTERS.values())


def _sound_of(character: str) -> _Sound:
    lower = character.lower()
    if lower in _LETTERS:
        return _LETTERS[lower]
    if character in _PAUSES:
        return _PAUSES[character]
    return _ALPHABET[ord(character) % len(_ALPHABET)] if character.isalnum() else _GAP


def synthesize(text: str, voice: Voice, sample_rate: int, speed: float) -> NDArray[np.int16]:
    """Mono. Exactly 1/`speed` as long as at speed 1."""
    sounds = [_GAP, *map(_sound_of, text), _GAP]
    lengths = np.array([sound.length_s for sound in sounds]) * _USUAL_PACE / voice.words_per_minute
    natural = round(float(lengths.sum()) * sample_rate)
    count = max(round(natural / speed), 1)
    ends = np.cumsum(lengths) / lengths.sum()
    frames = max(int(count / sample_rate / _FRAME_S), 2)
    at = np.searchsorted(ends, np.linspace(0, 1, frames, endpoint=False), side="right")
    which = np.minimum(at, len(sounds) - 1)
    table = np.array([[one.voiced, one.noise, *one.formants, one.hiss_hz] for one in sounds])
    tracks = _smooth(table[which])
    tracks[:, 2:5] *= voice.tract
    pitch = _melody(text, which, frames, voice)
    return _rendered(tracks, pitch, count, sample_rate)


def _smooth(tracks: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mouth moves from sound to sound in some 25 ms."""
    kernel = np.hanning(7)[1:-1]
    kernel /= kernel.sum()
    edge = len(kernel) // 2
    padded = np.pad(tracks, ((edge, edge), (0, 0)), mode="edge")
    columns = [np.convolve(column, kernel, mode="valid") for column in padded.T]
    return np.stack(columns, axis=1)


def _melody(text: str, which: NDArray[np.int64], frames: int, voice: Voice) -> NDArray[np.float64]:
    """Pitch in hertz a frame: it falls through each sentence, and rises where that asks."""
    position = np.zeros(len(text) + 2)
    rise = np.zeros(len(text) + 2)
    start = 0
    for index, character in enumerate(text + "."):
        if character in ".!?\n。！？" or index == len(text):
            span = index - start + 1
            through = np.arange(span) / span
            position[start : start + span] = through
            if character in "?？":
                rise[start : start + span] = np.maximum(through - 0.7, 0)
            start = index + 1
    liveliness = voice.spread / 100
    octaves = 0.5 * liveliness * (0.4 - position) + 1.5 * rise
    wave = 0.12 * liveliness * np.sin(np.arange(frames) * _FRAME_S * 2 * np.pi * 2.3)
    return np.asarray(voice.pitch_hz * 2 ** (octaves[which] + wave))


def _rendered(
    tracks: NDArray[np.float64], pitch: NDArray[np.float64], count: int, sample_rate: int
) -> NDArray[np.int16]:
    made = np.zeros(count, np.int16)
    noise = np.random.Generator(np.random.PCG64(7))
    phase = 0.0
    block = 2 * sample_rate
    frames = len(tracks)
    for start in range(0, count, block):
        n = min(block, count - start)
        x = (start + np.arange(n)) * (frames / count)
        first, last = int(x[0]), min(int(x[-1]) + 2, frames)
        grid = np.arange(first, last)
        part = tracks[first:last]
        hertz = np.interp(x, grid, pitch[first:last])
        phases = phase + np.cumsum(hertz) * (2 * np.pi / sample_rate)
        phase = float(phases[-1] % (2 * np.pi))
        sound = np.zeros(n)
        for k in range(1, int(_TOP_HZ / pitch.min()) + 1):
            gains = _envelope(pitch[first:last] * k, part) * part[:, 0] / k**0.5
            sound += np.interp(x, grid, gains) * np.sin(phases * k)
        hiss = np.convolve(noise.standard_normal(n + 7), np.ones(8) / 8, mode="valid")
        carrier = np.sin(np.cumsum(np.interp(x, grid, part[:, 5])) * (2 * np.pi / sample_rate))
        sound += 2.5 * np.interp(x, grid, part[:, 1]) * hiss * carrier
        made[start : start + n] = np.round(np.tanh(sound / 2.5) * _PEAK).astype(np.int16)
    return made


def _envelope(hertz: NDArray[np.float64], tracks: NDArray[np.float64]) -> NDArray[np.float64]:
    """How loud the throat lets that frequency out."""
    total = np.zeros(len(hertz))
    for index, (width, gain) in enumerate(zip(_BANDWIDTHS_HZ, _FORMANT_GAINS, strict=True)):
        total += gain / (1 + ((hertz - tracks[:, 2 + index]) / width) ** 2)
    return np.where(hertz < _TOP_HZ, total, 0.0)
