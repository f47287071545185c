"""What is heard in an uploaded file: our own speech word for word; of anything else, which nothing here
recognizes, plausible words for as long as somebody speaks in it."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

from fakeai_proxy import errors
from fakeai_proxy.generate.compose import so_many_words
from fakeai_proxy.generate.language import CODES, ENGLISH, language
from fakeai_proxy.generate.speech import MissingAudioExtra, Sound, Timeline, Undecodable, listen
from fakeai_proxy.generate.speech.language import language_of
from fakeai_proxy.generate.text import subject_of
from fakeai_proxy.services.form import Upload
from fakeai_proxy.services.operation import Call

#: The API's own error.
_DURATION_MIN_S = 0.1
#: Conversation, about 150 words a minute.
_WORDS_PER_S = 2.5
#: Of languages without spaces between words.
_CHARACTERS_PER_S = 5.0


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


def hear(
    call: Call, file: Upload, prompt: str, english: bool = False, asked: str = ENGLISH
) -> Heard:
    """`english` asks for a translation; `asked` is the code of the language that the client says it is.
    Raises 400."""
    data = file.read()
    sound = sound_of(data, "file")
    timeline = Timeline(sound)
    key = blake2b(data, digest_size=16).digest()
    found = language_of(sound.text or "")
    ours = sound.text is not None and (found == ENGLISH or not english)
    if ours:
        return Heard(sound.text or "", found, sound, timeline, key, True)
    spoken = asked if asked in CODES and not english else ENGLISH
    text = _plausible(call, key, timeline.speech_s, subject_of(prompt, spoken), spoken)
    return Heard(text, spoken, sound, timeline, key, False)


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


def _plausible(call: Call, key: bytes, speech_s: float, subject: str, spoken: str) -> str:
    """The same for the same sound and prompt, in every format; nothing where nobody speaks."""
    if not speech_s:
        return ""
    wanted = round(speech_s * (_WORDS_PER_S if language(spoken).spaced else _CHARACTERS_PER_S))
    rng = call.dice.roll(key, "heard", subject)
    return so_many_words(rng, spoken, wanted, subject)
