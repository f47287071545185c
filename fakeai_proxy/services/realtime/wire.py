"""The shapes of what clients send. Names are those of the protocol; where the one before it (beta) has
others, it has shapes of its own.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag

from fakeai_proxy.services.wire import Shape, json_kind

#: Of instructions, texts and arguments in one event.
TEXT_CHARS_MAX = 1 << 20
_Text = Annotated[str, Field(max_length=TEXT_CHARS_MAX)]
_Id = Annotated[str, Field(min_length=1, max_length=32)]
_CallId = Annotated[str, Field(min_length=1, max_length=64)]
_Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
_MaxTokens = Annotated[int, Field(ge=1, le=4096)] | Literal["inf"]
#: The older protocol has fewer; a name that is not here may be a voice of one's own.
_Voice = Annotated[str, Field(min_length=1, max_length=128)]
_Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(max_length=16),
]
_BETA_FORMAT = Literal["pcm16", "g711_ulaw", "g711_alaw"]


class Strict(Shape):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", protected_namespaces=())


class Pcm(Strict):
    type: Literal["audio/pcm"]
    rate: Literal[24000] | None = None


class Pcmu(Strict):
    type: Literal["audio/pcmu"]


class Pcma(Strict):
    type: Literal["audio/pcma"]


_Format = Annotated[Pcm | Pcmu | Pcma, Field(discriminator="type")]


class Transcription(Strict):
    model: str | None = None
    language: str | None = None
    languages: list[str] | None = None
    keywords: list[str] | None = None
    prompt: _Text | None = None
    delay: str | None = None


class NoiseReduction(Strict):
    type: Literal["near_field", "far_field"] | None = None
    strength: float | None = None


class ServerVad(Strict):
    type: Literal["server_vad"]
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    prefix_padding_ms: Annotated[int, Field(ge=0, le=10_000)] | None = None
    silence_duration_ms: Annotated[int, Field(ge=0, le=60_000)] | None = None
    idle_timeout_ms: Annotated[int, Field(ge=5_000, le=30_000)] | None = None
    create_response: bool | None = None
    interrupt_response: bool | None = None


class SemanticVad(Strict):
    type: Literal["semantic_vad"]
    eagerness: Literal["low", "medium", "high", "auto"] | None = None
    create_response: bool | None = None
    interrupt_response: bool | None = None


Vad = Annotated[ServerVad | SemanticVad, Field(discriminator="type")]


class FunctionTool(Strict):
    type: Literal["function"]
    name: _Name
    description: _Text | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class NamedTool(Strict):
    type: Literal["function"]
    name: str


ToolChoice = Annotated[
    Annotated[Literal["auto", "none", "required"], Tag("string")]
    | Annotated[NamedTool, Tag("object")],
    Discriminator(json_kind),
]
_Tools = Annotated[list[FunctionTool], Field(max_length=128)]


class Input(Strict):
    format: _Format | None = None
    transcription: Transcription | None = None
    noise_reduction: NoiseReduction | None = None
    turn_detection: Vad | None = None


class VoiceId(Strict):
    id: str


class Output(Strict):
    format: _Format | None = None
    voice: (
        Annotated[
            Annotated[_Voice, Tag("string")] | Annotated[VoiceId, Tag("object")],
            Discriminator(json_kind),
        ]
        | None
    ) = None
    speed: Annotated[float, Field(ge=0.25, le=1.5)] | None = None


class Audio(Strict):
    input: Input | None = None
    output: Output | None = None


class TokenLimits(Strict):
    post_instructions: Annotated[int, Field(ge=0)] | None = None


class Retention(Strict):
    type: Literal["retention_ratio"]
    retention_ratio: Annotated[float, Field(ge=0, le=1)]
    token_limits: TokenLimits | None = None


class PromptTemplate(Strict):
    id: str
    version: str | None = None
    variables: dict[str, Any] | None = None


class Reasoning(Strict):
    effort: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None


_Modalities = Annotated[list[Literal["text", "audio"]], Field(min_length=1, max_length=2)]
_Include = list[Literal["item.input_audio_transcription.logprobs"]]


class Asked(Strict):
    """What a session and one response may both say."""

    instructions: _Text | None = None
    max_output_tokens: _MaxTokens | None = None
    output_modalities: _Modalities | None = None
    parallel_tool_calls: bool | None = None
    prompt: PromptTemplate | None = None
    reasoning: Reasoning | None = None
    tool_choice: ToolChoice | None = None
    tools: _Tools | None = None


class RealtimeSession(Asked):
    type: Literal["realtime"]
    model: str | None = None
    audio: Audio | None = None
    include: _Include | None = None
    tracing: Literal["auto"] | dict[str, Any] | None = None
    truncation: (
        Annotated[
            Annotated[Literal["auto", "disabled"], Tag("string")]
            | Annotated[Retention, Tag("object")],
            Discriminator(json_kind),
        ]
        | None
    ) = None


class InputAudio(Strict):
    input: Input | None = None


class TranscriptionSession(Strict):
    type: Literal["transcription"]
    audio: InputAudio | None = None
    include: _Include | None = None


GaSession = Annotated[RealtimeSession | TranscriptionSession, Field(discriminator="type")]


class ExpiresAfter(Strict):
    anchor: Literal["created_at"] | None = None
    seconds: Annotated[int, Field(ge=10, le=7200)] | None = None


class BetaSecret(Strict):
    expires_after: ExpiresAfter | None = None
    expires_at: ExpiresAfter | None = None


class BetaInput(Strict):
    client_secret: BetaSecret | None = None
    include: list[str] | None = None
    modalities: _Modalities | None = None
    input_audio_format: _BETA_FORMAT | None = None
    input_audio_noise_reduction: NoiseReduction | None = None
    input_audio_transcription: Transcription | None = None
    turn_detection: Vad | None = None


class BetaAsked(Strict):
    instructions: _Text | None = None
    max_response_output_tokens: _MaxTokens | None = None
    modalities: _Modalities | None = None
    output_audio_format: _BETA_FORMAT | None = None
    temperature: Annotated[float, Field(ge=0.6, le=1.2)] | None = None
    tool_choice: ToolChoice | None = None
    tools: _Tools | None = None
    voice: _Voice | None = None


class BetaSession(BetaAsked, BetaInput):
    model: str | None = None
    speed: Annotated[float, Field(ge=0.25, le=1.5)] | None = None
    tracing: Literal["auto"] | dict[str, Any] | None = None


# --- items


class Part(Strict):
    type: Literal[
        "input_text", "input_audio", "input_image", "output_text", "output_audio", "text", "audio"
    ]
    text: _Text | None = None
    transcript: _Text | None = None
    audio: str | None = None
    image_url: str | None = None
    detail: Literal["auto", "low", "high"] | None = None


_Status = Literal["completed", "incomplete", "in_progress"]


class Kept(Strict):
    id: _Id | None = None
    object: Literal["realtime.item"] | None = None
    status: _Status | None = None


class MessageItem(Kept):
    type: Literal["message"]
    role: Literal["user", "assistant", "system"]
    content: Annotated[list[Part], Field(min_length=1, max_length=128)]


class CallItem(Kept):
    type: Literal["function_call"]
    name: _Name
    arguments: _Text
    call_id: _CallId | None = None


class OutputItem(Kept):
    type: Literal["function_call_output"]
    call_id: _CallId
    output: _Text


class Reference(Strict):
    type: Literal["item_reference"]
    id: str


AnyItem = Annotated[MessageItem | CallItem | OutputItem, Field(discriminator="type")]
AnyInput = Annotated[MessageItem | CallItem | OutputItem | Reference, Field(discriminator="type")]


class OutputOnly(Strict):
    output: Output | None = None


class ResponseParams(Asked):
    audio: OutputOnly | None = None
    conversation: Literal["auto", "none"] | None = None
    input: Annotated[list[AnyInput], Field(max_length=256)] | None = None
    metadata: _Metadata | None = None


class BetaResponseParams(BetaAsked):
    conversation: Literal["auto", "none"] | None = None
    input: Annotated[list[AnyInput], Field(max_length=256)] | None = None
    metadata: _Metadata | None = None
    max_output_tokens: _MaxTokens | None = None


# --- events


class Event(Strict):
    # Built with the room, because events come on the event loop.
    model_config = ConfigDict(defer_build=False)

    type: str
    event_id: Annotated[str, Field(max_length=512)] | None = None


class SessionUpdate(Event):
    session: GaSession


class BetaSessionUpdate(Event):
    session: BetaSession


class BetaTranscriptionUpdate(Event):
    session: BetaInput


class Append(Event):
    audio: str


class CreateItem(Event):
    item: AnyItem
    previous_item_id: str | None = None


class OfItem(Event):
    item_id: str


class Truncate(Event):
    item_id: str
    content_index: Annotated[int, Field(ge=0)]
    audio_end_ms: Annotated[int, Field(ge=0)]


class CreateResponse(Event):
    response: ResponseParams | None = None


class BetaCreateResponse(Event):
    response: BetaResponseParams | None = None


class CancelResponse(Event):
    response_id: str | None = None


_BOTH: dict[str, type[Event]] = {
    "input_audio_buffer.append": Append,
    "input_audio_buffer.commit": Event,
    "input_audio_buffer.clear": Event,
    "conversation.item.create": CreateItem,
    "conversation.item.retrieve": OfItem,
    "conversation.item.truncate": Truncate,
    "conversation.item.delete": OfItem,
    "response.cancel": CancelResponse,
}
EVENTS: dict[str, type[Event]] = {
    "session.update": SessionUpdate, **_BOTH, "response.create": CreateResponse,
}  # fmt: skip
BETA_EVENTS: dict[str, type[Event]] = {
    "session.update": BetaSessionUpdate,
    "transcription_session.update": BetaTranscriptionUpdate,
    **_BOTH,
    "response.create": BetaCreateResponse,
}


# --- bodies over HTTP


class SecretRequest(Strict):
    expires_after: ExpiresAfter | None = None
    session: GaSession | None = None


class BetaSecretRequest(BetaSession):
    pass


class BetaTranscriptionRequest(BetaInput):
    pass
