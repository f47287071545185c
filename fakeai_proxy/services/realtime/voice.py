"""Between words and sound: how an answer sounds, and what was said in sound. Computes for long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakeai_proxy.generate.text import prose
from fakeai_proxy.services.realtime.sound import FRAME_MS, PCM, Format, encoded, levels, samples

if TYPE_CHECKING:
    from fakeai_proxy.dice import Dice
    from fakeai_proxy.generate.tokens import Tokens
    from fakeai_proxy.services.realtime.items import Part

#: Of speech; 150 words a minute are common in English, at 1.3 tokens a word.
_SPOKEN_TOKENS_PER_S = 3.25
#: Frames louder than this are speech (-40 dB below full scale).
_LOUD = 0.01


def spoken(text: str, voice: str, speed: float, form: Format) -> bytes:
    from fakeai_proxy.generate.speech import speak
    from fakeai_proxy.generate.speech.listening import remember

    pcm = speak(text, voice, "pcm", speed).data
    if form is PCM:
        return pcm
    data = encoded(samples(pcm, PCM), form)
    remember(text, samples(data, form), data)
    return data


def recalled(part: Part) -> str | None:
    """What is said, where it is our own speech."""
    from fakeai_proxy.generate.speech import recall

    return recall(samples(part.audio, part.form))


def transcribed(part: Part, tokens: Tokens, dice: Dice) -> str:
    """The words of our own speech; of other speech, words that would take as long."""
    known = recalled(part)
    if known is not None:
        return known
    loud = sum([level > _LOUD for level in levels(part.audio, part.form)])
    count = int(loud * FRAME_MS / 1000 * _SPOKEN_TOKENS_PER_S)
    if not count:
        return ""
    rng = dice.roll(part.mark, "heard")
    passage, _ = prose(tokens).write(rng, "", count, length=0.5, endless=True)
    return passage.text.strip()
