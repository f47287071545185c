"""The models that are served by name: what `/v1/models` lists and what each of them can do."""

from __future__ import annotations

import difflib
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fakeai_proxy import errors
from fakeai_proxy.generate.tokens import Tokens
from fakeai_proxy.profiles import FleetProfile, shipped

#: `chat` models that are not OpenAI's own continue text, too.
Kind = Literal["chat", "completion", "embedding", "rerank", "realtime"]

#: Who owns OpenAI's models in its own list.
_OPENAI = frozenset(("openai", "openai-internal", "system"))
#: How the names of fine-tuned models begin.
FINE_TUNED = "ft:"


class CatalogueSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    model: tuple[str, ...] = Field((), description="Serve this name too, like a chat model.")
    any_model: bool = Field(False, description="Serve whatever model name is asked for.")


class ModelCard(BaseModel):
    """One model. Token counts are limits; `vocabulary` names its BPE."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    id: str = Field(min_length=1)
    kind: Kind = "chat"
    owned_by: str = "fakeai-proxy"
    created: int = Field(1_735_689_600, gt=1_500_000_000, lt=2_000_000_000)
    context_tokens: int = Field(128_000, gt=0, le=16_000_000)
    output_tokens_max: int = Field(16_384, ge=0, le=16_000_000)
    vocabulary: Literal["cl100k_base", "o200k_base", "o200k_harmony", "llama3", "qwen3"] = (
        "o200k_base"
    )
    #: Whether it thinks before it answers.
    reasoning: bool = False
    #: Length of its vectors.
    dimensions: int = Field(0, ge=0, le=16_384)
    #: Whether `dimensions` may be shortened on request.
    shortens: bool = False
    #: What its server calls its context, where the server is of the kind that says so; 0 otherwise.
    max_model_len: int = Field(0, ge=0, le=100_000_000)
    #: The model that it is an adapter of.
    parent: str = ""

    @property
    def is_openai(self) -> bool:
        """Whether OpenAI itself serves it, in its own ways of counting."""
        return self.owned_by in _OPENAI

    def can(self, kind: Kind) -> bool:
        """Whether it serves calls that need that kind."""
        if kind in ("completion", "realtime") and self.kind == "chat":
            return not self.is_openai
        return kind == self.kind

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.kind == "embedding") != (self.dimensions > 0):
            raise ValueError("an embedding model, and no other, has dimensions")
        return self


class Catalogue:
    def __init__(
        self, settings: CatalogueSettings, cards: Iterable[ModelCard], fleet: str = ""
    ) -> None:
        """`fleet` is the name of the one whose models come first among `cards`."""
        self._fleet = fleet
        self._cards = {card.id: card for card in cards}
        self._any = settings.any_model
        self._deleted: set[str] = set()
        for name in settings.model:
            if name not in self._cards:
                self._cards[name] = self._like(name)

    @classmethod
    def shipped(cls, settings: CatalogueSettings, fleet: FleetProfile | None = None) -> Catalogue:
        """Behind a fleet, the models that it serves. Raises ConfigError."""
        cards = shipped_cards()
        if fleet is None:
            return cls(settings, cards)
        from fakeai_proxy.services.fleet_models import served

        return cls(settings, served(fleet, settings, cards), fleet.name)

    def __iter__(self) -> Iterator[ModelCard]:
        return iter(list(self._cards.values()))

    def usual_vocabulary(self, of_fleet: bool) -> str:
        """That of most models, or of most of the fleet's own where there are some."""
        cards = list(self._cards.values())
        if of_fleet:
            cards = [card for card in cards if card.max_model_len] or cards
        return Counter(card.vocabulary for card in cards).most_common(1)[0][0]

    def find(self, name: str) -> ModelCard | None:
        """The card of that name; of any name where any is served."""
        card = self._cards.get(name)
        if card is None and self._any and name and name not in self._deleted:
            return self._like(name)
        return card

    def is_at_hand(self, name: object) -> bool:
        """Whether its vocabulary has been read; True for what is no model."""
        card = self.find(name) if isinstance(name, str) else None
        return card is None or card.vocabulary in Tokens.read()

    def require(self, name: str, kind: Kind) -> ModelCard:
        """The card, for a call that needs that kind. Raises 404 as the vendor does."""
        card = self.find(name)
        if card is None:
            raise errors.model_not_found(name, self.nearest(name), self._fleet, self._of_fleet())
        if not card.can(kind):
            raise errors.wrong_kind_of_model(name, card.kind)
        return card

    def asked_for(self, deployment: str | None, name: str | None, kind: Kind) -> ModelCard:
        """The card that a call means: by the deployment in an Azure path, whose body may name the
        model too, else by the `model` of the body. Raises 400 and 404."""
        if deployment is not None:
            known = self.find(deployment) or (self.find(name) if name else None)
            if known is None:
                raise errors.deployment_not_found(deployment, self.nearest(deployment))
            return self.require(known.id, kind)
        if name is None:
            raise errors.missing_parameter("model")
        if not name:
            raise errors.missing_model()
        return self.require(name, kind)

    def delete(self, name: str) -> None:
        """Only fine-tuned models are their user's to delete. Raises 403 and 404."""
        if self.find(name) is None:
            raise errors.model_unknown(name)
        if not name.startswith(FINE_TUNED):
            raise errors.model_not_deletable(name)
        self._cards.pop(name, None)
        self._deleted.add(name)

    def _like(self, name: str) -> ModelCard:
        """A card for a name that is not in the catalogue: of the model whose name it continues
        (`gpt-4o-2030-01-01`, `ft:gpt-4o-mini:acme::1`), else of an ordinary one."""
        base = name.removeprefix(FINE_TUNED)
        known = max((each for each in self._cards if base.startswith(each)), key=len, default="")
        if known:
            return self._cards[known].model_copy(update={"id": name})
        if "embed" in name.lower():
            return ModelCard(
                id=name, kind="embedding", context_tokens=8192, output_tokens_max=0,
                vocabulary="cl100k_base", dimensions=1536, shortens=True,
            )  # fmt: skip
        if "realtime" in name.lower():
            return ModelCard(
                id=name, kind="realtime", context_tokens=32_000, output_tokens_max=4096
            )
        if "rerank" in name.lower():
            return ModelCard(id=name, kind="rerank", context_tokens=8192, output_tokens_max=0)
        return ModelCard(id=name)

    def _of_fleet(self) -> list[str]:
        return [card.id for card in self._cards.values() if card.max_model_len]

    def nearest(self, name: str) -> list[str]:
        """Names like it."""
        return difflib.get_close_matches(name[:100], self._cards, 3, 0.4)


def shipped_cards() -> list[ModelCard]:
    """`profiles/catalogue.toml`. Raises ConfigError."""
    text = (shipped("profiles") / "catalogue.toml").read_text("utf-8")
    cards = []
    for row in tomllib.loads(text)["model"]:
        try:
            cards.append(ModelCard.model_validate(row))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise errors.ConfigError(
                f"catalogue.toml: {row.get('id')}: {where}: {first['msg']}"
            ) from None
    return cards
