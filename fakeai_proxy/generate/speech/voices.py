"""How each voice sounds: the variant of espeak-ng that is nearest in sex and age, with a pitch and a pace
of its own, and what the simpler voice needs to be told apart from the others. Set by ear.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from hashlib import blake2b


@dataclass(frozen=True, slots=True)
class Voice:
    """`variant`, `pitch` and `spread` (how lively, both 0 to 99) are espeak-ng's; `pitch_hz` and
    `tract` (the scale of the formants: short throats above 1) the simpler voice's."""

    variant: str
    pitch: int
    spread: int
    words_per_minute: int
    pitch_hz: float
    tract: float


#: platform.openai.com/docs/guides/text-to-speech#voice-options
VOICES: dict[str, Voice] = {
    "alloy": Voice("f2", 42, 45, 155, 165.0, 1.06),
    "ash": Voice("m3", 38, 40, 158, 112.0, 0.98),
    "ballad": Voice("m7", 52, 65, 145, 128.0, 1.0),
    "coral": Voice("f3", 58, 62, 160, 205.0, 1.14),
    "echo": Voice("m1", 45, 48, 152, 120.0, 0.95),
    "fable": Voice("m4", 60, 70, 150, 140.0, 1.02),
    "onyx": Voice("m8", 12, 35, 142, 82.0, 0.88),
    "nova": Voice("f4", 66, 60, 162, 220.0, 1.17),
    "sage": Voice("f1", 50, 40, 148, 185.0, 1.1),
    "shimmer": Voice("Annie", 74, 55, 156, 235.0, 1.2),
    "verse": Voice("m2", 55, 72, 154, 134.0, 1.04),
    "marin": Voice("linda", 48, 52, 157, 192.0, 1.12),
    "cedar": Voice("m6", 25, 45, 147, 98.0, 0.92),
}

#: What words in the instructions ask for: (pattern, factor of the pace, steps of pitch, factor of the
#: liveliness). Set by ear.
_MANNERS: tuple[tuple[str, float, int, float], ...] = (
    (r"slow(ly|er)?|leisurely|unhurried|deliberate(ly)?|measured", 0.78, 0, 0.9),
    (r"fast(er)?|quick(ly|er)?|rapid(ly)?|hurried|brisk(ly)?|energetic", 1.25, 3, 1.2),
    (r"calm(ly|ing)?|sooth\w*|gentl[ey]|relax\w*|meditat\w*|serene", 0.88, -4, 0.6),
    (r"excit\w*|enthusias\w*|cheer\w*|happ\w*|joy\w*|upbeat|bright", 1.1, 10, 1.5),
    (r"sad(ly)?|sorrow\w*|melanchol\w*|somber|grie\w*|gloom\w*", 0.84, -9, 0.6),
    (r"ang(ry|rily|er)|furious\w*|shout\w*|stern(ly)?", 1.08, -3, 1.5),
    (r"deep(er)?|low(er)?(?= \w*\s?(pitch|voice))|baritone|bass", 0.97, -16, 1.0),
    (r"high(er)?(?=[- ]pitch)|squeaky|child\w*|chipmunk", 1.03, 18, 1.1),
    (r"monotone|robot\w*|flat(ly)?|emotionless", 1.0, 0, 0.1),
    (r"dramatic\w*|expressive\w*|theatrical\w*|animated|story\w*", 0.97, 2, 1.6),
)
_PATTERNS = tuple(
    (re.compile(rf"\b({words})\b", re.I), pace, step, liveliness)
    for words, pace, step, liveliness in _MANNERS
)
#: A step of espeak-ng's pitch in octaves: its scale from 0 to 99 spans about two.
_OCTAVES_A_STEP = 0.02


def voice_of(name: str) -> Voice:
    """The voice of that name; a name that is not in the table has one of its own, made of it."""
    known = VOICES.get(name)
    if known is not None:
        return known
    digest = blake2b(name.encode("utf-8", "replace"), digest_size=4).digest()
    base = list(VOICES.values())[digest[0] % len(VOICES)]
    step = digest[1] % 25 - 12
    return _shifted(base, step, 0.92 + digest[2] / 1600, 1.0)


def instructed(voice: Voice, instructions: str) -> Voice:
    """That voice in the manner that the instructions ask for."""
    for pattern, pace, step, liveliness in _PATTERNS:
        if pattern.search(instructions):
            voice = _shifted(voice, step, pace, liveliness)
    return voice


def _shifted(voice: Voice, step: int, pace: float, liveliness: float) -> Voice:
    return replace(
        voice,
        pitch=min(max(voice.pitch + step, 0), 99),
        spread=min(max(round(voice.spread * liveliness), 0), 99),
        words_per_minute=min(max(round(voice.words_per_minute * pace), 90), 400),
        pitch_hz=voice.pitch_hz * 2 ** (step * _OCTAVES_A_STEP),
    )
