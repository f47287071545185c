"""Speech: text to sound in six formats, and sound back to what is in it. Knows no HTTP.

With the extra `audio` installed espeak-ng speaks and FFmpeg encodes; without it a simpler voice is
made here, and only wav and pcm can be written and wav be read. All of it computes for long: call it
in a thread.
"""

from fakeai_proxy.generate.speech.encoding import (
    FORMATS,
    SAMPLE_RATE,
    MissingAudioExtra,
    encode,
    has_codecs,
)
from fakeai_proxy.generate.speech.listening import Sound, Undecodable, listen, recall
from fakeai_proxy.generate.speech.speaking import Spoken, samples_of, speak
from fakeai_proxy.generate.speech.timeline import Stretch, Timeline
from fakeai_proxy.generate.speech.voices import VOICES

__all__ = [
    "FORMATS",
    "SAMPLE_RATE",
    "VOICES",
    "MissingAudioExtra",
    "Sound",
    "Spoken",
    "Stretch",
    "Timeline",
    "Undecodable",
    "encode",
    "has_codecs",
    "listen",
    "recall",
    "samples_of",
    "speak",
]
