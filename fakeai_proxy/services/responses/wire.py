"""The shapes of requests."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from fakeai_proxy.services.items.shapes import Input
from fakeai_proxy.services.responses.tools import ToolChoice, Tools
from fakeai_proxy.services.wire import Metadata, Shape, json_kind

Include = Literal[
    "file_search_call.results", "web_search_call.results", "web_search_call.action.sources",
    "message.input_image.image_url", "computer_call_output.output.image_url",
    "code_interpreter_call.outputs", "reasoning.encrypted_content", "message.output_text.logprobs",
]  # fmt: skip


class TextFormat(Shape):
    type: Literal["text"]


class ObjectFormat(Shape):
    type: Literal["json_object"]


class SchemaFormat(Shape):
    type: Literal["json_schema"]
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    schema_: dict[str, Any] = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


class Text(Shape):
    format: (
        Annotated[TextFormat | ObjectFormat | SchemaFormat, Field(discriminator="type")] | None
    ) = None
    verbosity: Literal["low", "medium", "high"] | None = None


class Reasoning(Shape):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None


class StreamOptions(Shape):
    include_obfuscation: bool | None = None


class PromptTemplate(Shape):
    id: str
    version: str | None = None
    variables: dict[str, Any] | None = None


class ConversationId(Shape):
    id: str


_Conversation = Annotated[
    Annotated[str, Tag("string")] | Annotated[ConversationId, Tag("object")],
    Discriminator(json_kind),
]


class Prompted(Shape):
    """What the prompt of a request is made of."""

    model: str | None = None
    conversation: _Conversation | None = None
    input: Input | None = None
    instructions: str | None = None
    parallel_tool_calls: bool | None = None
    previous_response_id: str | None = None
    reasoning: Reasoning | None = None
    text: Text | None = None
    tool_choice: ToolChoice | None = None
    tools: Tools | None = None
    truncation: Literal["auto", "disabled"] | None = None


class CountRequest(Prompted):
    personality: str | None = None


class CompactRequest(Shape):
    model: str | None = None
    input: Input | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: Literal["in-memory", "in_memory", "24h"] | None = None
    service_tier: str | None = None


#: Parameters that only servers of one's own know and that mean nothing to a synthesized answer:
#: accepted, except where parameters are strict.
EXTRAS = frozenset(
    ("enable_response_messages", "min_p", "mm_processor_kwargs", "nvext", "repetition_penalty",
     "request_id", "seed", "skip_special_tokens", "stop", "top_k", "vllm_xargs")
)  # fmt: skip
#: The same servers' parameters that an answer, or the engine behind it, honours.
HONOURED_EXTRAS = frozenset(("cache_salt", "ignore_eos", "min_tokens", "priority"))


class ResponseRequest(Prompted):
    background: bool | None = None
    cache_salt: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    context_management: list[dict[str, Any]] | None = None
    ignore_eos: bool | None = None
    include: list[Include] | None = None
    max_output_tokens: Annotated[int, Field(ge=16)] | None = None
    max_tool_calls: Annotated[int, Field(ge=1)] | None = None
    metadata: Metadata | None = None
    min_tokens: Annotated[int, Field(ge=0)] | None = None
    moderation: dict[str, Any] | None = None
    priority: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    prompt: PromptTemplate | None = None
    prompt_cache_key: Annotated[str, Field(max_length=1024)] | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: Literal["in-memory", "in_memory", "24h"] | None = None
    safety_identifier: Annotated[str, Field(max_length=64)] | None = None
    service_tier: (
        Literal["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"] | None
    ) = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    user: str | None = None

    @property
    def stored(self) -> bool:
        return self.store is not False

    def includes(self, what: Include) -> bool:
        return what in (self.include or ())

    @property
    def summary(self) -> str | None:
        reasoning = self.reasoning
        return (reasoning.summary or reasoning.generate_summary) if reasoning else None
