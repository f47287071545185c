"""The shapes of evals and their runs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from fakeai_proxy.services.graders.wire import (
    LabelModel,
    PythonCode,
    ScoreModel,
    StringCheck,
    TextSimilarity,
)
from fakeai_proxy.services.wire import Metadata, Shape

#: Rows that come in a request; more come as a file.
CONTENT_MAX = 10_000


class CustomConfig(Shape):
    type: Literal["custom"]
    item_schema: dict[str, Any]
    include_sample_schema: bool | None = None


class LogsConfig(Shape):
    type: Literal["logs"]
    metadata: dict[str, Any] | None = None


class StoredConfig(Shape):
    type: Literal["stored_completions"]
    metadata: dict[str, Any] | None = None


Criterion = Annotated[
    LabelModel | StringCheck | TextSimilarity | PythonCode | ScoreModel,
    Field(discriminator="type"),
]


class CreateEvalRequest(Shape):
    name: Annotated[str, Field(max_length=512)] | None = None
    metadata: Metadata | None = None
    data_source_config: Annotated[
        CustomConfig | LogsConfig | StoredConfig, Field(discriminator="type")
    ]
    testing_criteria: Annotated[list[Criterion], Field(min_length=1, max_length=64)]


class UpdateEvalRequest(Shape):
    name: Annotated[str, Field(max_length=512)] | None = None
    metadata: Metadata | None = None


# --- runs -------------------------------------------------------------------------------------------


class Datum(Shape):
    item: dict[str, Any]
    sample: dict[str, Any] | None = None


class FileContent(Shape):
    type: Literal["file_content"]
    content: Annotated[list[Datum], Field(min_length=1, max_length=CONTENT_MAX)]


class FileId(Shape):
    type: Literal["file_id"]
    id: str


class StoredCompletions(Shape):
    type: Literal["stored_completions"]
    metadata: dict[str, str] | None = None
    model: str | None = None
    created_after: int | None = None
    created_before: int | None = None
    limit: Annotated[int, Field(ge=1, le=CONTENT_MAX)] | None = None


class StoredResponses(Shape):
    type: Literal["responses"]
    metadata: dict[str, Any] | None = None
    model: str | None = None
    instructions_search: str | None = None
    created_after: int | None = None
    created_before: int | None = None


class TemplateMessage(Shape):
    role: Literal["user", "assistant", "system", "developer"]
    content: str | dict[str, Any] | list[str | dict[str, Any]]


class Template(Shape):
    type: Literal["template"]
    template: Annotated[list[TemplateMessage], Field(min_length=1, max_length=256)]


class ItemReference(Shape):
    type: Literal["item_reference"]
    item_reference: str


_Inputs = Annotated[Template | ItemReference, Field(discriminator="type")]


class SamplingParams(Shape):
    """What else is asked for, as the endpoint has it."""

    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    max_completion_tokens: int | None = None
    reasoning_effort: str | None = None
    tools: list[dict[str, Any]] | None = None
    response_format: dict[str, Any] | None = None
    text: dict[str, Any] | None = None


class JsonlSource(Shape):
    type: Literal["jsonl"]
    source: Annotated[FileContent | FileId, Field(discriminator="type")]


class CompletionsSource(Shape):
    type: Literal["completions"]
    source: Annotated[FileContent | FileId | StoredCompletions, Field(discriminator="type")]
    input_messages: _Inputs | None = None
    model: str | None = None
    sampling_params: SamplingParams | None = None


class ResponsesSource(Shape):
    type: Literal["responses"]
    source: Annotated[FileContent | FileId | StoredResponses, Field(discriminator="type")]
    input_messages: _Inputs | None = None
    model: str | None = None
    sampling_params: SamplingParams | None = None


DataSource = Annotated[
    JsonlSource | CompletionsSource | ResponsesSource, Field(discriminator="type")
]


class CreateRunRequest(Shape):
    name: Annotated[str, Field(max_length=512)] | None = None
    metadata: Metadata | None = None
    data_source: DataSource
