"""What is heard in an uploaded file: our own speech word for word; of anything else, which nothing here
recognizes, plausible words for as long as somebody speaks in it."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

from fakeai_proxy import errors
from fakeai_proxy.generate.speech import MissingAudioExtra, Sound, Timeline, Undecodable, listen
from fakeai_proxy.generate.speech.language import language_of
from fakeai_proxy.generate.text import sentence, subject_of
from fakeai_proxy.services.form import Upload
from fakeai_proxy.services.operation import Call

#: The API's own error.
_DURATION_MIN_S = 0.1
#: Conversational English, about 150 words a minute.
_WORDS_PER_S = 2.5
#: One sentence in so many is about what the prompt is about.
_SUBJECT_EVERY = 3


@dataclass(frozen=True, slots=True)
class Heard:
    """`key` stands for the sound, whoever sends it. `language` is an ISO 639-1 code. `ours` says that
    the text was really said."""

    text: str
    language: str
    sound: Sound
    timeline: Timeline
    key: bytes
    ours: bool

    @property
    def duration_s(self) -> float:
        return self.sound.duration_s


def hear(call: Call, file: Upload, prompt: str, english: bool = False) -> Heard:
    """`english` asks for a translation. Raises 400."""
    data = file.read()
    sound = sound_of(data, "file")
    timeline = Timeline(sound)
    key = blake2b(data, digest_size=16).digest()
    language = language_of(sound.text or "")
    ours = sound.text is not None and (language == "en" or not english)
    if ours:
        return Heard(sound.text or "", language, sound, timeline, key, True)
    text = _plausible(call, key, timeline.speech_s, subject_of(prompt) if prompt else "")
    return Heard(text, "en", sound, timeline, key, False)


def sound_of(data: bytes, path: str) -> Sound:
    try:
        sound = listen(data)
    except MissingAudioExtra:
        raise errors.audio_extra_missing(path, "A file that is no wav") from None
    except Undecodable:
        raise errors.undecodable_audio(path) from None
    if sound.duration_s < _DURATION_MIN_S:
        raise errors.audio_too_short(_DURATION_MIN_S, path)
    return sound


def _plausible(call: Call, key: bytes, speech_s: float, subject: str) -> str:
    """The same for the same sound and prompt, in every format; nothing where nobody speaks."""
    if not speech_s:
        return ""
    wanted = max(round(speech_s * _WORDS_PER_S), 1)
    rng = call.dice.roll(key, "heard", subject)
    words: list[str] = []
    turn = 0
    while len(words) < wanted:
        about = subject if turn % _SUBJECT_EVERY == 0 else ""
        words += sentence(rng, about).split()
        turn += 1
    text = " ".join(words[:wanted]).rstrip(",;:—-")
    return text if text[-1] in ".!?" else text + "."
