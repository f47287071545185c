"""The shapes of graders, which fine-tuning and evals have in common."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from fakeai_proxy.services.wire import Shape

Metric = Literal[
    "cosine", "fuzzy_match", "bleu", "gleu", "meteor", "rouge_1", "rouge_2", "rouge_3", "rouge_4",
    "rouge_5", "rouge_l",
]  # fmt: skip
Role = Literal["user", "assistant", "system", "developer"]
_Name = Annotated[str, Field(min_length=1, max_length=256)]


class StringCheck(Shape):
    type: Literal["string_check"]
    name: _Name
    input: str
    reference: str
    operation: Literal["eq", "ne", "like", "ilike"]


class TextSimilarity(Shape):
    type: Literal["text_similarity"]
    name: _Name
    input: str
    reference: str
    evaluation_metric: Metric
    pass_threshold: float | None = None


class PythonCode(Shape):
    type: Literal["python"]
    name: _Name
    source: Annotated[str, Field(max_length=256 << 10)]
    image_tag: str | None = None
    pass_threshold: float | None = None


class Said(Shape):
    """A message with templates in it. `content` is a text, a part, or parts."""

    role: Role
    content: str | dict[str, Any] | list[str | dict[str, Any]]
    type: Literal["message"] | None = None


class Sampling(Shape):
    max_completions_tokens: Annotated[int, Field(ge=1)] | None = None
    reasoning_effort: str | None = None
    seed: int | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None


_Messages = Annotated[list[Said], Field(min_length=1, max_length=256)]


class ScoreModel(Shape):
    type: Literal["score_model"]
    name: _Name
    model: str
    input: _Messages
    range: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    sampling_params: Sampling | None = None
    pass_threshold: float | None = None


class LabelModel(Shape):
    type: Literal["label_model"]
    name: _Name
    model: str
    input: _Messages
    labels: Annotated[list[str], Field(min_length=1, max_length=256)]
    passing_labels: list[str]


Plain = StringCheck | TextSimilarity | PythonCode | ScoreModel | LabelModel
_Tagged = Annotated[Plain, Field(discriminator="type")]


class Multi(Shape):
    """`graders` come by name, as a list, or alone: guides, examples and schema differ."""

    type: Literal["multi"]
    name: _Name
    graders: _Tagged | list[_Tagged] | dict[str, _Tagged]
    calculate_output: Annotated[str, Field(max_length=4096)]


Grader = Plain | Multi
AnyGrader = Annotated[Grader, Field(discriminator="type")]
