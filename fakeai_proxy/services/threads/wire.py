"""The shapes of requests about threads, messages and runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from fakeai_proxy.services import assisting
from fakeai_proxy.services.assisting import TEXT_CHARS_MAX
from fakeai_proxy.services.wire import Metadata, Shape, json_kind

#: Messages that come with one request; a limit of ours.
MESSAGES_MAX = 1000
_ATTACHMENTS_MAX, _PARTS_MAX = 100, 100
#: platform.openai.com/docs/api-reference/runs: the least that a run may be limited to, in tokens.
_TOKENS_MIN = 256


class TextPart(Shape):
    type: Literal["text"]
    text: Annotated[str, Field(min_length=1, max_length=TEXT_CHARS_MAX)]


class ImageFile(Shape):
    file_id: str
    detail: Literal["auto", "low", "high"] | None = None


class ImageFilePart(Shape):
    type: Literal["image_file"]
    image_file: ImageFile


class ImageUrl(Shape):
    url: Annotated[str, Field(min_length=1)]
    detail: Literal["auto", "low", "high"] | None = None


class ImageUrlPart(Shape):
    type: Literal["image_url"]
    image_url: ImageUrl


Part = TextPart | ImageFilePart | ImageUrlPart
Content = Annotated[
    Annotated[str, Tag("string"), Field(max_length=TEXT_CHARS_MAX)]
    | Annotated[
        list[Annotated[Part, Field(discriminator="type")]],
        Tag("array"),
        Field(min_length=1, max_length=_PARTS_MAX),
    ],
    Discriminator(json_kind),
]


class SearchedIn(Shape):
    type: Literal["file_search"]


AttachedTo = assisting.CodeInterpreter | SearchedIn


class Attachment(Shape):
    file_id: str
    tools: list[Annotated[AttachedTo, Field(discriminator="type")]]


class CreateMessageRequest(Shape):
    role: Literal["user", "assistant"]
    content: Content
    attachments: Annotated[list[Attachment], Field(max_length=_ATTACHMENTS_MAX)] | None = None
    metadata: Metadata | None = None


Messages = Annotated[list[CreateMessageRequest], Field(max_length=MESSAGES_MAX)]


class ModifyRequest(Shape):
    """Of a message or a run."""

    metadata: Metadata | None = None


class ModifyThreadRequest(ModifyRequest):
    tool_resources: assisting.ToolResources | None = None


class CreateThreadRequest(ModifyThreadRequest):
    messages: Messages | None = None


class Truncation(Shape):
    type: Literal["auto", "last_messages"]
    last_messages: Annotated[int, Field(ge=1)] | None = None


class Named(Shape):
    name: str


class ChosenFunction(Shape):
    type: Literal["function"]
    function: Named


class ChosenCode(Shape):
    type: Literal["code_interpreter"]


class ChosenSearch(Shape):
    type: Literal["file_search"]


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("string")]
    | Annotated[
        Annotated[ChosenFunction | ChosenCode | ChosenSearch, Field(discriminator="type")],
        Tag("object"),
    ],
    Discriminator(json_kind),
]


class RunRequest(Shape):
    """What both ways to begin a run take."""

    assistant_id: str
    model: str | None = None
    instructions: Annotated[str, Field(max_length=TEXT_CHARS_MAX)] | None = None
    tools: assisting.Tools | None = None
    metadata: Metadata | None = None
    temperature: assisting.Temperature | None = None
    top_p: assisting.TopP | None = None
    stream: bool | None = None
    max_prompt_tokens: Annotated[int, Field(ge=_TOKENS_MIN)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=_TOKENS_MIN)] | None = None
    truncation_strategy: Truncation | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: assisting.ResponseFormat | None = None
    reasoning_effort: assisting.Effort | None = None


class CreateRunRequest(RunRequest):
    additional_instructions: Annotated[str, Field(max_length=TEXT_CHARS_MAX)] | None = None
    additional_messages: Messages | None = None


class CreateThreadAndRunRequest(RunRequest):
    thread: CreateThreadRequest | None = None
    tool_resources: assisting.ToolResources | None = None


class ToolOutput(Shape):
    tool_call_id: str | None = None
    output: Annotated[str, Field(max_length=1 << 20)] | None = None


class SubmitOutputsRequest(Shape):
    tool_outputs: Annotated[list[ToolOutput], Field(max_length=assisting.TOOLS_MAX)]
    stream: bool | None = None
