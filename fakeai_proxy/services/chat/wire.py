"""The shapes of a chat request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from fakeai_proxy.services import extras
from fakeai_proxy.services.wire import Shape, json_kind

_Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
_INT64_MAX = 2**63 - 1

#: Parameters of the vLLM and NIM family that mean nothing to a synthesized answer: accepted, except
#: where parameters are strict.
EXTRAS = extras.ACCEPTED | {
    "add_generation_prompt", "add_special_tokens", "best_of", "chat_template", "chat_template_kwargs",
    "continue_final_message", "documents", "echo", "mm_processor_kwargs", "prompt_logprobs",
    "return_token_ids", "separate_reasoning", "truncate_prompt_tokens",
}  # fmt: skip
#: The same family's parameters that an answer, or the engine behind it, honours.
HONOURED_EXTRAS = extras.GUIDING | {"cache_salt", "ignore_eos", "min_tokens", "nvext", "priority"}


class TextPart(Shape):
    type: Literal["text"]
    text: str


class RefusalPart(Shape):
    type: Literal["refusal"]
    refusal: str


class ImageUrl(Shape):
    url: str
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImagePart(Shape):
    type: Literal["image_url"]
    image_url: ImageUrl


class InputAudio(Shape):
    data: str
    format: Literal["wav", "mp3"]


class AudioPart(Shape):
    type: Literal["input_audio"]
    input_audio: InputAudio


class FileData(Shape):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(Shape):
    type: Literal["file"]
    file: FileData


Part = TextPart | RefusalPart | ImagePart | AudioPart | FilePart

_Content = Annotated[
    Annotated[str, Tag("string")]
    | Annotated[
        list[Annotated[Part, Field(discriminator="type")]], Tag("array"), Field(min_length=1)
    ],
    Discriminator(json_kind),
]


class CalledFunction(Shape):
    name: str
    arguments: str


class CalledCustom(Shape):
    name: str
    input: str


class FunctionCall(Shape):
    id: str
    type: Literal["function"]
    function: CalledFunction


class CustomCall(Shape):
    id: str
    type: Literal["custom"]
    custom: CalledCustom


class SystemMessage(Shape):
    role: Literal["system"]
    content: _Content
    name: str | None = None


class DeveloperMessage(Shape):
    role: Literal["developer"]
    content: _Content
    name: str | None = None


class UserMessage(Shape):
    role: Literal["user"]
    content: _Content
    name: str | None = None


class SaidAudio(Shape):
    id: str


class AssistantMessage(Shape):
    role: Literal["assistant"]
    content: _Content | None = None
    name: str | None = None
    refusal: str | None = None
    audio: SaidAudio | None = None
    tool_calls: (
        Annotated[
            list[Annotated[FunctionCall | CustomCall, Field(discriminator="type")]],
            Field(min_length=1),
        ]
        | None
    ) = None
    function_call: CalledFunction | None = None


class ToolMessage(Shape):
    role: Literal["tool"]
    content: _Content
    tool_call_id: str


class FunctionMessage(Shape):
    role: Literal["function"]
    content: str | None = None
    name: str


Message = (
    SystemMessage
    | AssistantMessage
    | UserMessage
    | FunctionMessage
    | ToolMessage
    | DeveloperMessage
)


class Function(Shape):
    name: _Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(Shape):
    type: Literal["function"]
    function: Function


class Grammar(Shape):
    syntax: Literal["lark", "regex"]
    definition: str


class TextFormat(Shape):
    type: Literal["text"]


class GrammarFormat(Shape):
    type: Literal["grammar"]
    grammar: Grammar


class Custom(Shape):
    name: _Name
    description: str | None = None
    format: Annotated[TextFormat | GrammarFormat, Field(discriminator="type")] | None = None


class CustomTool(Shape):
    type: Literal["custom"]
    custom: Custom


Tool = FunctionTool | CustomTool


class Named(Shape):
    name: str


class NamedFunction(Shape):
    type: Literal["function"]
    function: Named


class NamedCustom(Shape):
    type: Literal["custom"]
    custom: Named


NamedTool = NamedFunction | NamedCustom


class AllowedTools(Shape):
    mode: Literal["auto", "required"]
    tools: Annotated[list[Annotated[NamedTool, Field(discriminator="type")]], Field(min_length=1)]


class AllowedChoice(Shape):
    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


_ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("string")]
    | Annotated[
        Annotated[NamedFunction | NamedCustom | AllowedChoice, Field(discriminator="type")],
        Tag("object"),
    ],
    Discriminator(json_kind),
]
_FunctionChoice = Annotated[
    Annotated[Literal["none", "auto"], Tag("string")] | Annotated[Named, Tag("object")],
    Discriminator(json_kind),
]


class JsonSchema(Shape):
    name: _Name
    description: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None


class TextResponse(Shape):
    type: Literal["text"]


class ObjectResponse(Shape):
    type: Literal["json_object"]


class SchemaResponse(Shape):
    type: Literal["json_schema"]
    json_schema: JsonSchema


class Prediction(Shape):
    type: Literal["content"]
    content: _Content


class VoiceId(Shape):
    id: str


class AudioOutput(Shape):
    format: Literal["wav", "aac", "mp3", "flac", "opus", "pcm16"]
    voice: Annotated[
        Annotated[
            Literal[
                "alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer",
                "verse", "marin", "cedar",
            ],
            Tag("string"),
        ]
        | Annotated[VoiceId, Tag("object")],
        Discriminator(json_kind),
    ]  # fmt: skip


class Place(Shape):
    city: str | None = None
    country: str | None = None
    region: str | None = None
    timezone: str | None = None


class UserLocation(Shape):
    type: Literal["approximate"]
    approximate: Place


class WebSearchOptions(Shape):
    search_context_size: Literal["low", "medium", "high"] | None = None
    user_location: UserLocation | None = None


class CacheOptions(Shape):
    mode: Literal["implicit", "explicit"] | None = None
    ttl: Literal["30m"] | None = None


class ModerationMode(Shape):
    mode: Literal["score", "block"]


class ModerationPolicy(Shape):
    input: ModerationMode | None = None
    output: ModerationMode | None = None


class Moderation(Shape):
    model: str
    policy: ModerationPolicy | None = None


_Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(max_length=16),
]


class MetadataRequest(Shape):
    metadata: _Metadata | None


_Stop = Annotated[
    Annotated[str, Tag("string"), Field(min_length=1)]
    | Annotated[list[Annotated[str, Field(min_length=1)]], Tag("array"), Field(max_length=4)],
    Discriminator(json_kind),
]
_Tokens = Annotated[int, Field(ge=1)]
_Penalty = Annotated[float, Field(ge=-2, le=2)]


class ChatRequest(extras.Guided):
    messages: Annotated[list[Annotated[Message, Field(discriminator="role")]], Field(min_length=1)]
    model: str | None = None
    audio: AudioOutput | None = None
    cache_salt: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    frequency_penalty: _Penalty | None = None
    function_call: _FunctionChoice | None = None
    functions: Annotated[list[Function], Field(min_length=1, max_length=128)] | None = None
    ignore_eos: bool | None = None
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    logprobs: bool | None = None
    max_completion_tokens: _Tokens | None = None
    max_tokens: _Tokens | None = None
    metadata: _Metadata | None = None
    min_tokens: Annotated[int, Field(ge=0)] | None = None
    modalities: Annotated[list[Literal["text", "audio"]], Field(min_length=1)] | None = None
    moderation: Moderation | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    nvext: extras.Nvext | None = None
    parallel_tool_calls: bool | None = None
    prediction: Prediction | None = None
    presence_penalty: _Penalty | None = None
    priority: Annotated[int, Field(ge=-_INT64_MAX - 1, le=_INT64_MAX)] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: CacheOptions | None = None
    prompt_cache_retention: Literal["in-memory", "in_memory", "24h"] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = (
        None
    )
    response_format: (
        Annotated[TextResponse | ObjectResponse | SchemaResponse, Field(discriminator="type")]
        | None
    ) = None
    safety_identifier: Annotated[str, Field(max_length=128)] | None = None
    seed: Annotated[int, Field(ge=-_INT64_MAX - 1, le=_INT64_MAX)] | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    stop: _Stop | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: extras.StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    tool_choice: _ToolChoice | None = None
    tools: (
        Annotated[
            list[Annotated[Tool, Field(discriminator="type")]], Field(min_length=1, max_length=128)
        ]
        | None
    ) = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    user: str | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    web_search_options: WebSearchOptions | None = None


def text_of(content: str | Sequence[Part] | None) -> str:
    """The text in a content, its parts joined by line breaks."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    return "\n".join([part.text for part in content if isinstance(part, TextPart)])
