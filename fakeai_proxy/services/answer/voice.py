"""What a model says aloud: the sound of an answer, and what it costs in tokens. For a thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fakeai_proxy import errors
from fakeai_proxy.generate.tokens import Passage
from fakeai_proxy.services.answer.hearing import OUTPUT_TOKENS_PER_S

#: Chat's names of formats that the generator calls otherwise.
_FORMATS = {"pcm16": "pcm"}
_SAMPLE_BYTES = 2


@dataclass(frozen=True, slots=True)
class Sound:
    data: bytes
    tokens: int

    def shares(self, count: int) -> Sequence[tuple[bytes, int]]:
        """Its samples and its tokens in so many parts."""
        parts = []
        size = len(self.data) // _SAMPLE_BYTES
        for k in range(count):
            first, last = size * k // count, size * (k + 1) // count
            data = self.data[first * _SAMPLE_BYTES : last * _SAMPLE_BYTES]
            parts.append((data, self.tokens * (k + 1) // count - self.tokens * k // count))
        return parts


def spoken(passage: Passage, voice: str, form: str) -> Sound:
    """Raises 501 where nothing is installed that speaks, or encodes the format."""
    # With what it computes with: most servers never speak.
    from fakeai_proxy.generate.speech import MissingAudioExtra, speak

    try:
        made = speak(passage.text, voice, _FORMATS.get(form, form))
    except MissingAudioExtra:
        raise errors.extra_missing(
            f"Speech in {form} takes codecs that are not installed here. Run pip install "
            "'fakeai-proxy[audio]', or use wav or pcm16."
        ) from None
    return Sound(made.data, max(1, round(made.duration_s * OUTPUT_TOKENS_PER_S)))


def within(passage: Passage, sound: Sound, limit: int) -> Passage:
    """As much of the passage as leaves room for its sound; always less than all of it."""
    share = limit / (passage.tokens + sound.tokens)
    return passage.first(max(1, min(int(passage.tokens * share), passage.tokens - 1)))
