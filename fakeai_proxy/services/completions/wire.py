"""The shape of a completion request."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from fakeai_proxy.services import extras
from fakeai_proxy.services.wire import Shape

_INT64_MAX = 2**63 - 1
#: OpenAI's limits are lower; what vLLM allows is the limit of the shape.
LOGPROBS_MAX, HOSTED_LOGPROBS_MAX = 20, 5

#: Parameters of the vLLM and NIM family that mean nothing to a synthesized answer: accepted, except
#: where parameters are strict.
EXTRAS = extras.ACCEPTED | {"mm_processor_kwargs"}
#: The same family's parameters that an answer, or the engine behind it, honours.
HONOURED_EXTRAS = extras.GUIDING | {
    "add_special_tokens", "cache_salt", "ignore_eos", "min_tokens", "nvext", "priority",
    "prompt_logprobs", "response_format", "return_token_ids", "truncate_prompt_tokens",
}  # fmt: skip


def _kind(value: object) -> str:
    return "array" if isinstance(value, list | tuple) else "string"


_Stop = Annotated[
    Annotated[str, Tag("string"), Field(min_length=1)]
    | Annotated[list[Annotated[str, Field(min_length=1)]], Tag("array"), Field(max_length=4)],
    Discriminator(_kind),
]
_Penalty = Annotated[float, Field(ge=-2, le=2)]
_Count = Annotated[int, Field(ge=0)]


class TextResponse(Shape):
    type: Literal["text", "json_object"]


class JsonSchema(Shape):
    schema_: dict[str, Any] = Field(default_factory=lambda: {"type": "object"}, alias="schema")


class SchemaResponse(Shape):
    type: Literal["json_schema"]
    json_schema: JsonSchema


class CompletionRequest(extras.Guided):
    """`prompt` is a text, token ids, or an array of either; `prompts.py` reads it."""

    model: str | None = None
    prompt: Any = None
    add_special_tokens: bool | None = None
    best_of: Annotated[int, Field(ge=1, le=20)] | None = None
    cache_salt: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    echo: bool | None = None
    frequency_penalty: _Penalty | None = None
    ignore_eos: bool | None = None
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    logprobs: Annotated[int, Field(ge=0, le=LOGPROBS_MAX)] | None = None
    max_tokens: _Count | None = None
    min_tokens: _Count | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    nvext: extras.Nvext | None = None
    presence_penalty: _Penalty | None = None
    priority: Annotated[int, Field(ge=-_INT64_MAX - 1, le=_INT64_MAX)] | None = None
    prompt_logprobs: Annotated[int, Field(ge=0, le=LOGPROBS_MAX)] | None = None
    response_format: (
        Annotated[TextResponse | SchemaResponse, Field(discriminator="type")] | None
    ) = None
    return_token_ids: bool | None = None
    seed: Annotated[int, Field(ge=-_INT64_MAX - 1, le=_INT64_MAX)] | None = None
    stop: _Stop | None = None
    stream: bool | None = None
    stream_options: extras.StreamOptions | None = None
    suffix: str | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    truncate_prompt_tokens: Annotated[int, Field(ge=-1)] | None = None
    user: str | None = None

    @property
    def answers(self) -> int:
        """Choices for each prompt."""
        return self.n or 1

    @property
    def candidates(self) -> int:
        """Answers that are made for each prompt; the best become choices."""
        return self.best_of or self.answers

    def guide(self) -> dict[str, Any]:
        guide = super().guide()
        form = self.response_format
        if guide or form is None or form.type == "text":
            return guide
        if isinstance(form, SchemaResponse):
            return {"json": form.json_schema.schema_}
        return {"json_object": True}
