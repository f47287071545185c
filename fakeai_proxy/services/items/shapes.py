"""The shapes of input items."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from fakeai_proxy.services.items.tool_shapes import CallId, Status, ToolItem
from fakeai_proxy.services.wire import Shape, json_kind


class InputText(Shape):
    type: Literal["input_text"]
    text: str


class InputImage(Shape):
    type: Literal["input_image"]
    detail: Literal["low", "high", "auto", "original"] | None = None
    file_id: str | None = None
    image_url: str | None = None


class InputFile(Shape):
    type: Literal["input_file"]
    file_data: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    filename: str | None = None


class InputAudioData(Shape):
    data: str
    format: Literal["wav", "mp3"]


class InputAudio(Shape):
    type: Literal["input_audio"]
    input_audio: InputAudioData


class OutputText(Shape):
    type: Literal["output_text"]
    text: str
    annotations: list[dict[str, Any]] | None = None


class Refusal(Shape):
    type: Literal["refusal"]
    refusal: str


_Part = Annotated[
    InputText | InputImage | OutputText | Refusal | InputFile | InputAudio,
    Field(discriminator="type"),
]
_Content = Annotated[
    Annotated[str, Tag("string")]
    | Annotated[list[_Part], Tag("array"), Field(min_length=1, max_length=2048)],
    Discriminator(json_kind),
]


class Message(Shape):
    type: Literal["message"]
    role: Literal["assistant", "system", "developer", "user"]
    content: _Content
    id: str | None = None
    phase: Literal["commentary", "final_answer"] | None = None
    status: Status | None = None


class FunctionCall(Shape):
    type: Literal["function_call"]
    call_id: CallId
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")]
    arguments: str
    id: str | None = None
    namespace: str | None = None
    status: Status | None = None


class CustomToolCall(Shape):
    type: Literal["custom_tool_call"]
    call_id: CallId
    name: str
    input: str
    id: str | None = None


class FunctionCallOutput(Shape):
    type: Literal["function_call_output"]
    call_id: CallId
    output: _Content
    id: str | None = None
    status: Status | None = None


class CustomToolCallOutput(Shape):
    type: Literal["custom_tool_call_output"]
    call_id: CallId
    output: _Content
    id: str | None = None


class Summary(Shape):
    type: Literal["summary_text"]
    text: str


class Reasoning(Shape):
    type: Literal["reasoning"]
    summary: list[Summary]
    id: str | None = None
    content: list[dict[str, Any]] | None = None
    encrypted_content: str | None = None
    status: Status | None = None


class ItemReference(Shape):
    type: Literal["item_reference"]
    id: Annotated[str, Field(min_length=1)]


class Compaction(Shape):
    type: Literal["compaction"]
    encrypted_content: Annotated[str, Field(max_length=20_971_520)]
    id: str | None = None


_Item = Annotated[
    Message
    | FunctionCall
    | FunctionCallOutput
    | CustomToolCall
    | CustomToolCallOutput
    | Reasoning
    | ItemReference
    | Compaction
    | ToolItem,
    Field(discriminator="type"),
]


def _typed(value: object) -> object:
    """Messages and references may leave out what they are."""
    if not isinstance(value, list):
        return value
    return [
        {**item, "type": "item_reference" if "role" not in item and "id" in item else "message"}
        if isinstance(item, dict) and item.get("type") is None
        else item
        for item in value
    ]


Items = Annotated[list[_Item], BeforeValidator(_typed)]
Input = Annotated[
    Annotated[str, Tag("string"), Field(max_length=10_485_760)]
    | Annotated[list[_Item], Field(min_length=1), BeforeValidator(_typed), Tag("array")],
    Discriminator(json_kind),
]
