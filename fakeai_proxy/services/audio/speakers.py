"""Who speaks when: segments of a transcript with speakers, known ones by their names."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from fakeai_proxy import errors
from fakeai_proxy.dice import Dice
from fakeai_proxy.services.audio.hearing import Heard, sound_of
from fakeai_proxy.services.audio.transcript import segments_of

#: platform.openai.com/docs/api-reference/audio/createTranscription
_REFERENCE_MIN_S, _REFERENCE_MAX_S = 2.0, 10.0
#: In a conversation of strangers, one turn in so many stays with the speaker. Set by hand.
_STAYS = 0.35
#: One who speaks for less is alone.
_ALONE_S = 8.0


def check_references(references: Sequence[str]) -> None:
    for index, reference in enumerate(references):
        path = f"known_speaker_references[{index}]"
        head, comma, data = reference.partition(",")
        if not (head.startswith("data:") and head.endswith(";base64") and comma):
            raise errors.bad_parameter(
                path, "invalid_value", "Expected a data URL with base64 data."
            )
        try:
            raw = base64.b64decode(data, validate=True)
        except binascii.Error:
            raise errors.bad_parameter(path, "invalid_value", "Invalid base64 data.") from None
        duration_s = sound_of(raw, path).duration_s
        if not _REFERENCE_MIN_S <= duration_s <= _REFERENCE_MAX_S:
            raise errors.bad_parameter(
                path, "invalid_value",
                f"Speaker references must be between {_REFERENCE_MIN_S:g} and {_REFERENCE_MAX_S:g} "
                f"seconds long, but this one is {duration_s:.1f} seconds long.",
            )  # fmt: skip


def diarized(heard: Heard, names: Sequence[str], dice: Dice) -> list[dict[str, Any]]:
    """One speaker where it is our own speech, which has one voice, or short; two or the known ones
    else."""
    rng = dice.roll(heard.key, "speakers")
    alone = heard.ours or heard.timeline.speech_s < _ALONE_S
    labels = list(names) or ["A", "B"]
    if alone:
        labels = labels[:1]
    current = 0
    segments = []
    for number, one in enumerate(segments_of(heard)):
        if number and len(labels) > 1 and rng.random() > _STAYS:
            current = (current + rng.randrange(1, len(labels))) % len(labels)
        segments.append(
            {
                "type": "transcript.text.segment",
                "id": f"seg_{number:03}",
                "start": one.start_s,
                "end": one.end_s,
                "text": one.text.strip(),
                "speaker": labels[current],
            }
        )
    return segments
