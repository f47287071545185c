"""The shapes of tools, and of the choice among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from fakeai_proxy.services.vector_stores.filters import Filter
from fakeai_proxy.services.vector_stores.wire import RankingOptions
from fakeai_proxy.services.wire import Shape, json_kind

_Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


class FunctionTool(Shape):
    type: Literal["function"]
    name: _Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class TextFormat(Shape):
    type: Literal["text"]


class GrammarFormat(Shape):
    type: Literal["grammar"]
    syntax: Literal["lark", "regex"]
    definition: str


class CustomTool(Shape):
    type: Literal["custom"]
    name: _Name
    description: str | None = None
    format: Annotated[TextFormat | GrammarFormat, Field(discriminator="type")] | None = None


class WebSearch(Shape):
    type: Literal[
        "web_search", "web_search_2025_08_26", "web_search_preview",
        "web_search_preview_2025_03_11",
    ]  # fmt: skip
    filters: dict[str, Any] | None = None
    search_context_size: Literal["low", "medium", "high"] | None = None
    user_location: dict[str, Any] | None = None


class FileSearch(Shape):
    type: Literal["file_search"]
    vector_store_ids: Annotated[list[str], Field(min_length=1)]
    max_num_results: Annotated[int, Field(ge=1, le=50)] | None = None
    filters: Filter | None = None
    ranking_options: RankingOptions | None = None


class AutoContainer(Shape):
    type: Literal["auto"]
    file_ids: list[str] | None = None


class CodeInterpreter(Shape):
    type: Literal["code_interpreter"]
    container: Annotated[
        Annotated[str, Tag("string")] | Annotated[AutoContainer, Tag("object")],
        Discriminator(json_kind),
    ]


class ImageGeneration(Shape):
    type: Literal["image_generation"]
    background: Literal["transparent", "opaque", "auto"] | None = None
    model: str | None = None
    output_compression: Annotated[int, Field(ge=0, le=100)] | None = None
    output_format: Literal["png", "webp", "jpeg"] | None = None
    partial_images: Annotated[int, Field(ge=0, le=3)] | None = None
    quality: Literal["low", "medium", "high", "auto"] | None = None
    size: Literal["1024x1024", "1024x1536", "1536x1024", "auto"] | None = None


class Mcp(Shape):
    type: Literal["mcp"]
    server_label: Annotated[str, Field(min_length=1)]
    allowed_tools: Any = None
    connector_id: str | None = None
    require_approval: Any = None
    server_description: str | None = None
    server_url: str | None = None
    tunnel_id: str | None = None

    @property
    def has_address(self) -> bool:
        return bool(self.server_url or self.connector_id or self.tunnel_id)


class Computer(Shape):
    type: Literal["computer"]


class ComputerPreview(Shape):
    type: Literal["computer_use_preview"]
    display_width: Annotated[int, Field(ge=1, le=16384)]
    display_height: Annotated[int, Field(ge=1, le=16384)]
    environment: Literal["windows", "mac", "linux", "ubuntu", "browser"]


class LocalShell(Shape):
    type: Literal["local_shell"]


class ShellEnvironment(Shape):
    type: Literal["local", "container_auto", "container_reference"]
    container_id: str | None = None


class Shell(Shape):
    """Run by the client, or by the vendor in a container."""

    type: Literal["shell"]
    environment: ShellEnvironment | None = None

    @property
    def is_hosted(self) -> bool:
        return self.environment is not None and self.environment.type != "local"


class ApplyPatch(Shape):
    type: Literal["apply_patch"]


class Namespace(Shape):
    type: Literal["namespace"]
    name: _Name
    description: str
    tools: Annotated[
        list[Annotated[FunctionTool | CustomTool, Field(discriminator="type")]],
        Field(min_length=1, max_length=128),
    ]


class Elsewhere(Shape):
    """Ways to tools that are offered beside them and work without being called."""

    type: Literal["tool_search", "programmatic_tool_calling"]


Tool = (
    FunctionTool
    | CustomTool
    | WebSearch
    | FileSearch
    | CodeInterpreter
    | ImageGeneration
    | Mcp
    | Computer
    | ComputerPreview
    | LocalShell
    | Shell
    | ApplyPatch
    | Namespace
    | Elsewhere
)
#: What a client carries out on its own machine.
OnClient = Computer | ComputerPreview | LocalShell | ApplyPatch
Tools = Annotated[list[Annotated[Tool, Field(discriminator="type")]], Field(max_length=128)]


class NamedFunction(Shape):
    type: Literal["function"]
    name: str


class NamedCustom(Shape):
    type: Literal["custom"]
    name: str


class NamedMcp(Shape):
    type: Literal["mcp"]
    server_label: str
    name: str | None = None


class NamedBuiltIn(Shape):
    type: Literal[
        "file_search", "web_search", "web_search_2025_08_26", "web_search_preview",
        "web_search_preview_2025_03_11", "image_generation", "code_interpreter", "computer",
        "computer_use", "computer_use_preview", "apply_patch", "shell", "local_shell",
        "programmatic_tool_calling",
    ]  # fmt: skip


NamedTool = NamedFunction | NamedCustom | NamedMcp | NamedBuiltIn


class AllowedTools(Shape):
    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Annotated[list[Annotated[NamedTool, Field(discriminator="type")]], Field(min_length=1)]


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("string")]
    | Annotated[
        Annotated[NamedTool | AllowedTools, Field(discriminator="type")],
        Tag("object"),
    ],
    Discriminator(json_kind),
]


def is_named(tool: Tool, choice: NamedTool) -> bool:
    """Whether `choice` means `tool`."""
    if isinstance(choice, NamedMcp):
        return isinstance(tool, Mcp) and tool.server_label == choice.server_label
    if isinstance(tool, Computer | ComputerPreview):
        return choice.type in ("computer", "computer_use", "computer_use_preview")
    if tool.type != choice.type:
        return isinstance(tool, WebSearch) and choice.type.startswith("web_search")
    return isinstance(choice, NamedBuiltIn) or getattr(tool, "name", None) == choice.name


def each(offered: Sequence[Tool] | None) -> Iterator[tuple[Tool, str]]:
    """Every tool with the path to it, those in namespaces by themselves."""
    for k, tool in enumerate(offered or ()):
        if isinstance(tool, Namespace):
            yield from ((inner, f"tools[{k}].tools[{j}]") for j, inner in enumerate(tool.tools))
        else:
            yield tool, f"tools[{k}]"
