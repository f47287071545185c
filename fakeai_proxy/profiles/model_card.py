"""One model as its vendor describes it: limits, what it takes and gives, what it can, what it costs."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fakeai_proxy.profiles.price import Price, Usage, bill

#: What it is for. `chat` models that are not OpenAI's own continue text and converse, too.
Kind = Literal[
    "chat", "completion", "embedding", "rerank", "speech", "transcription", "realtime", "image",
    "video", "moderation",
]  # fmt: skip
Modality = Literal["text", "image", "audio", "video", "file"]
#: What requests may ask of it, besides the kinds of input and output.
Ability = Literal[
    "streaming", "tools", "parallel_tools", "custom_tools", "structured_outputs", "json_mode",
    "predicted_outputs", "logprobs", "sampling", "stop", "caching", "fine_tuning", "web_search",
    "computer_use", "verbosity", "translation", "word_times", "diarization", "instructions",
]  # fmt: skip
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Vocabulary = Literal["cl100k_base", "o200k_base", "o200k_harmony", "llama3", "qwen3"]

_KINDS = frozenset(get_args(Kind))
#: What a language model can unless its card says otherwise; the others can what their cards say.
_USUAL: frozenset[Ability] = frozenset(
    ("streaming", "tools", "parallel_tools", "structured_outputs", "json_mode", "logprobs",
     "sampling", "stop")
)  # fmt: skip
_WORDS = frozenset(("chat", "completion"))
_INPUTS: dict[Kind, tuple[Modality, ...]] = {
    "transcription": ("audio",), "realtime": ("text", "audio"), "moderation": ("text", "image"),
}  # fmt: skip
_OUTPUTS: dict[Kind, tuple[Modality, ...]] = {
    "speech": ("audio",), "realtime": ("text", "audio"), "image": ("image",), "video": ("video",),
}  # fmt: skip

#: Who owns OpenAI's models in its own list.
_OPENAI = frozenset(("openai", "openai-internal", "system"))


class ModelCard(BaseModel):
    """One model. Token counts are limits; `vocabulary` names its BPE."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False
    )

    id: str = Field(min_length=1)
    kind: Kind = "chat"
    #: Who made it: the families of the catalogue.
    vendor: str = ""
    owned_by: str = "fakeai-proxy"
    created: int = Field(1_735_689_600, gt=1_500_000_000, lt=2_000_000_000)
    context_tokens: int = Field(128_000, gt=0, le=16_000_000)
    output_tokens_max: int = Field(16_384, ge=0, le=16_000_000)
    vocabulary: Vocabulary = "o200k_base"
    #: Whether it thinks before it answers without being asked to, and how hard it can be told to try.
    reasoning: bool = False
    efforts: tuple[Effort, ...] = ()
    #: What goes in and comes out, of its kind unless said otherwise.
    inputs: tuple[Modality, ...] = ()
    outputs: tuple[Modality, ...] = ()
    #: What it can; of its kind unless said otherwise. `lacks` takes some of that away.
    abilities: frozenset[Ability] = frozenset()
    lacks: frozenset[Ability] = frozenset()
    #: Length of its vectors.
    dimensions: int = Field(0, ge=0, le=16_384)
    #: Whether `dimensions` may be shortened on request.
    shortens: bool = False
    #: What its server calls its context, where the server is of the kind that says so; 0 otherwise.
    max_model_len: int = Field(0, ge=0, le=100_000_000)
    #: The model that it is an adapter of.
    parent: str = ""
    #: The dated model that its name stands for.
    snapshot: str = ""
    #: The last day of what it has read, as the vendor says it: `2024-10` or `2023-10-01`.
    cut_off: str = Field("", pattern=r"^(\d{4}-\d\d(-\d\d)?)?$")
    deprecated_at: date | None = None
    retires_at: date | None = None
    price: Price | None = None
    #: Prices of models that were fine-tuned from it, and of the training.
    fine_tuned: Price | None = None
    #: Where limits and prices are from.
    source: str = ""

    @property
    def is_openai(self) -> bool:
        """Whether OpenAI itself serves it, in its own ways of counting."""
        return self.owned_by in _OPENAI

    def can(self, what: Kind | Ability) -> bool:
        """Whether it serves calls that need that kind, or that ability."""
        if what in _KINDS:
            if what in ("completion", "realtime") and self.kind == "chat":
                return not self.is_openai
            return what == self.kind
        if what in self.lacks:
            return False
        if what in self.abilities:
            return True
        return self.kind in _WORDS and what in _USUAL

    def takes(self, what: Modality) -> bool:
        return what in self.every_input

    def gives(self, what: Modality) -> bool:
        return what in self.every_output

    @property
    def every_input(self) -> tuple[Modality, ...]:
        return self.inputs or _INPUTS.get(self.kind, ("text",))

    @property
    def every_output(self) -> tuple[Modality, ...]:
        return self.outputs or _OUTPUTS.get(self.kind, ("text",))

    @property
    def can_do(self) -> list[Ability]:
        """Every ability that it has, in the order of their list."""
        every: tuple[Ability, ...] = get_args(Ability)
        return [ability for ability in every if self.can(ability)]

    def tuned(self, name: str) -> ModelCard:
        """What fine-tuning makes of it, under that name."""
        return self.model_copy(
            update={"id": name, "price": self.fine_tuned or self.price, "snapshot": "",
                    "fine_tuned": None}
        )  # fmt: skip

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.kind == "embedding") != (self.dimensions > 0):
            raise ValueError("an embedding model, and no other, has dimensions")
        if self.price is not None and not self.source:
            raise ValueError("prices have a source")
        return self


def cost(card: ModelCard, usage: Usage) -> Decimal:
    """US dollars; 0 where the card has no price, as on servers of one's own."""
    return Decimal(0) if card.price is None else bill(card.price, usage)
