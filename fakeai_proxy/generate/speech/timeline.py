"""When what was said: a text laid over the parts of a sound in which somebody speaks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fakeai_proxy.generate.speech.listening import LEVEL_S, Sound

#: Below this loudness (root mean square, 1 is full scale: -50 dB) nobody speaks, nor below this share
#: of the loudest. Set by hand.
_SILENCE, _SILENCE_SHARE = 0.003, 0.04

#: A word, or a character of a script that puts no spaces.
_WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]"
    r"|[^\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]+(?:['’.\-][^\W_]+)*"
)
_END = re.compile(r"[.!?…]+[\"'”’)\]]*\s+|[。！？\n]+\s*")
#: The longest piece of text that is one segment.
_SEGMENT_CHARS_MAX = 200


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the text, the characters of the text up to its end, and when it is said, in seconds."""

    text: str
    end: int
    start_s: float
    end_s: float


class Timeline:
    """`speech_s` is how long somebody speaks."""

    def __init__(self, sound: Sound) -> None:
        levels = sound.levels
        loud = levels > max(_SILENCE, _SILENCE_SHARE * float(levels.max(initial=0.0)))
        self._duration_s = sound.duration_s
        self._until = np.cumsum(loud)
        self._count = int(self._until[-1]) if len(loud) else 0
        self.speech_s = min(self._count * LEVEL_S, sound.duration_s)

    def words(self, text: str) -> list[Stretch]:
        return [
            self._stretch(match.group(), match.start(), match.end(), len(text))
            for match in _WORD.finditer(text)
        ]

    def segments(self, text: str) -> list[Stretch]:
        """Sentence by sentence; they join to the text."""
        at = 0
        found = []
        for piece in pieces_of(text):
            found.append(self._stretch(piece, at, at + len(piece.rstrip() or piece), len(text)))
            at += len(piece)
        return found

    def _stretch(self, text: str, start: int, end: int, of: int) -> Stretch:
        return Stretch(text, end, self._at(start / of, "right"), self._at(end / of, "left"))

    def _at(self, share: float, side: Literal["left", "right"]) -> float:
        """The instant at which that share of the speech is over; where silence follows, its beginning
        from the left and its end from the right."""
        if not self._count:
            return round(share * self._duration_s, 3)
        spoken = share * self._count
        index = min(int(np.searchsorted(self._until, spoken, side)), len(self._until) - 1)
        within = spoken - int(self._until[index]) + 1
        return round(min((index + within) * LEVEL_S, self._duration_s), 3)


def pieces_of(text: str) -> Iterator[str]:
    """Sentences, long ones in parts. They join to the text."""
    at = 0
    for end in (*(match.end() for match in _END.finditer(text)), len(text)):
        piece = text[at:end]
        at = end
        while len(piece) > _SEGMENT_CHARS_MAX:
            cut = piece.rfind(" ", 1, _SEGMENT_CHARS_MAX) + 1 or _SEGMENT_CHARS_MAX
            yield piece[:cut]
            piece = piece[cut:]
        if piece:
            yield piece
