"""The shapes of a request in Anthropic's Messages API.

Unknown fields are refused everywhere, as the vendor does; what betas add is accepted. Discriminators
are named as the vendor names them, because its complaints do: `messages.0.content.1.image.source`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag

from fakeai_proxy.services.wire import Shape


class Exact(Shape):
    model_config = ConfigDict(extra="forbid")


def _kind(value: object) -> str:
    """Which of the two forms that many fields have."""
    return "string" if isinstance(value, str) else "array"


def _one_or_many(items: Any) -> Any:
    """A string, or a list of `items`."""
    return Annotated[
        Annotated[str, Tag("string")] | Annotated[list[items], Tag("array")], Discriminator(_kind)
    ]


class CacheControl(Exact):
    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] = "5m"
    scope: str | None = None


class Block(Exact):
    cache_control: CacheControl | None = None


class TextBlock(Block):
    type: Literal["text"]
    text: str
    citations: list[dict[str, Any]] | None = None


class Base64Image(Exact):
    type: Literal["base64"]
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: str


class UrlSource(Exact):
    type: Literal["url"]
    url: str


class FileSource(Exact):
    type: Literal["file"]
    file_id: str


class ImageBlock(Block):
    type: Literal["image"]
    source: Annotated[Base64Image | UrlSource | FileSource, Field(discriminator="type")]
    transformations: dict[str, Any] | None = None


class Base64Pdf(Exact):
    type: Literal["base64"]
    media_type: Literal["application/pdf"]
    data: str


class PlainText(Exact):
    type: Literal["text"]
    media_type: Literal["text/plain"]
    data: str


_Shown = Annotated[TextBlock | ImageBlock, Field(discriminator="type")]


class ContentSource(Exact):
    type: Literal["content"]
    content: _one_or_many(_Shown)  # type: ignore[valid-type]  # made by a function


class CitationsConfig(Exact):
    enabled: bool | None = None


class DocumentBlock(Block):
    type: Literal["document"]
    source: Annotated[
        Base64Pdf | PlainText | ContentSource | UrlSource | FileSource, Field(discriminator="type")
    ]
    citations: CitationsConfig | None = None
    context: str | None = None
    title: str | None = None


class SearchResultBlock(Block):
    type: Literal["search_result"]
    content: list[TextBlock]
    source: str
    title: str
    citations: CitationsConfig | None = None


class ThinkingBlock(Exact):
    type: Literal["thinking"]
    thinking: str
    signature: str


class RedactedThinkingBlock(Exact):
    type: Literal["redacted_thinking"]
    data: str


_ToolId = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]+$")]


class ToolUseBlock(Block):
    type: Literal["tool_use"]
    id: _ToolId
    name: Annotated[str, Field(min_length=1, max_length=200)]
    input: dict[str, Any]
    caller: dict[str, Any] | None = None
    toolset_name: str | None = None


class ToolReferenceBlock(Block):
    type: Literal["tool_reference"]
    tool_name: str


_Result = Annotated[
    TextBlock | ImageBlock | SearchResultBlock | DocumentBlock | ToolReferenceBlock,
    Field(discriminator="type"),
]


class ToolResultBlock(Block):
    type: Literal["tool_result"]
    tool_use_id: _ToolId
    content: _one_or_many(_Result) | None = None  # type: ignore[valid-type]  # made by a function
    is_error: bool | None = None
    toolset_name: str | None = None


class ServerBlock(Shape):
    """What the vendor's own tools were asked and found, said again by the client."""

    type: Literal[
        "server_tool_use", "web_search_tool_result", "web_fetch_tool_result",
        "code_execution_tool_result", "bash_code_execution_tool_result",
        "text_editor_code_execution_tool_result", "tool_search_tool_result", "container_upload",
        "mcp_tool_use", "mcp_tool_result", "compaction",
    ]  # fmt: skip


Content = (
    TextBlock | ImageBlock | DocumentBlock | SearchResultBlock | ThinkingBlock
    | RedactedThinkingBlock | ToolUseBlock | ToolResultBlock | ServerBlock
)  # fmt: skip


class Message(Exact):
    role: Literal["user", "assistant", "system"]
    content: _one_or_many(Annotated[Content, Field(discriminator="type")])  # type: ignore[valid-type]  # made by a function

    @property
    def blocks(self) -> Sequence[Content]:
        return blocks_of(self.content)


class InputSchema(Shape):
    type: Literal["object"]
    properties: dict[str, Any] | None = None
    required: list[str] | None = None


class CustomTool(Exact):
    type: Literal["custom"] | None = None
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")]
    description: str | None = None
    input_schema: InputSchema
    cache_control: CacheControl | None = None
    strict: bool | None = None
    allowed_callers: list[str] | None = None
    defer_loading: bool | None = None
    eager_input_streaming: bool | None = None
    input_examples: list[dict[str, Any]] | None = None


class VendorTool(Shape):
    """A tool that the vendor has defined: bash, an editor, web search ..."""

    type: Annotated[
        str,
        Field(
            pattern=r"^(bash|browser_toolset|code_execution|computer|computer_toolset|mcp_toolset|memory"
            r"|text_editor|tool_search_tool_(bm25|regex)|web_fetch|web_search|advisor)(_\d{8})?$"
        ),
    ]
    name: str | None = None
    cache_control: CacheControl | None = None
    max_uses: Annotated[int, Field(ge=1)] | None = None
    allowed_domains: list[str] | None = None
    blocked_domains: list[str] | None = None

    @property
    def kind(self) -> str:
        """Without its version."""
        return self.type.rstrip("0123456789").removesuffix("_")

    @property
    def blocked(self) -> Sequence[str]:
        return self.blocked_domains or ()


def _whose(value: object) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return "custom" if kind is None or kind == "custom" else "vendor"


Tool = Annotated[
    Annotated[CustomTool, Tag("custom")] | Annotated[VendorTool, Tag("vendor")],
    Discriminator(_whose),
]


class AutoChoice(Exact):
    type: Literal["auto"]
    disable_parallel_tool_use: bool | None = None


class AnyChoice(Exact):
    type: Literal["any"]
    disable_parallel_tool_use: bool | None = None


class ToolChoice(Exact):
    type: Literal["tool"]
    name: str
    disable_parallel_tool_use: bool | None = None


class NoChoice(Exact):
    type: Literal["none"]


_Display = Literal["summarized", "omitted"]


class ManualThinking(Exact):
    type: Literal["enabled"]
    budget_tokens: Annotated[int, Field(ge=1024)]
    display: _Display | None = None


class AdaptiveThinking(Exact):
    type: Literal["adaptive"]
    display: _Display | None = None


class NoThinking(Exact):
    type: Literal["disabled"]


class ThinkingBetweenTools(Exact):
    type: Literal["between_tools"]


class JsonFormat(Exact):
    type: Literal["json_schema"]
    schema_: Annotated[dict[str, Any], Field(alias="schema")]


class OutputConfig(Exact):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: JsonFormat | None = None
    task_budget: dict[str, Any] | None = None


class Metadata(Exact):
    user_id: Annotated[str, Field(max_length=256)] | None = None


class Asking(Exact):
    """What is counted: all that the model reads."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    messages: Annotated[list[Message], Field(max_length=100_000)]
    system: _one_or_many(TextBlock) | None = None  # type: ignore[valid-type]  # made by a function
    tools: list[Tool] | None = None
    tool_choice: (
        Annotated[
            AutoChoice | AnyChoice | ToolChoice | NoChoice, Field(discriminator="type")
        ]
        | None
    ) = None  # fmt: skip
    thinking: (
        Annotated[
            ManualThinking | AdaptiveThinking | NoThinking | ThinkingBetweenTools,
            Field(discriminator="type"),
        ]
        | None
    ) = None
    output_config: OutputConfig | None = None
    #: The beta's name for `output_config.format`.
    output_format: JsonFormat | None = None
    cache_control: CacheControl | None = None
    context_management: dict[str, Any] | None = None
    mcp_servers: list[dict[str, Any]] | None = None
    speed: Literal["standard", "fast"] | None = None
    user_profile_id: str | None = None
    workspace_id: str | None = None
    #: A beta that this server has not; a client that is told so sends whole conversations.
    thread: Any = None
    #: Of betas, which change nothing here.
    billing_policy: Any = None
    compaction: Any = None
    fallback_credit_token: Any = None
    fallbacks: Any = None

    @property
    def schema_asked(self) -> dict[str, Any] | None:
        form = self.output_config.format if self.output_config is not None else None
        form = form or self.output_format
        return None if form is None else form.schema_


class MessagesRequest(Asking):
    max_tokens: Annotated[int, Field(ge=1)]
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None
    metadata: Metadata | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    container: str | dict[str, Any] | None = None
    diagnostics: dict[str, Any] | None = None
    inference_geo: str | None = None


def blocks_of(content: Any) -> Sequence[Any]:
    """A string is shorthand for one block of text, and nothing for none."""
    if content is None:
        return ()
    if isinstance(content, str):
        return (TextBlock(type="text", text=content),)
    return list(content)


def text_of(content: Any) -> str:
    """The text in a content, its blocks joined by line breaks."""
    if isinstance(content, str):
        return content
    return "\n".join([block.text for block in blocks_of(content) if isinstance(block, TextBlock)])
