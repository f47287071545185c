"""What goes together: models, voices, formats and parameters. Every rule is a 400 in the vendor's words."""

from __future__ import annotations

from dataclasses import dataclass

from fakeai_proxy import errors
from fakeai_proxy.services.audio.wire import SpeechRequest, TranscriptionRequest
from fakeai_proxy.services.catalogue import ModelCard
from fakeai_proxy.services.wire import Shape

#: platform.openai.com/docs/guides/text-to-speech: voices of tts-1 and tts-1-hd.
PLAIN_VOICES = ("alloy", "ash", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer")
VOICES = (
    "alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar", "fable",
    "onyx", "nova",
)  # fmt: skip
#: How the ids of voices that a user has made begin.
CUSTOM_VOICE = "voice_"

#: What vLLM's and other servers of open models take besides; it changes nothing here.
_ACCEPTED = frozenset(
    ("repetition_penalty", "seed", "to_language", "min_p", "presence_penalty", "frequency_penalty",
     "top_k", "top_p", "max_completion_tokens", "request_id", "user", "hotwords",
     "vad_filter", "stream_include_usage", "stream_continuous_usage_stats", "use_beam_search",
     "length_penalty", "vllm_xargs", "max_new_tokens", "task_type")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hearing:
    """What a family of models does with sound. `duration_max_s` of 0 is no limit but the file's size;
    `by_duration` says that its usage is seconds, not tokens."""

    formats: tuple[str, ...]
    refused: tuple[str, ...] = ()
    duration_max_s: float = 0.0
    by_duration: bool = False
    streams: bool = True
    translates: bool = False


#: platform.openai.com/docs/guides/speech-to-text; the longest sound is in the API's own error.
_WHISPER = Hearing(
    ("json", "text", "srt", "verbose_json", "vtt"),
    ("include", "known_speaker_names", "known_speaker_references"),
    by_duration=True, streams=False, translates=True,
)  # fmt: skip
_GPT = Hearing(
    ("json", "text"),
    ("timestamp_granularities", "known_speaker_names", "known_speaker_references"),
    duration_max_s=1400.0,
)
_DIARIZING = Hearing(
    ("json", "text", "diarized_json"),
    ("prompt", "include", "timestamp_granularities"),
    duration_max_s=1400.0,
)
#: Longer sound has to be cut by a strategy before speakers are told apart.
_WHOLE_S_MAX = 30.0


def hearing_of(card: ModelCard) -> Hearing:
    if "diarize" in card.id:
        return _DIARIZING
    return _GPT if "transcribe" in card.id else _WHISPER


def check_known(asked: Shape, strict: bool) -> None:
    accepted: frozenset[str] = frozenset() if strict else _ACCEPTED
    unknown = [name[:100] for name in asked.model_extra or () if name not in accepted]
    if unknown:
        raise errors.unrecognized_arguments(unknown[:8])


def check_speech(asked: SpeechRequest, card: ModelCard) -> None:
    plain = card.id.startswith("tts-1")
    if plain and asked.stream_format == "sse":
        raise errors.not_with_model("stream_format", card.id)
    if isinstance(asked.voice, str) and not asked.voice.startswith(CUSTOM_VOICE):
        fit = PLAIN_VOICES if plain else VOICES
        if asked.voice not in fit:
            raise errors.invalid_value("voice", asked.voice, fit)


def check_transcription(asked: TranscriptionRequest, card: ModelCard) -> None:
    hearing = hearing_of(card)
    wanted = asked.response_format or "json"
    if wanted not in hearing.formats:
        raise errors.format_unfit(wanted, card.id, hearing.formats)
    for name in hearing.refused:
        if getattr(asked, name):
            raise errors.not_with_model(name, card.id)
    if asked.timestamp_granularities and wanted != "verbose_json":
        raise errors.only_allowed_when(
            "timestamp_granularities", "response_format is set to 'verbose_json'"
        )
    if asked.include and wanted != "json":
        raise errors.only_allowed_when("include", "response_format is set to 'json'")
    names, references = asked.known_speaker_names or [], asked.known_speaker_references or []
    if len(names) != len(references):
        raise errors.bad_parameter(
            "known_speaker_references",
            "invalid_value",
            "known_speaker_names and known_speaker_references must have as many entries.",
        )


def check_duration(asked: TranscriptionRequest, card: ModelCard, duration_s: float) -> None:
    hearing = hearing_of(card)
    most = hearing.duration_max_s
    if most and duration_s > most:
        raise errors.audio_too_long(duration_s, most)
    if hearing is _DIARIZING and duration_s > _WHOLE_S_MAX and asked.chunking_strategy is None:
        raise errors.bad_parameter(
            "chunking_strategy",
            "missing_required_parameter",
            "chunking_strategy is required for diarization models.",
        )
