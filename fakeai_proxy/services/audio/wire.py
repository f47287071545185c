"""What the audio room is asked, as shapes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from pydantic import BeforeValidator, ConfigDict, Field

from fakeai_proxy.services.form import FormShape, Upload
from fakeai_proxy.services.wire import Shape

#: platform.openai.com/docs/api-reference/audio/createSpeech
INPUT_CHARS_MAX = 4096
#: platform.openai.com/docs/api-reference/audio/createTranscription
SPEAKERS_MAX = 4

AudioFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
TranscriptFormat = Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"]


class CustomVoice(Shape):
    id: str


class SpeechRequest(Shape):
    model: str | None = None
    input: Annotated[str, Field(min_length=1, max_length=INPUT_CHARS_MAX)]
    voice: str | CustomVoice
    instructions: Annotated[str, Field(max_length=INPUT_CHARS_MAX)] | None = None
    response_format: AudioFormat | None = None
    speed: Annotated[float, Field(ge=0.25, le=4.0)] | None = None
    stream_format: Literal["sse", "audio"] | None = None


def _listed(value: Any) -> Any:
    """A field that came once, without `[]`, is a list of one."""
    return [value] if isinstance(value, str) else value


def _parsed(value: Any) -> Any:
    """An object in a form may be written as JSON."""
    if isinstance(value, str) and value.startswith("{"):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
    return value


class ServerVad(FormShape):
    model_config = ConfigDict(extra="forbid")

    type: Literal["server_vad"]
    prefix_padding_ms: Annotated[int, Field(ge=0)] | None = None
    silence_duration_ms: Annotated[int, Field(ge=0)] | None = None
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None


class _HearingRequest(FormShape):
    file: Upload
    model: str | None = None
    prompt: str | None = None
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None


class TranscriptionRequest(_HearingRequest):
    response_format: TranscriptFormat | None = None
    language: str | None = None
    stream: bool | None = None
    timestamp_granularities: Annotated[
        list[Literal["word", "segment"]] | None, BeforeValidator(_listed)
    ] = None
    include: Annotated[list[Literal["logprobs"]] | None, BeforeValidator(_listed)] = None
    chunking_strategy: Annotated[Literal["auto"] | ServerVad | None, BeforeValidator(_parsed)] = (
        None
    )
    known_speaker_names: Annotated[
        Annotated[list[str], Field(max_length=SPEAKERS_MAX)] | None, BeforeValidator(_listed)
    ] = None
    known_speaker_references: Annotated[
        Annotated[list[str], Field(max_length=SPEAKERS_MAX)] | None, BeforeValidator(_listed)
    ] = None


class TranslationRequest(_HearingRequest):
    response_format: Literal["json", "text", "srt", "verbose_json", "vtt"] | None = None
